#include "net/upgrade.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "codec/base64.h"
#include "net/server_internal.h"

#define CLOSE_SECONDS 2.0 // for the client's close frame in answer to ours

struct upgrade {
    struct connection *c;
    struct upgrade_limits limits;
    struct upgrade_handler handler;
    struct websocket frames;
    double pinged;
    double closing_since; // 0: it is open
    int status;           // that on_close() will tell
    bool paused;
    bool at_work;
    bool ended; // the client has closed its side; what it sent before is still to be read
};

// --- the handshake -------------------------------------------------------------------------------

// True when the comma-separated values of all fields of that name hold the token.
static bool has_token(const struct server_request *req, const char *name, const char *token)
{
    size_t name_len = strlen(name), token_len = strlen(token);

    for (size_t i = 0; i < req->field_count; i++) {
        const struct server_field *f = &req->fields[i];
        const char *at = f->value, *end = at + f->value_len;

        if (f->name_len != name_len || strncasecmp(f->name, name, name_len) != 0)
            continue;
        while (at < end) {
            const char *comma = memchr(at, ',', (size_t)(end - at));
            const char *stop = comma ? comma : end;

            while (at < stop && (*at == ' ' || *at == '\t'))
                at++;
            while (at < stop && (stop[-1] == ' ' || stop[-1] == '\t'))
                stop--;
            if ((size_t)(stop - at) == token_len && strncasecmp(at, token, token_len) == 0)
                return true;
            at = comma ? comma + 1 : end;
        }
    }
    return false;
}

// The only field of that name; NULL when there is none, or more than one.
static const struct server_field *single_field(const struct server_request *req, const char *name)
{
    const struct server_field *found = server_field(req, name);

    for (size_t i = 0; found && i < req->field_count; i++) {
        const struct server_field *f = &req->fields[i];

        if (f != found && f->name_len == found->name_len &&
            strncasecmp(f->name, found->name, f->name_len) == 0)
            return NULL;
    }
    return found;
}

// 16 bytes in base64.
static bool is_key(const struct server_field *key)
{
    struct buf bytes;
    bool ok;

    if (!key || key->value_len != 24)
        return false;
    buf_init(&bytes, 24);
    ok = base64_decode(&bytes, key->value, key->value_len) && bytes.len == 16;
    buf_deinit(&bytes);
    return ok;
}

static const char *bad_handshake(const struct connection *c)
{
    const struct server_request *req = &c->req;
    const struct server_field *version = single_field(req, "sec-websocket-version");

    if (strcmp(req->method, "GET") != 0 || c->http10)
        return "a WebSocket handshake is a GET request of HTTP/1.1";
    if (!has_token(req, "upgrade", "websocket") || !has_token(req, "connection", "upgrade"))
        return "this path wants a WebSocket handshake (Connection: Upgrade, Upgrade: websocket)";
    if (!version || version->value_len != 2 || memcmp(version->value, "13", 2) != 0)
        return "only version 13 of WebSocket is supported";
    if (!is_key(single_field(req, "sec-websocket-key")))
        return "the Sec-WebSocket-Key is malformed";
    if (req->body_state != SERVER_BODY_COMPLETE || req->body.len > 0)
        return "a WebSocket handshake has no body";
    return NULL;
}

static bool put_accept(struct buf *out, const struct server_field *key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[20];
    char both[24 + sizeof(guid) - 1];

    memcpy(both, key->value, 24);
    memcpy(both + 24, guid, sizeof(guid) - 1);
    return EVP_Digest(both, sizeof(both), digest, NULL, EVP_sha1(), NULL) &&
           buf_puts(out, "Sec-WebSocket-Accept: ") &&
           base64_encode(out, digest, sizeof(digest), false) && buf_puts(out, "\r\n");
}

static void refuse(struct server_request *req, const char *why)
{
    static const char fields[] = "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Sec-WebSocket-Version: 13\r\n";
    struct buf body;

    buf_init(&body, 256);
    buf_printf(&body, "Bad Request: %s.\n", why);
    server_respond(req, 400, fields, sizeof(fields) - 1, body.data, body.len);
    buf_deinit(&body);
}

static bool answer(struct server_request *req, const char *fields, size_t n)
{
    struct buf all;
    bool ok;

    buf_init(&all, n + 256);
    ok = buf_append(&all, fields, n) &&
         buf_puts(&all, "Upgrade: websocket\r\nConnection: Upgrade\r\n") &&
         put_accept(&all, server_field(req, "sec-websocket-key")) &&
         response_switch((struct connection *)req, all.data, all.len);
    buf_deinit(&all);
    return ok;
}

struct upgrade *upgrade_accept(struct server_request *req, const char *fields, size_t fields_len,
                               const struct upgrade_limits *limits,
                               const struct upgrade_handler *handler)
{
    struct connection *c = (struct connection *)req;
    const char *why = bad_handshake(c);
    struct upgrade *u;

    if (why) {
        refuse(req, why);
        return NULL;
    }
    u = calloc(1, sizeof(*u));
    if (!u || !answer(req, fields, fields_len)) {
        free(u);
        server_abort(req);
        return NULL;
    }
    u->c = c;
    u->limits = *limits;
    u->handler = *handler;
    u->status = WEBSOCKET_ABNORMAL;
    websocket_init(&u->frames, limits->message_bytes);
    c->upgrade = u;
    return u;
}

// --- the life of a connection --------------------------------------------------------------------

void upgrade_begin(struct connection *c)
{
    struct upgrade *u = c->upgrade;

    c->phase = PHASE_UPGRADED;
    u->pinged = c->last_input = clock_mono();
    if (c->backlog.len > 0 && !c->feeding)
        server_schedule(c->server, c);
    if (c->server->draining)
        upgrade_drain(c);
}

void upgrade_over(struct connection *c)
{
    struct upgrade *u = c->upgrade;
    struct upgrade_handler handler = u->handler;
    int status = u->status;

    c->upgrade = NULL;
    websocket_deinit(&u->frames);
    free(u);
    handler.on_close(handler.ctx, status);
}

bool upgrade_busy(const struct connection *c)
{
    return c->upgrade->at_work || c->upgrade->closing_since > 0;
}

void upgrade_drain(struct connection *c)
{
    if (!c->upgrade->at_work)
        upgrade_close(c->upgrade, WEBSOCKET_GOING_AWAY, "the server is stopping");
}

void upgrade_stop(struct connection *c)
{
    upgrade_close(c->upgrade, WEBSOCKET_GOING_AWAY, "the server is stopping");
    connection_flush(c);
}

double upgrade_write_seconds(const struct connection *c)
{
    return c->upgrade->limits.write_seconds;
}

void upgrade_tick(struct connection *c, double now)
{
    struct upgrade *u = c->upgrade;

    // While we do not read, nothing can be heard.
    if (!upgrade_takes(c))
        c->last_input = now;
    if (u->closing_since > 0) {
        if (now - u->closing_since > CLOSE_SECONDS)
            connection_break(c);
    } else if (now - c->last_input > u->limits.quiet_seconds) {
        connection_break(c);
    } else if (now - u->pinged > u->limits.ping_seconds) {
        char head[WEBSOCKET_HEAD_MAX];

        u->pinged = now;
        buf_append(&c->out, head, websocket_head(head, WEBSOCKET_PING, 0));
        connection_queued(c);
    }
}

// --- what the client sends -----------------------------------------------------------------------

bool upgrade_takes(const struct connection *c)
{
    // A client that sends but does not read has to wait, as in HTTP.
    return !c->upgrade->paused && !c->blocked;
}

bool upgrade_end_of_input(struct connection *c)
{
    c->upgrade->ended = true;
    return c->backlog.len > 0;
}

bool upgrade_ended(const struct connection *c)
{
    return c->upgrade->ended;
}

// Both sides have said that it is over.
static void finish(struct connection *c)
{
    c->phase = PHASE_LAST;
    c->keep_alive = false;
    connection_mark_dirty(c);
}

bool upgrade_is_open(const struct upgrade *u)
{
    return u->closing_since == 0 && u->c->phase <= PHASE_UPGRADED;
}

static void put_close(struct upgrade *u, enum websocket_status status, const char *reason)
{
    websocket_put_close(&u->c->out, status, reason);
    connection_queued(u->c);
}

static void on_close_frame(struct upgrade *u, const struct websocket_event *event)
{
    u->status = event->status;
    if (u->closing_since == 0)
        put_close(u, event->status == WEBSOCKET_NO_STATUS ? WEBSOCKET_NORMAL : event->status, "");
    finish(u->c);
}

static void pong(struct upgrade *u, const struct websocket_event *event)
{
    char head[WEBSOCKET_HEAD_MAX];

    buf_append(&u->c->out, head, websocket_head(head, WEBSOCKET_PONG, event->len));
    buf_append(&u->c->out, event->data, event->len);
    connection_queued(u->c);
}

static void take_event(struct upgrade *u, const struct websocket_event *event)
{
    if (event->opcode == WEBSOCKET_CLOSE)
        on_close_frame(u, event);
    else if (u->closing_since > 0)
        return;
    else if (event->opcode == WEBSOCKET_PING)
        pong(u, event);
    else if (event->opcode == WEBSOCKET_TEXT)
        u->handler.on_text(u->handler.ctx, event->data, event->len);
    else if (event->opcode == WEBSOCKET_BINARY)
        upgrade_close(u, WEBSOCKET_UNSUPPORTED, "messages are text");
}

size_t upgrade_take(struct connection *c, const char *bytes, size_t n)
{
    struct upgrade *u = c->upgrade;
    struct websocket_event event;
    size_t used;

    switch (websocket_take(&u->frames, bytes, n, &used, &event)) {
    case WEBSOCKET_EVENT:
        take_event(u, &event);
        return used;
    case WEBSOCKET_FAILED:
        // What follows cannot be read, so no close frame will be found in it.
        if (u->closing_since == 0) {
            u->status = u->frames.status;
            put_close(u, u->frames.status, u->frames.problem);
        }
        finish(c);
        return n;
    default:
        return used;
    }
}

char *upgrade_detach(struct upgrade *u, size_t *len)
{
    return websocket_detach(&u->frames, len);
}

void upgrade_pause(struct upgrade *u, bool paused)
{
    if (u->paused && !paused && u->c->backlog.len > 0)
        server_schedule(u->c->server, u->c);
    u->paused = paused;
}

// --- what it is sent -----------------------------------------------------------------------------

bool upgrade_send(struct upgrade *u, const char *text, size_t n)
{
    struct connection *c = u->c;
    char *to;
    size_t head;

    if (!upgrade_is_open(u))
        return false;
    to = buf_reserve(&c->out, WEBSOCKET_HEAD_MAX + n);
    if (!to)
        return false;
    head = websocket_head(to, WEBSOCKET_TEXT, n);
    memcpy(to + head, text, n);
    buf_commit(&c->out, head + n);
    connection_queued(c);
    return true;
}

bool upgrade_writable(const struct upgrade *u)
{
    return upgrade_is_open(u) && !u->c->blocked;
}

void upgrade_writable_again(struct connection *c)
{
    if (c->upgrade->closing_since == 0)
        c->upgrade->handler.on_writable(c->upgrade->handler.ctx);
}

void upgrade_keep(struct upgrade *u, bool at_work)
{
    u->at_work = at_work;
    if (u->c->server->draining && u->c->phase == PHASE_UPGRADED)
        upgrade_drain(u->c);
}

void upgrade_close(struct upgrade *u, enum websocket_status status, const char *reason)
{
    if (!upgrade_is_open(u))
        return;
    u->closing_since = clock_mono();
    u->status = status;
    // From now on only its close frame is waited for.
    upgrade_pause(u, false);
    put_close(u, status, reason);
}
