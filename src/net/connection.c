// connection.c - one client connection: reading, the phases of its requests, closing.

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/server_internal.h"

#define KEEP_MAX 4096 // buffers above this are not kept for the next request

static struct connection *connection_of(uv_handle_t *handle)
{
    return handle->data;
}

static void try_free(struct connection *c)
{
    struct server *s = c->server;

    if (!c->handle_closed || c->open)
        return;
    if (c->upgrade)
        upgrade_over(c);
    body_end(c);
    list_remove(&c->link);
    s->connection_count--;
    buf_deinit(&c->head);
    buf_deinit(&c->backlog);
    buf_deinit(&c->coded);
    buf_deinit(&c->out);
    buf_deinit(&c->req.body);
    tls_session_free(c->tls);
    free(c->fields);
    free(c->writing);
    free(c);
}

static void on_close(uv_handle_t *handle)
{
    struct connection *c = connection_of(handle);

    c->handle_closed = true;
    try_free(c);
}

void connection_changed(struct connection *c)
{
    // Before on_request the user does not know the request yet.
    if (c->open && !c->announce && c->req.on_change)
        c->req.on_change(&c->req);
}

static void close_handle(struct connection *c, bool reset)
{
    if (c->phase == PHASE_CLOSED)
        return;
    c->phase = PHASE_CLOSED;
    server_forget(c->server, c);
    c->req.gone = true;
    if (!reset || uv_tcp_close_reset(&c->handle, on_close) != 0)
        uv_close((uv_handle_t *)&c->handle, on_close);
}

void connection_break(struct connection *c)
{
    if (c->phase == PHASE_CLOSED)
        return;
    close_handle(c, false);
    if (c->announce) {
        // Nobody has been told of this request, so nobody will release it.
        c->announce = false;
        c->open = false;
        c->server->open_requests--;
    }
    connection_changed(c);
}

// --- reading ---

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct connection *c = connection_of(handle);

    (void)suggested;
    if (body_place(c, buf))
        return;
    // One buffer serves all connections: what is read is used up before the next read.
    *buf = uv_buf_init(c->server->input, sizeof(c->server->input));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct connection *c = connection_of((uv_handle_t *)stream);

    if (n > 0) {
        c->last_input = clock_mono();
        if (c->tls)
            tls_input(c, buf->base, (size_t)n);
        else
            connection_feed(c, buf->base, (size_t)n);
    } else if (n == UV_EOF) {
        c->reading = false;
        connection_end_of_input(c);
    } else if (n < 0) {
        connection_break(c);
    }
}

void connection_update_reading(struct connection *c)
{
    bool want = c->backlog.len < BACKLOG_MAX && c->phase != PHASE_CLOSED &&
                !(c->phase == PHASE_UPGRADED && upgrade_ended(c));

    if (want == c->reading || c->phase == PHASE_CLOSED)
        return;
    c->reading = want;
    if (!want)
        uv_read_stop((uv_stream_t *)&c->handle);
    else if (uv_read_start((uv_stream_t *)&c->handle, on_alloc, on_read) != 0)
        connection_break(c);
}

void connection_end_of_input(struct connection *c)
{
    if (c->phase == PHASE_UPGRADED && upgrade_end_of_input(c))
        return;
    // A client that closes its side has left, unless its whole answer is on the way already.
    if (c->phase == PHASE_LAST || (c->req.finished && connection_pending(c) > 0)) {
        c->keep_alive = false;
        c->phase = PHASE_LAST;
        connection_mark_dirty(c);
        return;
    }
    connection_break(c);
}

// Parses as much as can be parsed now; returns how many bytes were used.
static size_t take(struct connection *c, const char *bytes, size_t n)
{
    size_t used = 0;

    c->feeding = true;
    for (;;) {
        // A client that sends requests but reads no answers has to wait.
        if (c->phase == PHASE_HEAD && used < n && !c->blocked) {
            used += head_take(c, bytes + used, n - used);
        } else if (c->phase == PHASE_REQUEST && body_takes(c) && used < n) {
            used += body_take(c, bytes + used, n - used);
        } else if (c->phase == PHASE_UPGRADED && upgrade_takes(c) && used < n) {
            used += upgrade_take(c, bytes + used, n - used);
        } else if (c->phase == PHASE_REQUEST && c->announce) {
            c->announce = false;
            c->server->handler.on_request(c->server->handler.ctx, &c->req);
        } else {
            break;
        }
    }
    c->feeding = false;
    return c->phase <= PHASE_UPGRADED ? used : n;
}

void connection_feed(struct connection *c, const char *bytes, size_t n)
{
    size_t used;

    if (c->phase == PHASE_LINGER) {
        c->drained += n;
        // A message may be large: its sender hears why it is refused once it is through.
        if (c->drained > LINGER_BYTES && !c->upgrade)
            connection_break(c);
        return;
    }
    used = c->backlog.len > 0 ? 0 : take(c, bytes, n);
    if (used < n && !buf_append(&c->backlog, bytes + used, n - used)) {
        connection_break(c);
        return;
    }
    if (used == 0)
        connection_resume(c);
    connection_update_reading(c);
}

void connection_resume(struct connection *c)
{
    size_t used;

    if (c->decoding)
        body_decode(c);
    used = take(c, c->backlog.data, c->backlog.len);
    // A connection that came to its end has dropped its backlog.
    buf_consume(&c->backlog, used < c->backlog.len ? used : c->backlog.len);
    if (c->backlog.len == 0)
        buf_deinit(&c->backlog);
    if (c->phase == PHASE_UPGRADED && c->backlog.len == 0 && upgrade_ended(c))
        connection_break(c);
    connection_update_reading(c);
}

// --- requests ---

static void forget_request(struct connection *c)
{
    struct server_request *req = &c->req;
    struct buf body = req->body;

    body_end(c);
    if (body.cap > KEEP_MAX)
        buf_deinit(&body);
    if (c->head.cap > KEEP_MAX)
        buf_deinit(&c->head);
    buf_clear(&body);
    buf_clear(&c->head);
    *req = (struct server_request){.method = "",
                                   .target = "",
                                   .fields = c->fields,
                                   .peer = c->peer,
                                   .peer_loopback = req->peer_loopback,
                                   .tls = c->tls != NULL,
                                   .body = body};
    c->wanted = c->expects = c->chunked = c->message_done = false;
}

// Gives back what the next request can have again.
static void drop_buffers(struct connection *c)
{
    buf_deinit(&c->head);
    buf_deinit(&c->req.body);
    free(c->fields);
    c->fields = NULL;
    c->field_cap = 0;
    c->req.fields = NULL;
}

void server_want_body(struct server_request *req)
{
    struct connection *c = (struct connection *)req;

    if (c->wanted || req->body_state != SERVER_BODY_READING || c->phase != PHASE_REQUEST)
        return;
    c->wanted = true;
    c->last_input = clock_mono();
    if (c->expects && !req->head_sent)
        response_continue(c);
    c->expects = false;
    // Not here: the user would be called back from inside its own call.
    if (c->backlog.len > 0)
        server_schedule(c->server, c);
}

const struct server_field *server_field(const struct server_request *req, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < req->field_count; i++) {
        const struct server_field *f = &req->fields[i];

        if (f->name_len == len && strncasecmp(f->name, name, len) == 0)
            return f;
    }
    return NULL;
}

void server_abort(struct server_request *req)
{
    struct connection *c = (struct connection *)req;
    // Without a length or chunks only a reset says that something is missing.
    bool reset = req->head_sent && c->http10 && !c->chunked && !req->finished;

    if (c->phase == PHASE_CLOSED)
        return;
    connection_flush(c);
    close_handle(c, reset && !c->writing);
}

void server_release(struct server_request *req)
{
    struct connection *c = (struct connection *)req;

    req->on_change = NULL;
    if (!req->finished)
        server_abort(req);
    c->open = false;
    c->announce = false;
    c->server->open_requests--;
    if (c->phase == PHASE_CLOSED) {
        try_free(c);
        return;
    }
    forget_request(c);
    if (c->phase != PHASE_REQUEST)
        return;
    c->served = true;
    c->since = clock_mono();
    if (c->upgrade) {
        drop_buffers(c);
        upgrade_begin(c);
        return;
    }
    if (c->server->draining) {
        c->phase = PHASE_LAST;
        connection_mark_dirty(c);
        return;
    }
    c->phase = PHASE_HEAD;
    c->position = HEAD_LINE_START;
    if (c->backlog.len > 0 && !c->feeding)
        server_schedule(c->server, c);
}

void connection_refuse(struct connection *c, int status)
{
    struct server_handler *h = &c->server->handler;

    if (h->on_refused)
        h->on_refused(h->ctx, c->peer, c->req.method, c->req.target, status);
    c->phase = PHASE_LAST;
    c->keep_alive = false;
    response_refuse(c, status);
    connection_flush(c);
}

// --- time limits, the end ---

static void on_shutdown(uv_shutdown_t *req, int status)
{
    // The end of input, or the time limit, closes.
    (void)req;
    (void)status;
}

void connection_linger(struct connection *c)
{
    c->phase = PHASE_LINGER;
    c->since = clock_mono();
    c->drained = 0;
    buf_deinit(&c->backlog);
    if (c->tls)
        tls_close(c);
    if (uv_shutdown(&c->op.shutdown, (uv_stream_t *)&c->handle, on_shutdown) != 0) {
        connection_break(c);
        return;
    }
    connection_update_reading(c);
}

bool connection_is_idle(const struct connection *c)
{
    return c->phase == PHASE_HEAD && c->head.len == 0 && c->backlog.len == 0 &&
           connection_pending(c) == 0;
}

// Progress of a long write shows in its queue only.
static bool output_stalled(struct connection *c, double now)
{
    size_t queue = uv_stream_get_write_queue_size((uv_stream_t *)&c->handle);

    if (connection_pending(c) == 0 || queue != c->queue_seen) {
        c->queue_seen = queue;
        c->last_output = now;
    }
    return now - c->last_output > (c->phase == PHASE_UPGRADED ? upgrade_write_seconds(c)
                                                              : c->server->limits.write_seconds);
}

static void tick_head(struct connection *c, double now)
{
    const struct server_limits *l = &c->server->limits;

    if (c->head.len > 0 && now - c->since > l->head_seconds) {
        connection_refuse(c, 408);
    } else if (c->head.len == 0 &&
               now - c->since > (c->served ? l->idle_seconds : l->head_seconds)) {
        connection_break(c);
    } else if (c->head.len == 0 && c->head.cap > 0 && now - c->since > 1) {
        // Idle for a while.
        buf_deinit(&c->out);
        drop_buffers(c);
        if (c->tls)
            tls_trim(c);
    }
}

void connection_tick(struct connection *c, double now)
{
    if (c->phase == PHASE_CLOSED)
        return;
    if (output_stalled(c, now)) {
        connection_break(c);
    } else if (c->phase == PHASE_LINGER) {
        if (now - c->since > LINGER_SECONDS)
            connection_break(c);
    } else if (c->phase == PHASE_HEAD && connection_pending(c) == 0) {
        tick_head(c, now);
    } else if (c->phase == PHASE_UPGRADED) {
        upgrade_tick(c, now);
    } else if (c->phase == PHASE_REQUEST && c->wanted && body_takes(c) &&
               now - c->last_input > c->server->limits.body_seconds) {
        body_fail(c, SERVER_BODY_TIMED_OUT);
    }
}

static void set_peer(struct connection *c, const struct sockaddr *peer)
{
    if (peer && peer->sa_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(a)) {
            inet_ntop(AF_INET, &a->s6_addr[12], c->peer, sizeof(c->peer));
            c->req.peer_loopback = a->s6_addr[12] == 127;
        } else {
            inet_ntop(AF_INET6, a, c->peer, sizeof(c->peer));
            c->req.peer_loopback = IN6_IS_ADDR_LOOPBACK(a);
        }
    } else if (peer && peer->sa_family == AF_INET) {
        const struct in_addr *a = &((const struct sockaddr_in *)(const void *)peer)->sin_addr;

        inet_ntop(AF_INET, a, c->peer, sizeof(c->peer));
        c->req.peer_loopback = (ntohl(a->s_addr) >> 24) == 127;
    }
}

struct connection *connection_new(struct server *s, int fd, const struct sockaddr *peer)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (!c || uv_tcp_init(s->loop, &c->handle) != 0) {
        close(fd);
        free(c);
        return NULL;
    }
    c->server = s;
    c->handle.data = c;
    list_init(&c->dirty);
    list_init(&c->work);
    list_init(&c->link);
    list_append(&s->connections, &c->link);
    s->connection_count++;
    set_peer(c, peer);
    buf_init(&c->backlog, BACKLOG_MAX + INPUT_SIZE);
    buf_init(&c->out, OUTPUT_MAX);
    c->since = c->last_input = c->last_output = clock_mono();
    if (uv_tcp_open(&c->handle, fd) != 0) {
        close(fd);
        connection_break(c);
        return NULL;
    }
    if (s->tls && !(c->tls = tls_session_new(s->tls))) {
        connection_break(c);
        return NULL;
    }
    forget_request(c);
    connection_update_reading(c);
    return c;
}
