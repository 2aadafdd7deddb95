#include "app/login_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cliproxy.h"
#include "app/reload.h"
#include "script/command.h"
#include "store/atomic.h"

static int run(const struct command_job *job)
{
    struct buf error;
    int code;

    buf_init(&error, 64 * 1024);
    code = command_run(job, &error);
    if (code == COMMAND_INTERRUPTED)
        fprintf(stderr, "\nInterrupted: nothing was saved.\n");
    if (code == COMMAND_BROKE)
        fprintf(stderr, "%s\n", error.len ? buf_cstr(&error) : "the login script failed");
    buf_deinit(&error);
    return code < 0 ? 1 : code;
}

// Better before the login than after it.
static bool make_auth_directory(const char *path)
{
    int result = path ? atomic_mkdirs(path) : -ENOMEM;

    if (result < 0)
        fprintf(stderr, "auth-dir %s: %s\n", path ? path : "", strerror(-result));
    return result == 0;
}

int login_command(struct config *config, const struct command_line *line)
{
    char *directory = reload_scripts_dir(config), *auth = config_expand_path(config, "auth-dir");
    char port[16];
    struct buf notes;
    struct bundle *bundle;
    struct log *log = log_new();
    struct log_options quiet = {.level = LOG_WARN};
    int code = 1;

    buf_init(&notes, 64 * 1024);
    snprintf(port, sizeof(port), "%d", line->callback_port);
    bundle = bundle_new(directory, &notes);
    if (notes.len > 0)
        fprintf(stderr, "%s", buf_cstr(&notes));
    if (bundle && log && make_auth_directory(auth) && log_configure(log, &quiet)) {
        struct command_argument arguments[] = {
            {"flag", line->login},
            {"project_id", line->project},
            {"port", line->callback_port ? port : NULL},
            {"no_browser", line->no_browser ? "yes" : NULL},
        };
        struct command_job job = {.bundle = bundle,
                                  .config = config,
                                  .log = log,
                                  .version = cliproxy_version(),
                                  .module = "core.login_command",
                                  .function = "run",
                                  .arguments = arguments,
                                  .argument_count = sizeof(arguments) / sizeof(*arguments)};

        code = run(&job);
    }
    bundle_unref(bundle);
    log_free(log);
    buf_deinit(&notes);
    free(directory);
    free(auth);
    return code;
}
