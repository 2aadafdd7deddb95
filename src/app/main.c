// main.c - the program: a thin user of cliproxy.h.

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cliproxy.h"
#include "app/command_line.h"
#include "app/environment.h"
#include "app/login_command.h"
#include "app/scripts_command.h"
#include "config/config.h"

static void print_version(void)
{
    printf("CLIProxyAPI Version: %s, Commit: %s, BuiltAt: %s\n", cliproxy_version(),
           cliproxy_commit(), cliproxy_build_date());
    fflush(stdout);
}

static const char *config_file(const struct command_line *line)
{
    return line->config ? line->config : "config.yaml";
}

// A configuration of defaults under the file's name.
static struct config *default_config(const char *path)
{
    struct config_report report;
    struct config *config;

    config_report_init(&report);
    config = config_parse(path, "", 0, &report);
    config_report_deinit(&report);
    return config;
}

// Loads the configuration for a command; prints what is wrong.  NULL when it cannot be used.
static struct config *load_config(const struct command_line *line)
{
    struct config_report report;
    struct config *config;
    bool missing = false;

    config_report_init(&report);
    config = config_load(config_file(line), &report, &missing);
    if (!config && missing && !line->config) {
        config_report_deinit(&report);
        config_report_init(&report);
        config = default_config(config_file(line));
    }
    if (report.warnings.len > 0)
        fprintf(stderr, "%s", buf_cstr(&report.warnings));
    if (report.errors.len > 0)
        fprintf(stderr, "%s", buf_cstr(&report.errors));
    config_report_deinit(&report);
    return config;
}

static int run_command(const struct command_line *line)
{
    struct config *config = load_config(line);
    bool broken = !config;
    int code = 0;

    // A server may run on what the file was before.
    if (broken && line->command == COMMAND_EXPLAIN)
        config = default_config(config_file(line));
    if (!config)
        return 1;
    if (line->command == COMMAND_EXPLAIN)
        code = explain_command(config, broken, &line->explain);
    else if (line->command == COMMAND_SCRIPTS_LIST)
        code = scripts_list(config);
    else if (line->command == COMMAND_SCRIPTS_EJECT)
        code = scripts_eject(config, line->argument);
    else if (line->command == COMMAND_SCRIPTS_CHECK)
        code = scripts_check(config);
    else if (line->command == COMMAND_LOGIN)
        code = login_command(config, line);
    else if (line->command == COMMAND_TRANSLATE)
        code = translate_command(config, &line->translate);
    else if (!line->config && access(config_file(line), F_OK) != 0)
        printf("there is no %s here: every setting has its default\n", config_file(line));
    else
        printf("%s is fine\n", config_file(line));
    config_unref(config);
    return code;
}

static void on_message(void *ctx, const char *line)
{
    (void)ctx;
    printf("%s\n", line);
    fflush(stdout);
}

// Where DEPLOY=cloud is set, a container without a usable configuration stays up (spec 7.3).
static int wait_for_signal(void)
{
    sigset_t set;
    int number;

    printf("DEPLOY=cloud: no usable configuration; waiting for a signal\n");
    fflush(stdout);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigwait(&set, &number);
    return 0;
}

// What this version does not have yet must not be ignored in silence.
static const char *unsupported_store(void)
{
    static const char *const names[] = {"PGSTORE_DSN", "OBJECTSTORE_ENDPOINT", "GITSTORE_GIT_URL"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = getenv(names[i]);

        if (value && strspn(value, " \t\r\n") < strlen(value))
            return names[i];
    }
    return NULL;
}

static int serve(const struct command_line *line)
{
    struct cliproxy_options options = {
        .config_path = line->config,
        .password = line->password && *line->password ? line->password : NULL,
        .handle_signals = true,
        .on_message = on_message};
    const char *deploy = getenv("DEPLOY"), *store = unsupported_store();
    static char error[64 * 1024];
    struct cliproxy *proxy;
    int code;

    if (store) {
        fprintf(stderr, "%s is set, but this version has no remote stores yet\n", store);
        return 1;
    }
    proxy = cliproxy_new(&options, error, sizeof(error));
    if (!proxy) {
        fprintf(stderr, "%s%s", error, *error && error[strlen(error) - 1] == '\n' ? "" : "\n");
        return deploy && strcmp(deploy, "cloud") == 0 ? wait_for_signal() : 1;
    }
    code = cliproxy_run(proxy);
    cliproxy_free(proxy);
    return code;
}

// Whoever starts us may have closed standard descriptors.  Their numbers must not go to files and
// sockets, where a line of the log would end up.
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct command_line line;
    struct buf warnings;
    int code;

    fill_standard_descriptors();
    code = command_line_parse(argc, argv, &line);
    if (code != 0)
        return code;
    if (line.command == COMMAND_HELP) {
        command_line_usage();
        return 0;
    }
    if (line.command == COMMAND_VERSION || line.command == COMMAND_SERVE)
        print_version();
    if (line.command == COMMAND_VERSION)
        return 0;
    signal(SIGPIPE, SIG_IGN);
    buf_init(&warnings, 64 * 1024);
    environment_load(".env", &warnings);
    if (warnings.len > 0)
        fprintf(stderr, "%s", buf_cstr(&warnings));
    buf_deinit(&warnings);
    return line.command == COMMAND_SERVE ? serve(&line) : run_command(&line);
}
