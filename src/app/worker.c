#include "app/worker.h"

#include <assert.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum {
    TRIM_MS = 10 * 1000, // how often a worker looks whether it was idle
    DRAIN_MS = 20        // how often a draining worker looks whether it is done
};

// What other threads ask of a worker; the newest of each kind counts.
struct orders {
    struct script_state *state;
    struct server_limits limits;
    bool limits_set;
    SSL_CTX *tls;
    bool tls_set;
    bool drain;
    double drain_seconds;
};

struct worker {
    struct log *log;
    uv_loop_t loop;
    uv_thread_t thread;
    bool started;
    uv_async_t async;
    uv_timer_t trim, drain;
    uv_mutex_t lock;
    struct orders orders; // under `lock`
    bool ended;           // under `lock`: nobody reads orders any more
    struct server *server;
    struct upstream *upstream;
    struct script_host *host;
    struct states states;
    struct gateway gateway; // serves with the current state
    bool busy, trimmed;     // since the last look
    bool draining, stopping, closing;
    double drain_deadline;
    void (*on_end)(void *ctx);
    void (*on_script_error)(void *ctx);
    void *ctx;
};

// --- the loop ----------------------------------------------------------------------------------

static void on_pass(void *ctx)
{
    struct worker *w = ctx;

    server_flush(w->server);
    if (!list_empty(&w->states.old))
        states_retire(&w->states);
    log_flush(w->log);
}

static void on_exchange_end(void *ctx, struct script_state *state, bool script_failed)
{
    struct worker *w = ctx;

    generation_count(generation_of(state), script_failed);
    if (script_failed)
        w->on_script_error(w->ctx);
    w->busy = true;
    w->trimmed = false;
}

// The sanitizers replace malloc; glibc's own would be set up here, by two threads at once.
static void trim_heap(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    malloc_trim(0);
#endif
}

// Gives memory back after a while without requests.
static void on_trim(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    if (!w->busy && !w->trimmed && !w->closing) {
        state_collect(w->states.current);
        upstream_trim(w->upstream);
        trim_heap();
        w->trimmed = true;
    }
    w->busy = false;
}

// Drain, then stop, then close: each step waits for the one before it.
static void on_drain(uv_timer_t *timer)
{
    struct worker *w = timer->data;

    if (!w->stopping) {
        if (server_busy(w->server) > 0 && clock_mono() < w->drain_deadline)
            return;
        w->stopping = true;
        server_stop(w->server);
        states_cancel(&w->states); // some go on without their client
    }
    if (!w->closing && states_tasks(&w->states) == 0) {
        w->closing = true;
        uv_mutex_lock(&w->lock);
        w->ended = true;
        uv_mutex_unlock(&w->lock);
        // What their objects use, the upstream client, is still there.
        states_release(&w->states);
        w->gateway.state = NULL;
        upstream_stop(w->upstream);
        host_stop(w->host);
        uv_close((uv_handle_t *)&w->async, NULL);
        uv_close((uv_handle_t *)&w->trim, NULL);
        uv_close((uv_handle_t *)&w->drain, NULL);
    }
}

static void begin_drain(struct worker *w, double seconds)
{
    double deadline = clock_mono() + seconds;

    if (!w->draining)
        server_drain(w->server);
    if (!w->draining || deadline < w->drain_deadline)
        w->drain_deadline = deadline;
    w->draining = true;
    uv_timer_start(&w->drain, on_drain, 0, DRAIN_MS);
}

static void on_orders(uv_async_t *async)
{
    struct worker *w = async->data;
    struct orders orders;

    uv_mutex_lock(&w->lock);
    orders = w->orders;
    memset(&w->orders, 0, sizeof(w->orders));
    uv_mutex_unlock(&w->lock);
    if (orders.state) {
        states_replace(&w->states, orders.state);
        w->gateway.state = w->states.current;
    }
    if (orders.limits_set)
        server_set_limits(w->server, &orders.limits);
    if (orders.tls_set) {
        server_set_tls(w->server, orders.tls);
        SSL_CTX_free(orders.tls);
    }
    if (orders.drain && !w->closing)
        begin_drain(w, orders.drain_seconds);
}

static void run(void *arg)
{
    struct worker *w = arg;

    // The scheduler's clock belongs to the thread that runs it.
    if (!host_start(w->host)) {
        log_error(w->log, "a worker cannot start its clock");
        begin_drain(w, 0);
    }
    uv_run(&w->loop, UV_RUN_DEFAULT);
    if (w->started)
        w->on_end(w->ctx);
}

// Ends a section under the lock and tells the worker.
static void post_orders(struct worker *w)
{
    if (!w->ended)
        uv_async_send(&w->async);
    uv_mutex_unlock(&w->lock);
}

// --- life --------------------------------------------------------------------------------------

static bool listen_all(struct worker *w, struct sockaddr_storage *addresses, size_t count,
                       struct buf *error)
{
    int port = 0;

    for (size_t i = 0; i < count; i++) {
        struct sockaddr_in *in = (struct sockaddr_in *)&addresses[i]; // the port is at one place
        int result;

        if (port == 0)
            port = ntohs(in->sin_port);
        result = server_listen(w->server, (struct sockaddr *)&addresses[i], &port);
        if (result < 0) {
            buf_printf(error, "cannot listen on port %d: %s", port, uv_strerror(result));
            return false;
        }
        in->sin_port = htons((uint16_t)port);
    }
    return true;
}

static bool init_loop(struct worker *w)
{
    if (uv_loop_init(&w->loop) < 0)
        return false;
    uv_mutex_init(&w->lock);
    uv_async_init(&w->loop, &w->async, on_orders);
    uv_timer_init(&w->loop, &w->trim);
    uv_timer_init(&w->loop, &w->drain);
    w->async.data = w->trim.data = w->drain.data = w;
    uv_timer_start(&w->trim, on_trim, TRIM_MS, TRIM_MS);
    return true;
}

struct worker *worker_new(const struct worker_options *options, struct script_state *state,
                          struct sockaddr_storage *addresses, struct buf *error)
{
    struct worker *w = calloc(1, sizeof(*w));
    struct server_handler handler;

    if (!w || !init_loop(w)) {
        free(w);
        buf_puts(error, "out of memory");
        generation_release(generation_of(state), state);
        return NULL;
    }
    states_init(&w->states, options->on_retired, options->ctx);
    w->log = options->log;
    w->on_end = options->on_end;
    w->on_script_error = options->on_script_error;
    w->ctx = options->ctx;
    w->gateway = (struct gateway){.log = options->log,
                                  .traces = options->shared.traces,
                                  .ctx = w,
                                  .on_exchange_end = on_exchange_end};
    handler = gateway_handler(&w->gateway);
    w->server = server_new(&w->loop, options->log, &options->limits, &handler);
    w->upstream = upstream_new(&w->loop, options->log);
    w->host = host_new(&w->loop, w->upstream, &options->shared, on_pass, w);
    if (!w->server || !w->upstream || !w->host) {
        buf_puts(error, "out of memory");
        states_discard(&w->states, state);
        goto fail;
    }
    w->states.host = w->host;
    states_replace(&w->states, state);
    w->gateway.state = state;
    server_set_tls(w->server, options->tls);
    if (!listen_all(w, addresses, options->address_count, error))
        goto fail;
    return w;

fail:
    worker_drain(w, 0);
    worker_join(w);
    return NULL;
}

bool worker_start(struct worker *w)
{
    w->started = true; // the thread looks at it
    if (uv_thread_create(&w->thread, run, w) == 0)
        return true;
    w->started = false;
    return false;
}

void worker_set_state(struct worker *w, struct script_state *state,
                      const struct server_limits *limits)
{
    struct script_state *unused;

    uv_mutex_lock(&w->lock);
    unused = w->orders.state;
    w->orders.state = state;
    w->orders.limits = *limits;
    w->orders.limits_set = true;
    post_orders(w);
    if (unused)
        states_discard(&w->states, unused); // replaced before the worker saw it
}

void worker_set_tls(struct worker *w, SSL_CTX *tls)
{
    SSL_CTX *unused;

    if (tls)
        SSL_CTX_up_ref(tls);
    uv_mutex_lock(&w->lock);
    unused = w->orders.tls;
    w->orders.tls = tls;
    w->orders.tls_set = true;
    post_orders(w);
    SSL_CTX_free(unused);
}

void worker_drain(struct worker *w, double seconds)
{
    uv_mutex_lock(&w->lock);
    w->orders.drain = true;
    w->orders.drain_seconds = seconds;
    post_orders(w);
}

void worker_join(struct worker *w)
{
    if (w->started)
        uv_thread_join(&w->thread);
    else
        run(w); // never ran: let its handles close here
    server_free(w->server);
    upstream_free(w->upstream);
    host_free(w->host);
    if (w->orders.state)
        states_discard(&w->states, w->orders.state);
    SSL_CTX_free(w->orders.tls);
    assert(!w->states.current && list_empty(&w->states.old));
    uv_mutex_destroy(&w->lock);
    uv_loop_close(&w->loop);
    free(w);
}
