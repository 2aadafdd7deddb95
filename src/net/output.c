// output.c - output of a connection, with back-pressure.
//
// Bytes collect in the connection until it is flushed; what the kernel does not take at once goes
// into one write that owns its memory, and what is queued meanwhile collects again.

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/server_internal.h"

#define KEEP_OUTPUT (16 * 1024) // buffers above this are given back when empty

void connection_mark_dirty(struct connection *c)
{
    if (c->phase != PHASE_CLOSED && list_empty(&c->dirty))
        list_append(&c->server->dirty, &c->dirty);
}

size_t connection_pending(const struct connection *c)
{
    return c->out.len + (c->writing ? c->handle.write_queue_size : 0);
}

void connection_queued(struct connection *c)
{
    if (connection_pending(c) > c->server->limits.output_high)
        c->blocked = true;
    connection_mark_dirty(c);
}

static void on_written(uv_write_t *req, int status)
{
    struct connection *c = req->data;

    free(c->writing);
    c->writing = NULL;
    if (c->phase == PHASE_CLOSED)
        return;
    c->last_output = clock_mono();
    if (status != 0)
        connection_break(c);
    else
        connection_flush(c);
}

// Gives `bytes` (owned) to a write that ends in on_written().
static bool start_write(struct connection *c, char *bytes, size_t n)
{
    uv_buf_t buf = uv_buf_init(bytes, (unsigned int)n);

    if (!bytes)
        return false;
    c->writing = bytes;
    c->op.write.data = c;
    if (uv_write(&c->op.write, (uv_stream_t *)&c->handle, &buf, 1, on_written) == 0)
        return true;
    free(bytes);
    c->writing = NULL;
    return false;
}

ssize_t connection_try_write(struct connection *c, const uv_buf_t *bufs, unsigned int count)
{
    ssize_t n = uv_try_write((uv_stream_t *)&c->handle, bufs, count);

    if (n == UV_EAGAIN)
        return 0;
    if (n > 0)
        c->last_output = clock_mono();
    return n;
}

static bool write_plain(struct connection *c)
{
    uv_buf_t buf = uv_buf_init(c->out.data, (unsigned int)c->out.len);
    ssize_t n;
    size_t rest;
    char *bytes;

    if (c->out.len == 0)
        return true;
    n = connection_try_write(c, &buf, 1);
    if (n < 0)
        return false;
    buf_consume(&c->out, (size_t)n);
    if (c->out.len == 0)
        return true;
    bytes = buf_detach(&c->out, &rest);
    return start_write(c, bytes, rest);
}

static bool write_tls(struct connection *c)
{
    char *bytes, *copy;
    size_t n;
    ssize_t done;

    for (;;) {
        uv_buf_t buf;

        if (!tls_output(c, &bytes, &n))
            return false;
        if (n == 0)
            return true;
        buf = uv_buf_init(bytes, (unsigned int)n);
        done = connection_try_write(c, &buf, 1);
        if (done < 0)
            return false;
        if ((size_t)done < n) {
            n -= (size_t)done;
            copy = malloc(n);
            if (copy)
                memcpy(copy, bytes + done, n);
            tls_output_taken(c);
            return start_write(c, copy, n);
        }
        tls_output_taken(c);
    }
}

static void after_output(struct connection *c)
{
    size_t pending = connection_pending(c);

    if (pending == 0 && c->out.cap > KEEP_OUTPUT)
        buf_deinit(&c->out);
    if (pending == 0 && c->phase == PHASE_LAST) {
        connection_linger(c);
    } else if (c->server->draining && connection_is_idle(c)) {
        connection_break(c);
    } else if (c->blocked && pending < c->server->limits.output_high / 2 + 1) {
        c->blocked = false;
        if (c->backlog.len > 0)
            server_schedule(c->server, c);
        if (c->phase == PHASE_UPGRADED)
            upgrade_writable_again(c);
        else
            connection_changed(c);
    }
}

void connection_flush(struct connection *c)
{
    list_remove(&c->dirty);
    if (c->writing || c->phase == PHASE_CLOSED || c->phase == PHASE_LINGER)
        return;
    if (!(c->tls ? write_tls(c) : write_plain(c)))
        connection_break(c);
    else
        after_output(c);
}

void server_flush(struct server *s)
{
    struct list now;
    struct list *node;

    // Callbacks may queue more: that is for the next flush.
    list_init(&now);
    list_splice(&now, &s->dirty);
    while ((node = list_shift(&now)))
        connection_flush(list_entry(node, struct connection, dirty));
}
