#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "app/cliproxy_internal.h"
#include "app/settings.h"
#include "base/clock.h"
#include "store/atomic.h"

static const double DEBOUNCE = 0.2;

enum {
    KEEP_ALIVE_SECONDS = 10,
    KEEPER_SECONDS = 10, // for calls of the keeper, at least, once the workers have ended
    TRACES_BYTES = 1024 * 1024,
    FIRST_SCAN_MS = 5000 // for reading auth-dir before the first request
};

const char *cliproxy_version(void)
{
    return CLIPROXY_VERSION;
}

const char *cliproxy_commit(void)
{
    return CLIPROXY_COMMIT;
}

const char *cliproxy_build_date(void)
{
    return CLIPROXY_BUILD_DATE;
}

// --- stopping ------------------------------------------------------------------------------------

static void on_handle_closed(uv_handle_t *handle)
{
    struct cliproxy *p = handle->data;

    p->open_handles--;
}

// The first call drains, the second cuts.
static void stop(struct cliproxy *p)
{
    double seconds = p->draining ? 0 : p->drain_seconds;

    if (!p->draining) {
        log_info(p->log, "stopping: open streams have %.0f s to end", seconds);
        if (*log_directory(p->log))
            cliproxy_tell(p, "stopping when open requests have ended; a second signal ends "
                             "them at once");
    }
    p->cut = p->draining;
    p->draining = true;
    p->drain_by = clock_mono() + seconds;
    keeper_drain(p->keeper); // what is not due for a request is not refreshed any more
    for (size_t i = 0; i < p->worker_count; i++)
        worker_drain(p->workers[i], seconds);
}

// A refresh under way may have used up the old token: the new one is written down before the end.
static void on_keeper_end(uv_timer_t *timer)
{
    struct cliproxy *p = timer->data;

    if (keeper_busy(p->keeper) == 0 || p->cut || clock_mono() >= p->end_by)
        uv_stop(&p->loop);
}

static void end_keeper(struct cliproxy *p)
{
    double least = clock_mono() + KEEPER_SECONDS;

    keeper_drain(p->keeper);
    if (p->end_by == 0)
        p->end_by = p->drain_by > least ? p->drain_by : least;
    uv_timer_start(&p->pause, on_keeper_end, 0, 20);
}

static void on_async(uv_async_t *async)
{
    struct cliproxy *p = async->data;
    int asked = __atomic_exchange_n(&p->stop_asked, 0, __ATOMIC_ACQ_REL);

    for (; asked > 0; asked--)
        stop(p);
    if (__atomic_exchange_n(&p->reload_asked, 0, __ATOMIC_ACQ_REL))
        reload_look(p->reload);
    // The last worker to end asks for this.
    if (__atomic_load_n(&p->workers_running, __ATOMIC_ACQUIRE) == 0 && p->running)
        end_keeper(p);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct cliproxy *p = signal->data;

    if (number == SIGHUP)
        reload_look(p->reload);
    else
        stop(p);
}

static const int signal_numbers[] = {SIGINT, SIGTERM, SIGHUP};

void cliproxy_stop(struct cliproxy *p)
{
    __atomic_add_fetch(&p->stop_asked, 1, __ATOMIC_ACQ_REL);
    uv_async_send(&p->async);
}

void cliproxy_reload(struct cliproxy *p)
{
    __atomic_store_n(&p->reload_asked, 1, __ATOMIC_RELEASE);
    uv_async_send(&p->async);
}

// The program that started us with a password shows every few seconds that it lives.
static void on_keep_alive(uv_timer_t *timer)
{
    struct cliproxy *p = timer->data;
    double seen;

    __atomic_load(&p->local.last_seen, &seen, __ATOMIC_RELAXED);
    if (clock_mono() - seen < KEEP_ALIVE_SECONDS || p->draining)
        return;
    log_info(p->log, "nobody called /keep-alive for %d s", KEEP_ALIVE_SECONDS);
    stop(p);
}

static void on_worker_end(void *ctx)
{
    struct cliproxy *p = ctx;

    __atomic_sub_fetch(&p->workers_running, 1, __ATOMIC_ACQ_REL);
    uv_async_send(&p->async);
}

// --- start ---------------------------------------------------------------------------------------

// Streams need two descriptors each; the soft limit is often 1024.
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool init_loop(struct cliproxy *p)
{
    if (uv_loop_init(&p->loop) < 0)
        return false;
    p->loop_ready = true;
    uv_async_init(&p->loop, &p->async, on_async);
    uv_timer_init(&p->loop, &p->keep_alive);
    uv_timer_init(&p->loop, &p->pause);
    p->async.data = p->keep_alive.data = p->pause.data = p;
    p->open_handles = 3;
    for (size_t i = 0; p->options.handle_signals && i < 3; i++) {
        uv_signal_init(&p->loop, &p->signals[i]);
        p->signals[i].data = p;
        uv_signal_start(&p->signals[i], on_signal, signal_numbers[i]);
        p->open_handles++;
    }
    return true;
}

// Loads the file; a missing one means defaults unless it was asked for by name.
static struct config *first_config(struct cliproxy *p, bool optional, struct buf *error)
{
    struct config_report report;
    struct config *config;
    bool missing = false;

    config_report_init(&report);
    config = config_load(p->config_path, &report, &missing);
    if (!config && missing && optional) {
        config_report_deinit(&report);
        config_report_init(&report);
        config = config_parse(p->config_path, "", 0, &report);
        log_info(p->log, "there is no %s: running on defaults", p->config_path);
    }
    buf_append(error, report.errors.data, report.errors.len);
    log_write_lines(p->log, LOG_WARN, "config", report.warnings.data, report.warnings.len);
    config_report_deinit(&report);
    return config;
}

static bool check_safety(struct cliproxy *p, const struct config *config, struct buf *error)
{
    const char *why = listen_unsafe(config, p->plan.loopback);

    if (listen_sample_keys(config))
        log_warn(p->log, "api-keys holds a key of the sample configuration; everybody knows it");
    if (!why)
        return true;
    if (listen_has_management_key(config)) {
        log_error(p->log, "all proxy routes are closed: %s", why);
        return true;
    }
    buf_printf(error,
               "refusing to start: %s.\n"
               "Set a key of your own under `api-keys`, or bind this machine only "
               "(`host: 127.0.0.1`).",
               why);
    return false;
}

static bool ports_are_free(struct cliproxy *p, struct buf *error)
{
    for (size_t i = 0; i < p->plan.count; i++) {
        int result = listen_probe(&p->plan.addresses[i]);

        if (result == 0)
            continue;
        buf_puts(error, "cannot listen on ");
        listen_format(&p->plan.addresses[i], p->tls, error);
        buf_printf(error, ": %s", strerror(-result));
        if (result == -EADDRINUSE)
            buf_puts(error,
                     "\nAnother program has the port, perhaps this one in another terminal; `port` "
                     "chooses another.");
        return false;
    }
    return true;
}

static struct script_shared shared_of(struct cliproxy *p)
{
    return (struct script_shared){
        .log = p->log,
        .store = p->store,
        .traces = p->traces,
        .accounts = p->accounts,
        .keeper = p->keeper,
        .sessions = p->sessions,
    };
}

static bool start_workers(struct cliproxy *p, struct generation *g, struct buf *error)
{
    struct worker_options options = {.log = p->log,
                                     .shared = shared_of(p),
                                     .limits = settings_limits(g->config),
                                     .tls = p->tls,
                                     .address_count = p->plan.count,
                                     .on_retired = cliproxy_on_retired,
                                     .on_end = on_worker_end,
                                     .on_script_error = cliproxy_on_script_error,
                                     .ctx = p};

    p->workers = calloc(g->count, sizeof(*p->workers));
    if (!p->workers) {
        buf_puts(error, "out of memory");
        return false;
    }
    for (size_t i = 0; i < g->count; i++) {
        struct worker *w = worker_new(&options, g->states[i], p->plan.addresses, error);

        if (!w) {
            // The states nobody took go with the generation.
            while (++i < g->count)
                generation_release(g, g->states[i]);
            return false;
        }
        p->workers[p->worker_count++] = w;
    }
    return true;
}

// The folder of token files.  One that cannot be made is no reason not to serve configured keys.
static bool make_auth_directory(struct cliproxy *p, const struct config *config, struct buf *error)
{
    char *directory = config_expand_path(config, "auth-dir");
    int result = directory && *directory ? atomic_mkdirs(directory) : 0;

    if (result == -ENOTDIR)
        buf_printf(error, "auth-dir %s is not a directory", directory);
    else if (result < 0)
        log_warn(p->log, "auth-dir %s cannot be made: %s", directory, strerror(-result));
    free(directory);
    return result != -ENOTDIR;
}

static bool start(struct cliproxy *p, bool optional, struct buf *error)
{
    struct script_shared shared;
    struct config *config = first_config(p, optional, error);
    struct reload_options reload = {.log = p->log,
                                    .config_path = p->config_path,
                                    .on_ready = cliproxy_on_ready,
                                    .local = &p->local,
                                    .closed = cliproxy_closed_reason,
                                    .ctx = p};
    struct generation *g;
    bool ok = false;

    if (!config)
        return false;
    p->drain_seconds = config_number(config, "limits.drain-seconds");
    shared = shared_of(p);
    p->keeper = keeper_new(&p->loop, &shared, cliproxy_on_retired, p);
    p->watcher = watcher_new(&p->loop, p->log, DEBOUNCE, cliproxy_on_change, p);
    p->reload = reload_new(&p->loop, &reload);
    if (!settings_log(config, p->log))
        buf_puts(error, "no log directory can be written");
    else if (!p->watcher || !p->reload || !p->keeper)
        buf_puts(error, "out of memory");
    else if (make_auth_directory(p, config, error) && listen_plan(config, &p->plan, error) &&
             check_safety(p, config, error) && settings_tls(config, &p->tls, error) &&
             ports_are_free(p, error)) {
        g = reload_first(p->reload, config, settings_workers(config), error);
        ok = g && start_workers(p, g, error);
        if (g)
            cliproxy_set_keeper_state(p, g);
        if (ok)
            local_key_create(p->local.key, p->local_key_path, config, cliproxy_port(p), p->log);
        if (ok)
            cliproxy_watch(p, config);
        cliproxy_files_changed(p, config);
        p->config = config_ref(config);
    }
    config_unref(config);
    return ok;
}

struct cliproxy *cliproxy_new(const struct cliproxy_options *options, char *error,
                              size_t error_size)
{
    struct cliproxy *p = calloc(1, sizeof(*p));
    struct buf message;

    buf_init(&message, 64 * 1024);
    snprintf(error, error_size, "out of memory");
    if (!p)
        return NULL;
    p->options = *options;
    p->local.password = options->password;
    raise_descriptor_limit();
    p->config_path = strdup(options->config_path ? options->config_path : "config.yaml");
    p->log = log_new();
    p->store = store_new(0);
    p->traces = traces_new(TRACES_BYTES);
    p->accounts = accounts_new();
    p->sessions = p->accounts ? sessions_new(p->accounts) : NULL;
    if (p->config_path && p->log && p->store && p->traces && p->sessions &&
        upstream_global_init() && init_loop(p)) {
        if (start(p, !options->config_path, &message)) {
            buf_deinit(&message);
            *error = '\0';
            return p;
        }
        snprintf(error, error_size, "%s", message.len ? buf_cstr(&message) : "out of memory");
    }
    buf_deinit(&message);
    cliproxy_free(p);
    return NULL;
}

// --- run and end ---------------------------------------------------------------------------------

static void announce(struct cliproxy *p)
{
    struct buf address;

    buf_init(&address, 256);
    for (size_t i = 0; i < p->plan.count; i++) {
        buf_clear(&address);
        listen_format(&p->plan.addresses[i], p->tls, &address);
        log_info(p->log, "listening on %s", buf_cstr(&address));
        if (i > 0)
            continue;
        buf_clear(&address);
        buf_puts(&address, "API server listening on ");
        listen_format(&p->plan.addresses[i], p->tls, &address);
        cliproxy_tell(p, buf_cstr(&address));
    }
    if (*log_directory(p->log)) {
        buf_clear(&address);
        buf_printf(&address, "the log is in %s/main.log", log_directory(p->log));
        cliproxy_tell(p, buf_cstr(&address));
    }
    buf_deinit(&address);
    cliproxy_tell_clients(p, reload_current(p->reload)->config);
    log_flush(p->log);
}

static void on_accounts_late(uv_timer_t *timer)
{
    struct cliproxy *p = timer->data;

    log_warn(p->log, "auth-dir could not be read in %d s; serving without its accounts",
             FIRST_SCAN_MS / 1000);
}

// The first request finds the accounts of token files there.
static void wait_for_accounts(struct cliproxy *p)
{
    uv_timer_start(&p->pause, on_accounts_late, FIRST_SCAN_MS, 0);
    while (accounts_version(p->accounts) == 0 && uv_is_active((uv_handle_t *)&p->pause) &&
           !p->draining)
        uv_run(&p->loop, UV_RUN_ONCE);
    uv_timer_stop(&p->pause);
}

int cliproxy_run(struct cliproxy *p)
{
    if (!keeper_start(p->keeper))
        log_error(p->log, "the main thread cannot start its clock");
    wait_for_accounts(p);
    p->running = true;
    p->workers_running = (int)p->worker_count;
    p->local.last_seen = clock_mono(); // before anybody can call
    for (size_t i = 0; i < p->worker_count; i++) {
        if (!worker_start(p->workers[i])) {
            log_error(p->log, "cannot start a thread");
            return 1;
        }
    }
    announce(p);
    if (p->options.password)
        uv_timer_start(&p->keep_alive, on_keep_alive, 1000, 1000);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    log_info(p->log, "stopped");
    log_flush(p->log);
    return 0;
}

int cliproxy_port(const struct cliproxy *p)
{
    return ntohs(((const struct sockaddr_in *)&p->plan.addresses[0])->sin_port);
}

static void close_loop(struct cliproxy *p)
{
    if (p->keeper)
        keeper_stop(p->keeper); // tells the reload of states it lets go
    if (p->reload)
        reload_stop(p->reload);
    if (p->watcher)
        watcher_stop(p->watcher);
    uv_close((uv_handle_t *)&p->async, on_handle_closed);
    uv_close((uv_handle_t *)&p->keep_alive, on_handle_closed);
    uv_close((uv_handle_t *)&p->pause, on_handle_closed);
    for (size_t i = 0; p->options.handle_signals && i < 3; i++) {
        uv_close((uv_handle_t *)&p->signals[i], on_handle_closed);
        // All is served: an impatient second signal must not turn a clean end into a kill.
        signal(signal_numbers[i], SIG_IGN);
    }
    while (p->open_handles > 0 || (p->reload && !reload_closed(p->reload)) ||
           (p->watcher && !watcher_closed(p->watcher)) || (p->keeper && !keeper_closed(p->keeper)))
        uv_run(&p->loop, UV_RUN_ONCE);
    // File work of tasks that have ended may still be with the thread pool, which comes back here.
    if (p->keeper)
        uv_run(&p->loop, UV_RUN_DEFAULT);
}

void cliproxy_free(struct cliproxy *p)
{
    if (!p)
        return;
    local_key_remove(p->local.key, p->local_key_path);
    for (size_t i = 0; i < p->worker_count; i++)
        worker_drain(p->workers[i], 0);
    for (size_t i = 0; i < p->worker_count; i++)
        worker_join(p->workers[i]);
    if (p->loop_ready)
        close_loop(p);
    keeper_free(p->keeper);
    reload_free(p->reload);
    watcher_free(p->watcher);
    if (p->loop_ready)
        uv_loop_close(&p->loop);
    SSL_CTX_free(p->tls);
    config_unref(p->config);
    sessions_free(p->sessions);
    accounts_free(p->accounts);
    store_free(p->store);
    traces_free(p->traces);
    log_free(p->log);
    free(p->workers);
    free(p->auth_directory);
    free(p->config_path);
    free(p);
}
