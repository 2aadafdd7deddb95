#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cliproxy_internal.h"
#include "app/settings.h"
#include "config/diff.h"

void cliproxy_tell(struct cliproxy *p, const char *line)
{
    if (p->options.on_message && line)
        p->options.on_message(p->options.ctx, line);
}

void cliproxy_tell_clients(struct cliproxy *p, const struct config *config)
{
    char line[256];
    struct credential_set *files = accounts_take(p->accounts, ACCOUNTS_FILES);

    settings_summary(config, files->count, line, sizeof(line));
    credentials_unref(files);
    // Once is enough where the log goes to the terminal.
    if (*log_directory(p->log))
        cliproxy_tell(p, line);
    log_info(p->log, "%s", line);
}

const char *cliproxy_closed_reason(void *ctx, const struct config *config)
{
    struct cliproxy *p = ctx;

    return listen_unsafe(config, p->plan.loopback);
}

void cliproxy_on_retired(void *ctx)
{
    struct cliproxy *p = ctx;

    reload_retired(p->reload);
}

void cliproxy_on_script_error(void *ctx)
{
    struct cliproxy *p = ctx;

    reload_script_error(p->reload);
}

// A key that only counts at start.
static void warn_restart(struct cliproxy *p, const struct config *old, const struct config *now)
{
    static const char *const keys[] = {"port", "host", "tls.enable", "workers"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        const struct config_node *a = config_at(old, keys[i]), *b = config_at(now, keys[i]);

        if (a->type != b->type || a->integer != b->integer || a->boolean != b->boolean ||
            (a->type == CONFIG_STRING && strcmp(a->text, b->text) != 0))
            log_warn(p->log, "%s has changed; it takes effect at the next start", keys[i]);
    }
}

static void log_changes(struct cliproxy *p, const struct config *old, const struct config *now)
{
    struct buf lines;

    if (!log_enabled(p->log, LOG_DEBUG))
        return;
    buf_init(&lines, 256 * 1024);
    config_diff(old, now, &lines);
    log_write_lines(p->log, LOG_DEBUG, "changed", lines.data, lines.len);
    buf_deinit(&lines);
}

static void renew_tls(struct cliproxy *p, const struct config *config)
{
    struct buf error;
    SSL_CTX *tls;

    if (!p->tls)
        return;
    buf_init(&error, 1024);
    if (settings_tls(config, &tls, &error) && tls) {
        SSL_CTX_free(p->tls);
        p->tls = tls;
        for (size_t i = 0; i < p->worker_count; i++)
            worker_set_tls(p->workers[i], tls);
    } else if (error.len > 0) {
        log_error(p->log, "%s; the certificate in use stays", buf_cstr(&error));
    }
    buf_deinit(&error);
}

void cliproxy_on_ready(void *ctx, struct generation *g)
{
    struct cliproxy *p = ctx;
    struct server_limits limits = settings_limits(g->config);
    const char *closed = listen_unsafe(g->config, p->plan.loopback);
    struct config *old = p->config;

    warn_restart(p, old, g->config);
    p->config = config_ref(g->config);
    for (size_t i = 0; i < p->worker_count; i++)
        worker_set_state(p->workers[i], g->states[i], &limits);
    cliproxy_set_keeper_state(p, g);
    settings_log(g->config, p->log);
    log_changes(p, old, g->config);
    config_unref(old);
    p->drain_seconds = config_number(g->config, "limits.drain-seconds");
    renew_tls(p, g->config);
    cliproxy_watch(p, g->config);
    if (closed)
        log_error(p->log, "all proxy routes are closed: %s", closed);
    cliproxy_tell_clients(p, g->config);
}

bool cliproxy_files_changed(struct cliproxy *p, const struct config *config)
{
    uint64_t seen = settings_files(config, p->config_path);
    bool changed = seen != p->files_seen;

    p->files_seen = seen;
    return changed;
}

void cliproxy_on_change(void *ctx, const char *path)
{
    struct cliproxy *p = ctx;
    struct generation *g = reload_current(p->reload);

    if (strcmp(path, p->auth_directory) == 0)
        keeper_post(p->keeper, "scan", "", 0);
    // The folder of the configuration may hold much else, a log for instance.
    if (strcmp(path, p->config_directory) == 0 && !cliproxy_files_changed(p, g->config))
        return;
    if (strcmp(path, p->config_directory) != 0 && strcmp(path, p->auth_directory) == 0)
        return;
    log_debug(p->log, "something changed in %s", path);
    renew_tls(p, g->config);
    reload_look(p->reload);
}

void cliproxy_set_keeper_state(struct cliproxy *p, struct generation *g)
{
    struct script_state *state = g->keeper;

    g->keeper = NULL;
    keeper_set_state(p->keeper, state);
    if (p->draining)
        keeper_drain(p->keeper);
}

// Follows `auth-dir` where the configuration says it is now.
static void watch_accounts(struct cliproxy *p, const struct config *config)
{
    char *directory = config_expand_path(config, "auth-dir");

    if (!directory)
        return;
    if (p->auth_directory && strcmp(p->auth_directory, directory) != 0 &&
        strcmp(p->auth_directory, p->config_directory) != 0)
        watcher_remove(p->watcher, p->auth_directory);
    free(p->auth_directory);
    p->auth_directory = directory;
    watcher_add(p->watcher, directory, false);
}

void cliproxy_watch(struct cliproxy *p, const struct config *config)
{
    char directory[1024];
    char *scripts = reload_scripts_dir(config);
    char *cert = config_expand_path(config, "tls.cert");
    const char *slash = strrchr(p->config_path, '/');

    snprintf(p->config_directory, sizeof(p->config_directory), "%.*s",
             slash > p->config_path ? (int)(slash - p->config_path) : 1,
             slash ? p->config_path : ".");
    watcher_add(p->watcher, p->config_directory, false);
    watch_accounts(p, config);
    if (scripts && *scripts)
        watcher_add(p->watcher, scripts, true);
    if (p->tls && cert && (slash = strrchr(cert, '/'))) {
        snprintf(directory, sizeof(directory), "%.*s", (int)(slash - cert), cert);
        watcher_add(p->watcher, *directory ? directory : "/", false);
    }
    free(scripts);
    free(cert);
}
