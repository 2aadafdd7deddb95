// server_world.h - a server on a loop, and clients at the other end of socket pairs.
//
// Everything runs in one thread: what a client has sent is there when the loop runs next, so no
// test has to wait, except those about time limits.

#pragma once

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/server_internal.h"

struct world {
    uv_loop_t loop;
    struct server *server;
    struct server_limits limits;
    int requests, refused, gone, changes;
    int refused_status;
    char refused_target[64];
    char peer[64];
    bool peer_loopback, tls;
    bool release_at_once;          // answer from inside on_request
    struct server_request *held;   // of /hold
    struct server_request *ready[64]; // to be answered by the next pass
    int ready_count;
};

struct client {
    int fd;
    bool closed; // the server has closed or shut down
    bool reset;
    struct buf in;
};

static inline void world_answer(struct server_request *req)
{
    static const char fields[] = "Content-Type: text/plain\r\n";
    static const int status[] = {[SERVER_BODY_TOO_LARGE] = 413,
                                 [SERVER_BODY_TIMED_OUT] = 408,
                                 [SERVER_BODY_MALFORMED] = 400,
                                 [SERVER_BODY_BAD_ENCODING] = 415};
    struct buf text;

    buf_init(&text, SIZE_MAX / 2);
    if (req->gone) {
        ((struct world *)req->owner)->gone++;
    } else if (req->body_state > SERVER_BODY_COMPLETE) {
        server_respond(req, status[req->body_state], "", 0, "bad", 3);
    } else if (strncmp(req->target, "/stream", 7) == 0) {
        server_start(req, 200, fields, sizeof(fields) - 1);
        server_write(req, "one", 3);
        server_write(req, "two-two-two-two-two", 19);
        server_finish(req);
    } else if (strcmp(req->target, "/none") == 0) {
        server_respond(req, 204, "", 0, "ignored", 7);
    } else {
        buf_printf(&text, "%s %s %zu:", req->method, req->target, req->body.len);
        buf_append(&text, req->body.data, req->body.len);
        server_respond(req, 200, fields, sizeof(fields) - 1, text.data, text.len);
    }
    buf_deinit(&text);
    server_release(req);
}

static inline void world_step(struct server_request *req)
{
    struct world *w = req->owner;

    if (req->body_state == SERVER_BODY_READING && !req->gone && strcmp(req->target, "/early") != 0)
        return;
    if (strncmp(req->target, "/hold", 5) == 0) {
        w->held = req;
        return;
    }
    for (int i = 0; i < w->ready_count; i++) {
        if (w->ready[i] == req)
            return;
    }
    if (w->release_at_once)
        world_answer(req);
    else if (w->ready_count < 64)
        w->ready[w->ready_count++] = req;
}

static inline void world_on_change(struct server_request *req)
{
    ((struct world *)req->owner)->changes++;
    world_step(req);
}

static inline void world_on_request(void *ctx, struct server_request *req)
{
    struct world *w = ctx;

    w->requests++;
    req->owner = w;
    req->on_change = world_on_change;
    w->tls = req->tls;
    w->peer_loopback = req->peer_loopback;
    snprintf(w->peer, sizeof(w->peer), "%s", req->peer);
    if (strcmp(req->target, "/early") != 0)
        server_want_body(req);
    world_step(req);
}

static inline void world_on_refused(void *ctx, const char *peer, const char *method,
                                    const char *target, int status)
{
    struct world *w = ctx;

    (void)peer;
    (void)method;
    w->refused++;
    w->refused_status = status;
    snprintf(w->refused_target, sizeof(w->refused_target), "%s", target);
}

static inline void world_init(struct world *w)
{
    struct server_handler handler = {w, world_on_request, world_on_refused};

    signal(SIGPIPE, SIG_IGN);
    memset(w, 0, sizeof(*w));
    w->limits = (struct server_limits){.head_bytes = 4096,
                                       .body_bytes = 1024 * 1024,
                                       .head_seconds = 30,
                                       .body_seconds = 60,
                                       .idle_seconds = 120,
                                       .write_seconds = 600,
                                       .output_high = 64 * 1024};
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->server = server_new(&w->loop, NULL, &w->limits, &handler);
    assert_non_null(w->server);
}

// One iteration of a worker: callbacks, a pass of tasks, the flush.
static inline void world_turn(struct world *w, uv_run_mode mode)
{
    uv_run(&w->loop, mode);
    for (int i = 0; i < w->ready_count; i++)
        world_answer(w->ready[i]);
    w->ready_count = 0;
    server_flush(w->server);
}

static inline void world_run(struct world *w)
{
    for (int i = 0; i < 12; i++)
        world_turn(w, UV_RUN_NOWAIT);
}

static inline void world_deinit(struct world *w)
{
    server_stop(w->server);
    for (int i = 0; i < 100 && !server_closed(w->server); i++) {
        if (w->held)
            server_release(w->held);
        w->held = NULL;
        world_turn(w, UV_RUN_NOWAIT);
    }
    assert_true(server_closed(w->server));
    server_free(w->server);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static inline void client_init(struct world *w, struct client *c)
{
    int fds[2];

    memset(c, 0, sizeof(*c));
    buf_init(&c->in, SIZE_MAX / 2);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    c->fd = fds[0];
    assert_non_null(server_adopt(w->server, fds[1], NULL));
}

static inline void client_read(struct client *c)
{
    ssize_t n;

    while ((n = recv(c->fd, buf_reserve(&c->in, 65536), 65536, 0)) > 0)
        buf_commit(&c->in, (size_t)n);
    if (n == 0)
        c->closed = true;
    else if (errno != EAGAIN)
        c->closed = c->reset = true;
}

// Sends all, letting the server run when the socket is full; gives up when it does not read.
static inline size_t client_send(struct world *w, struct client *c, const char *bytes, size_t n)
{
    size_t done = 0;

    for (int idle = 0; done < n && idle < 20;) {
        ssize_t sent = send(c->fd, bytes + done, n - done, MSG_NOSIGNAL);

        if (sent > 0) {
            done += (size_t)sent;
            idle = 0;
        } else if (errno == EAGAIN) {
            world_turn(w, UV_RUN_NOWAIT);
            idle++;
        } else {
            break;
        }
    }
    return done;
}

static inline const char *client_text(struct client *c)
{
    return buf_cstr(&c->in);
}

static inline void client_say(struct world *w, struct client *c, const char *text)
{
    client_send(w, c, text, strlen(text));
    world_run(w);
    client_read(c);
}

// Runs the loop until the server has closed this client, at most `seconds`.
static inline void client_await_close(struct world *w, struct client *c, double seconds)
{
    double end = clock_mono() + seconds;

    while (!c->closed && clock_mono() < end) {
        world_turn(w, UV_RUN_ONCE);
        client_read(c);
    }
}

static inline void client_deinit(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_deinit(&c->in);
}

static inline int client_status(struct client *c)
{
    return strncmp(client_text(c), "HTTP/1.1 ", 9) == 0 ? atoi(client_text(c) + 9) : 0;
}

static inline int client_responses(struct client *c)
{
    int count = 0;

    for (const char *at = client_text(c), *end = at + c->in.len;
         (at = memmem(at, (size_t)(end - at), "HTTP/1.1 ", 9)); at += 9)
        count++;
    return count;
}

// Takes the Date lines out, so that answers can be compared.
static inline char *client_scrubbed(struct client *c)
{
    char *text = strdup(client_text(c)), *at;

    while ((at = strstr(text, "Date: "))) {
        char *end = strstr(at, "\r\n");

        memmove(at, end + 2, strlen(end + 2) + 1);
    }
    return text;
}
