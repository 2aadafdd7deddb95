#include "app/reload.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/cliproxy.h"
#include "base/clock.h"
#include "script/bundle.h"
#include "store/atomic.h"

enum {
    LIVE_MAX = 3,
    ROLLBACK_SECONDS = 60,
    ROLLBACK_REQUESTS = 20,
    CONFIG_MAX = 8 * 1024 * 1024,
    REPORT_MAX = 64 * 1024
};

// Tells one version of config and scripts from another.
struct version {
    uint64_t config; // hash of the text
    char scripts[65];
};

// What one build works on, in the thread pool.
struct build {
    unsigned number;
    size_t workers;
    const char *closed;
    const struct generation *running; // stays current while this builds
    char *config_path;
    struct bundle *bundle;      // of a generation to go back to, else NULL
    struct config *config;      // read, or the running one when it has not changed
    struct buf config_text;     // as read
    struct generation *result;
    struct buf errors, warnings;
    struct version version; // of what was read
    bool unchanged;
};

// What ran before the current generation, to go back to.
struct former {
    struct bundle *bundle;
    struct config *config;
    struct buf config_text;
    double error_rate;
};

struct reload {
    struct reload_options options;
    size_t workers; // states a generation needs
    uv_work_t work;
    uv_async_t retired;
    struct build build;
    bool building, wanted, stopping;
    int open_handles;
    unsigned next_number;
    struct version refused; // the last one that failed; it is not tried again
    struct version running; // of the current generation
    struct former former;
    double swapped;         // clock_mono() when the current generation took over; 0 for the first
    struct buf config_text;              // of the running config
    struct generation *live[LIVE_MAX];   // oldest first, the last one is current
    size_t live_count;
};

char *reload_scripts_dir(const struct config *config)
{
    return config_expand_path(config, "scripts-dir");
}

// --- building, in the thread pool -----------------------------------------------------------

static uint64_t hash_text(const struct buf *text)
{
    uint64_t h = 0xcbf29ce484222325u; // FNV-1a

    for (size_t i = 0; i < text->len; i++)
        h = (h ^ (unsigned char)text->data[i]) * 0x100000001b3u;
    return h;
}

static bool was_refused(const struct reload *r, const struct build *b)
{
    return b->version.config == r->refused.config &&
           strcmp(b->version.scripts, r->refused.scripts) == 0;
}

// Reads the file; the running config stands in for a file that is missing, empty or the same.
static bool read_config(struct reload *r, struct build *b)
{
    struct config_report report;
    int result = atomic_read(b->config_path, &b->config_text);

    if (result == -ENOENT || (result == 0 && b->config_text.len == 0)) {
        buf_append(&b->config_text, r->config_text.data, r->config_text.len);
        b->config = config_ref(b->running->config);
        return true;
    }
    if (result < 0) {
        buf_printf(&b->errors, "%s: %s\n", b->config_path, strerror(-result));
        return false;
    }
    if (b->config_text.len == r->config_text.len &&
        memcmp(b->config_text.data, r->config_text.data, b->config_text.len) == 0) {
        b->config = config_ref(b->running->config);
        return true;
    }
    config_report_init(&report);
    b->config = config_parse(b->config_path, b->config_text.data, b->config_text.len, &report);
    buf_append(&b->errors, report.errors.data, report.errors.len);
    buf_append(&b->warnings, report.warnings.data, report.warnings.len);
    config_report_deinit(&report);
    return b->config;
}

static struct generation *make(const struct reload *r, struct build *b, struct bundle *bundle)
{
    struct generation_options options = {.version = cliproxy_version(),
                                         .local = r->options.local,
                                         .closed = b->closed,
                                         .states = b->workers,
                                         .keeper = true,
                                         // The stock scripts alone were verified by the tests.
                                         .verify = bundle_has_overlay(bundle)};

    return generation_new(b->number, bundle, b->config, &options, &b->errors);
}

static void do_build(uv_work_t *work)
{
    struct reload *r = work->data;
    struct build *b = &r->build;
    struct bundle *bundle;
    char *scripts;

    if (b->bundle) {
        b->closed = r->options.closed(r->options.ctx, b->config);
        b->result = make(r, b, b->bundle);
        return;
    }
    if (!read_config(r, b)) {
        b->version.config = hash_text(&b->config_text);
        b->unchanged = was_refused(r, b);
        return;
    }
    b->version.config = hash_text(&b->config_text);
    scripts = reload_scripts_dir(b->config);
    bundle = bundle_new(scripts, &b->errors);
    free(scripts);
    if (!bundle)
        return;
    b->unchanged = b->config == b->running->config &&
                   strcmp(bundle->hash, b->running->bundle->hash) == 0;
    memcpy(b->version.scripts, bundle->hash, sizeof(b->version.scripts));
    b->unchanged = b->unchanged || was_refused(r, b);
    b->closed = r->options.closed(r->options.ctx, b->config);
    if (!b->unchanged)
        b->result = make(r, b, bundle);
    bundle_unref(bundle);
}

// --- the result ------------------------------------------------------------------------------

static void build_init(struct build *b)
{
    memset(b, 0, sizeof(*b));
    buf_init(&b->config_text, CONFIG_MAX);
    buf_init(&b->errors, REPORT_MAX);
    buf_init(&b->warnings, REPORT_MAX);
}

static void build_deinit(struct build *b)
{
    free(b->config_path);
    bundle_unref(b->bundle);
    config_unref(b->config);
    buf_deinit(&b->config_text);
    buf_deinit(&b->errors);
    buf_deinit(&b->warnings);
}

static double error_rate(const struct generation *g)
{
    unsigned requests = __atomic_load_n(&g->requests, __ATOMIC_RELAXED);
    unsigned errors = __atomic_load_n(&g->script_errors, __ATOMIC_RELAXED);

    return requests ? (double)errors / requests : 0;
}

static void forget_former(struct former *f)
{
    bundle_unref(f->bundle);
    config_unref(f->config);
    buf_deinit(&f->config_text);
    f->bundle = NULL;
    f->config = NULL;
}

// Keeps what runs now, before something newer takes over.
static void remember_former(struct reload *r)
{
    const struct generation *g = reload_current(r);

    forget_former(&r->former);
    r->former.bundle = bundle_ref(g->bundle);
    r->former.config = config_ref(g->config);
    r->former.error_rate = error_rate(g);
    buf_append(&r->former.config_text, r->config_text.data, r->config_text.len);
}

static void adopt(struct reload *r, struct build *b)
{
    struct log *log = r->options.log;

    if (b->bundle) {
        forget_former(&r->former);
    } else {
        remember_former(r);
        r->refused = (struct version){0};
        r->running = b->version;
    }
    r->swapped = clock_mono();
    r->live[r->live_count++] = b->result;
    buf_clear(&r->config_text);
    buf_append(&r->config_text, b->config_text.data, b->config_text.len);
    log_write_lines(log, LOG_WARN, "reload", b->warnings.data, b->warnings.len);
    log_write(log, LOG_INFO, "reload", NULL,
              "configuration and scripts reloaded: generation %u, scripts %.12s",
              b->result->number, b->result->bundle->hash);
    r->options.on_ready(r->options.ctx, b->result);
}

static void build_done(uv_work_t *work, int status)
{
    struct reload *r = work->data;
    struct build *b = &r->build;

    r->building = false;
    if (b->result && r->stopping)
        generation_discard(b->result);
    else if (b->result)
        adopt(r, b);
    else if (!b->unchanged && status == 0) {
        r->refused = b->version;
        log_write_lines(r->options.log, LOG_ERROR, "reload", b->errors.data, b->errors.len);
        log_write(r->options.log, LOG_ERROR, "reload", NULL,
                  "the change was refused; generation %u keeps running",
                  reload_current(r)->number);
    }
    log_flush(r->options.log);
    build_deinit(b);
    if (r->wanted)
        reload_look(r);
}

void reload_look(struct reload *r)
{
    struct build *b = &r->build;

    r->wanted = true;
    if (r->building || r->stopping)
        return;
    if (r->live_count == LIVE_MAX) {
        log_write(r->options.log, LOG_WARN, "reload", NULL,
                  "a change waits: generation %u still serves requests", r->live[0]->number);
        return; // reload_retired() looks again
    }
    r->wanted = false;
    build_init(b);
    b->number = r->next_number++;
    b->workers = r->workers;
    b->running = reload_current(r);
    b->config_path = strdup(r->options.config_path);
    if (!b->config_path) {
        build_deinit(b);
        return;
    }
    r->work.data = r;
    r->building = uv_queue_work(r->retired.loop, &r->work, do_build, build_done) == 0;
    if (!r->building)
        build_deinit(b);
}

// --- generations that have drained -------------------------------------------------------------

// Within a minute of a swap, over 20 requests at least, more than a fifth ended by script errors,
// and under half that rate before: then the former generation serves again.
static bool should_roll_back(const struct reload *r)
{
    const struct generation *g = reload_current(r);

    return r->former.bundle && !r->building && !r->stopping && r->live_count < LIVE_MAX &&
           config_bool(g->config, "scripts.auto-rollback") &&
           clock_mono() - r->swapped < ROLLBACK_SECONDS &&
           __atomic_load_n(&g->requests, __ATOMIC_RELAXED) >= ROLLBACK_REQUESTS &&
           error_rate(g) > 0.2 && r->former.error_rate < error_rate(g) / 2;
}

static void roll_back(struct reload *r)
{
    struct build *b = &r->build;

    log_write(r->options.log, LOG_ERROR, "reload", NULL,
              "%.0f %% of requests ended in script errors: generation %u is taken back",
              error_rate(reload_current(r)) * 100, reload_current(r)->number);
    r->refused = r->running; // until a file changes
    build_init(b);
    b->number = r->next_number++;
    b->workers = r->workers;
    b->running = reload_current(r);
    b->bundle = bundle_ref(r->former.bundle);
    b->config = config_ref(r->former.config);
    buf_append(&b->config_text, r->former.config_text.data, r->former.config_text.len);
    r->work.data = r;
    r->building = uv_queue_work(r->retired.loop, &r->work, do_build, build_done) == 0;
    if (!r->building)
        build_deinit(b);
}

static void on_retired(uv_async_t *async)
{
    struct reload *r = async->data;
    size_t kept = 0;

    for (size_t i = 0; i < r->live_count; i++) {
        struct generation *g = r->live[i];

        if (i + 1 < r->live_count && generation_drained(g)) {
            log_write(r->options.log, LOG_DEBUG, "reload", NULL, "generation %u has drained",
                      g->number);
            generation_release(g, NULL);
        } else {
            r->live[kept++] = g;
        }
    }
    r->live_count = kept;
    if (should_roll_back(r))
        roll_back(r);
    if (r->wanted)
        reload_look(r);
}

void reload_script_error(struct reload *r)
{
    uv_async_send(&r->retired);
}

void reload_retired(struct reload *r)
{
    uv_async_send(&r->retired);
}

struct generation *reload_current(const struct reload *r)
{
    return r->live_count ? r->live[r->live_count - 1] : NULL;
}

// --- life --------------------------------------------------------------------------------------

struct reload *reload_new(uv_loop_t *loop, const struct reload_options *options)
{
    struct reload *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->options = *options;
    r->next_number = 1;
    buf_init(&r->config_text, CONFIG_MAX);
    buf_init(&r->former.config_text, CONFIG_MAX);
    uv_async_init(loop, &r->retired, on_retired);
    r->retired.data = r;
    r->open_handles = 1;
    return r;
}

struct generation *reload_first(struct reload *r, struct config *config, size_t workers,
                                struct buf *error)
{
    char *scripts = reload_scripts_dir(config);
    struct bundle *bundle = bundle_new(scripts, error);
    struct build b = {.number = r->next_number++, .workers = workers, .config = config};
    struct generation *g = NULL;

    free(scripts);
    r->workers = workers;
    atomic_read(r->options.config_path, &r->config_text); // missing: stays empty
    buf_init(&b.errors, REPORT_MAX);
    b.closed = r->options.closed(r->options.ctx, config);
    if (bundle)
        g = make(r, &b, bundle);
    buf_append(error, b.errors.data, b.errors.len);
    buf_deinit(&b.errors);
    bundle_unref(bundle);
    if (g)
        r->live[r->live_count++] = g;
    return g;
}

static void on_closed(uv_handle_t *handle)
{
    struct reload *r = handle->data;

    r->open_handles--;
}

void reload_stop(struct reload *r)
{
    r->stopping = true;
    r->wanted = false;
    uv_close((uv_handle_t *)&r->retired, on_closed);
}

bool reload_closed(const struct reload *r)
{
    return r->open_handles == 0 && !r->building;
}

void reload_free(struct reload *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->live_count; i++)
        generation_release(r->live[i], NULL);
    buf_deinit(&r->config_text);
    forget_former(&r->former);
    free(r);
}
