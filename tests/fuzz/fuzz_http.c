// Feeds bytes to a connection of the HTTP server and answers whatever comes out of it.
//
// The first byte chooses how the input is cut and how the handler behaves, so that one corpus
// reaches all phases.  A path that begins with /ws is a handshake: texts are sent back, and its
// bytes choose what else happens.  Every run ends with all handles closed: a leak is a crash.

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/server_internal.h"
#include "net/upgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct server *server;
    struct server_request *due;
    struct upgrade *upgrade;
    unsigned int mode;
};

static void on_text(void *ctx, const char *text, size_t len)
{
    struct run *run = ctx;

    if (run->mode & 8)
        upgrade_keep(run->upgrade, len % 2);
    upgrade_send(run->upgrade, text, len);
    if (run->mode & 16) {
        free(upgrade_detach(run->upgrade, &len));
        upgrade_pause(run->upgrade, true);
    }
    if (len == 7)
        upgrade_close(run->upgrade, WEBSOCKET_POLICY, "seven");
    if (len == 8)
        server_drain(run->server);
}

static void on_writable(void *ctx)
{
    struct run *run = ctx;

    upgrade_send(run->upgrade, "again", 5);
}

static void on_over(void *ctx, int status)
{
    struct run *run = ctx;

    if (!run->upgrade || status < 1000)
        abort();
    run->upgrade = NULL;
}

static void answer(struct server_request *req)
{
    static const struct upgrade_limits ws_limits = {2048, 30, 60, 10};
    struct run *run = req->owner;
    struct upgrade_handler ws = {run, on_text, on_writable, on_over};

    run->due = NULL;
    if (strncmp(req->target, "/ws", 3) == 0) {
        run->upgrade = upgrade_accept(req, "", 0, &ws_limits, &ws);
        server_release(req);
        return;
    }
    if (req->field_count > 0 && req->fields[0].value_len > (size_t)1 << 20)
        abort();
    if (req->target[req->path_len] != '\0' && req->target[req->path_len] != '?')
        abort();
    if ((run->mode & 8) == 0) {
        server_respond(req, req->body_state > SERVER_BODY_COMPLETE ? 400 : 200, "", 0,
                       req->body.data, req->body.len);
    } else if ((run->mode & 16) == 0) {
        server_start(req, 200, "X: y\r\n", 6);
        server_write(req, req->target, strlen(req->target));
        server_finish(req);
    }
    server_release(req);
}

static void on_change(struct server_request *req)
{
    struct run *run = req->owner;

    if (req->body_state == SERVER_BODY_READING && !req->gone)
        return;
    if (run->mode & 4)
        answer(req);
    else
        run->due = req;
}

static void on_request(void *ctx, struct server_request *req)
{
    struct run *run = ctx;

    req->owner = run;
    req->on_change = on_change;
    if (run->mode & 32)
        run->due = req; // answered without its body
    else
        server_want_body(req);
    on_change(req);
}

static void turn(struct run *run, uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_NOWAIT);
    if (run->due)
        answer(run->due);
    if (run->upgrade)
        upgrade_pause(run->upgrade, false);
    server_flush(run->server);
}

static void feed(struct run *run, uv_loop_t *loop, const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 3, 64};
    size_t piece = pieces[run->mode & 3];
    int fds[2];
    struct connection *c;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        abort();
    c = server_adopt(run->server, fds[1], NULL);
    // Reading is what keeps `c` valid: while it is open nothing frees it.
    while (c && size > 0 && c->phase != PHASE_CLOSED) {
        size_t n = size < piece ? size : piece;

        if (c->reading)
            connection_feed(c, (const char *)data, n);
        data += n;
        size -= n;
        if (c->phase == PHASE_CLOSED)
            break;
        turn(run, loop);
        if (list_empty(&run->server->connections))
            break;
    }
    close(fds[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct server_limits limits = {.head_bytes = 2048, .body_bytes = 4096, .head_seconds = 30,
                                   .body_seconds = 30, .idle_seconds = 30, .write_seconds = 30,
                                   .output_high = 1024};
    struct run run = {.mode = size > 0 ? data[0] : 0};
    struct server_handler handler = {.ctx = &run, .on_request = on_request};
    uv_loop_t loop;

    if (size == 0 || size > 16384 || uv_loop_init(&loop) != 0)
        return 0;
    signal(SIGPIPE, SIG_IGN);
    run.server = server_new(&loop, NULL, &limits, &handler);
    feed(&run, &loop, data + 1, size - 1);
    for (int i = 0; i < 4; i++)
        turn(&run, &loop);
    server_stop(run.server);
    for (int i = 0; i < 100 && !server_closed(run.server); i++)
        turn(&run, &loop);
    if (!server_closed(run.server))
        abort();
    server_free(run.server);
    if (uv_loop_close(&loop) != 0 || run.upgrade)
        abort();
    return 0;
}
