#include "app/gateway.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/clock.h"
#include "codec/redact.h"
#include "script/exchange.h"

static enum log_level level_for(int status)
{
    return status >= 500 ? LOG_ERROR : status >= 400 ? LOG_WARN : LOG_INFO;
}

// `12.3ms` below a second, `1.23s` above.  In integers: printing a double costs a microsecond.
static void format_latency(double seconds, char *out, size_t size)
{
    unsigned n = seconds < 1 ? (unsigned)(seconds * 1e4 + 0.5) : (unsigned)(seconds * 1e2 + 0.5);

    if (seconds < 1)
        snprintf(out, size, "%u.%ums", n / 10, n % 10);
    else
        snprintf(out, size, "%u.%02us", n / 100, n % 100);
}

static int status_of(const struct server_request *req)
{
    return req->gone && !req->finished ? 499 : req->status;
}

static void log_access(struct gateway *g, const struct exchange *x)
{
    const struct server_request *req = x->req;
    int status = status_of(req);
    double now = clock_mono();
    char latency[32], first[32] = "-";
    struct buf target;

    if (!log_enabled(g->log, level_for(status)))
        return;
    buf_init(&target, 16 * 1024);
    redact_target(&target, req->target);
    format_latency(now - req->started, latency, sizeof(latency));
    if (req->first_out > 0)
        format_latency(req->first_out - req->started, first, sizeof(first));
    log_write(g->log, level_for(status), "access", x->id,
              "%d | %8s | %s | %s \"%s\" | first=%s bytes=%llu model=%s credential=%s", status,
              latency, req->peer, req->method, target.len ? buf_cstr(&target) : "", first,
              (unsigned long long)req->bytes_out, *x->facts.model ? x->facts.model : "-",
              *x->facts.credential ? x->facts.credential : "-");
    buf_deinit(&target);
}

// Keeps what became of a model call, and of what was refused on the way to one.
static void keep_trace(struct gateway *g, const struct exchange *x)
{
    const struct server_request *req = x->req;
    double seconds = clock_mono() - req->started;
    char path[256];
    struct trace trace = {
        .id = x->id,
        .time = clock_wall() - seconds,
        .seconds = seconds,
        .first_byte = req->first_out > 0 ? req->first_out - req->started : -1,
        .status = status_of(req),
        .method = req->method,
        .path = path,
        .dialect = x->facts.dialect,
        .model = x->facts.model,
        .provider = x->facts.provider,
        .credential = x->facts.credential,
        .steps = x->steps.data,
        .steps_len = x->steps.len,
    };

    if (!*x->facts.model && x->steps.len == 0)
        return;
    snprintf(path, sizeof(path), "%.*s", (int)req->path_len, req->target);
    traces_add(g->traces, &trace);
}

// Request ids tell requests apart in the log; they guard nothing, so a small generator
// (splitmix64, seeded once) will do.
static void make_id(struct gateway *g, char id[9])
{
    uint64_t z;

    if (g->seed == 0 && getrandom(&g->seed, sizeof(g->seed), GRND_NONBLOCK) < 0)
        g->seed = (uint64_t)(clock_wall() * 1e6);
    z = g->seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    for (int i = 0; i < 8; i++)
        id[i] = "0123456789abcdef"[z >> (32 + 4 * i) & 15];
    id[8] = '\0';
}

static void on_end(struct exchange *x)
{
    struct gateway *g = x->owner;

    log_access(g, x);
    keep_trace(g, x);
    g->on_exchange_end(g->ctx, x->state, x->script_failed);
}

static void on_request(void *ctx, struct server_request *req)
{
    static const char fields[] = "Content-Type: application/json\r\n";
    static const char body[] = "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\","
                               "\"param\":null,\"code\":null}}";
    struct gateway *g = ctx;
    char id[9];

    make_id(g, id);
    if (exchange_start(g->state, req, id, EXCHANGE_MAIN, on_end, g))
        return;
    server_respond(req, 500, fields, strlen(fields), body, strlen(body));
    server_release(req);
}

static void on_refused(void *ctx, const char *peer, const char *method, const char *target,
                       int status)
{
    struct gateway *g = ctx;
    struct buf redacted;

    buf_init(&redacted, 16 * 1024);
    redact_target(&redacted, target);
    log_write(g->log, LOG_WARN, "access", NULL, "%d | - | %s | %s \"%s\" | refused", status, peer,
              method, redacted.len ? buf_cstr(&redacted) : "");
    buf_deinit(&redacted);
}

struct server_handler gateway_handler(struct gateway *g)
{
    return (struct server_handler){.ctx = g, .on_request = on_request, .on_refused = on_refused};
}
