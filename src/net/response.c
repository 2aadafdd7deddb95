// response.c - response heads, bodies and chunks; all of it only collects, see output.c.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/server_internal.h"

#define HEAD_ROOM 256         // status line and our own fields
#define COPY_MAX (16 * 1024)  // larger bodies go to the kernel without a copy, if it takes them

// --- heads ---

// Without meaning in HTTP/1.1, but tools print it.
static const char *reason(int status)
{
    switch (status) {
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 206:
        return "Partial Content";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 402:
        return "Payment Required";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 422:
        return "Unprocessable Content";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "";
    }
}

static char *put(char *to, const char *text, size_t n)
{
    memcpy(to, text, n);
    return to + n;
}

static char *put_text(char *to, const char *text)
{
    return put(to, text, strlen(text));
}

static char *put_number(char *to, uint64_t number, unsigned int base)
{
    char digits[24];
    size_t n = sizeof(digits);

    do {
        digits[--n] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    return put(to, digits + n, sizeof(digits) - n);
}

// Queues a head.  `length` < 0: unknown, chunked where the client can take it.
static bool put_head(struct connection *c, int status, const char *fields, size_t n,
                     int64_t length)
{
    char *start = buf_reserve(&c->out, n + HEAD_ROOM), *to = start;

    if (!to)
        return false;
    to = put(to, "HTTP/1.1 ", 9);
    to = put_number(to, (uint64_t)(status < 0 ? 500 : status), 10);
    *to++ = ' ';
    to = put_text(to, reason(status));
    to = put(to, "\r\n", 2);
    to = put_text(to, server_date(c->server));
    to = put(to, fields, n);
    if (status != 204 && status != 304) {
        if (length >= 0) {
            to = put_text(to, "Content-Length: ");
            to = put_number(to, (uint64_t)length, 10);
            to = put(to, "\r\n", 2);
        } else if (c->chunked) {
            to = put_text(to, "Transfer-Encoding: chunked\r\n");
        }
    }
    if (!c->keep_alive)
        to = put_text(to, "Connection: close\r\n");
    else if (c->http10)
        to = put_text(to, "Connection: keep-alive\r\n");
    to = put(to, "\r\n", 2);
    buf_commit(&c->out, (size_t)(to - start));
    return true;
}

// What is common to all responses to a request.  False when there is nobody to answer.
static bool begin(struct connection *c, int status)
{
    struct server_request *req = &c->req;

    if (req->gone || req->head_sent || req->finished || c->phase == PHASE_CLOSED)
        return false;
    req->head_sent = true;
    req->status = status;
    c->body_sent = !c->head_only && status != 204 && status != 304;
    // An unread body would be taken for the next request.
    if (req->body_state != SERVER_BODY_COMPLETE || c->server->draining)
        c->keep_alive = false;
    return true;
}

static void note_output(struct connection *c, size_t n)
{
    c->req.bytes_out += n;
    if (n > 0 && c->req.first_out == 0)
        c->req.first_out = clock_mono();
    connection_queued(c);
}

static void finish(struct connection *c)
{
    c->req.finished = true;
    if (!c->keep_alive)
        c->phase = PHASE_LAST;
    connection_mark_dirty(c);
}

// Memory ran out, or the writer ignores back-pressure beyond all measure.
static void fail(struct connection *c)
{
    log_warn(c->server->log, "a response of %zu bytes could not be queued", connection_pending(c));
    server_abort(&c->req);
}

// A large body goes out beside its head, and only what the kernel leaves is copied.
static bool put_large(struct connection *c, const char *body, size_t n)
{
    uv_buf_t bufs[2] = {uv_buf_init(c->out.data, (unsigned int)c->out.len),
                        uv_buf_init((char *)body, (unsigned int)n)};
    ssize_t done = 0;
    size_t head;

    if (!c->tls && !c->writing)
        done = connection_try_write(c, bufs, 2);
    if (done < 0)
        done = 0; // the flush will find it broken and tell
    head = (size_t)done < c->out.len ? (size_t)done : c->out.len;
    buf_consume(&c->out, head);
    return buf_append(&c->out, body + ((size_t)done - head), n - ((size_t)done - head));
}

void server_respond(struct server_request *req, int status, const char *fields, size_t fields_len,
                    const char *body, size_t body_len)
{
    struct connection *c = (struct connection *)req;
    bool ok;

    if (!begin(c, status))
        return;
    ok = put_head(c, status, fields, fields_len, (int64_t)body_len);
    if (!c->body_sent)
        body_len = 0;
    if (ok && body_len > COPY_MAX)
        ok = put_large(c, body, body_len);
    else if (ok)
        ok = buf_append(&c->out, body, body_len);
    if (!ok) {
        fail(c);
        return;
    }
    note_output(c, body_len);
    finish(c);
}

void server_start(struct server_request *req, int status, const char *fields, size_t fields_len)
{
    struct connection *c = (struct connection *)req;

    if (!begin(c, status))
        return;
    c->chunked = !c->http10;
    if (c->http10 && c->body_sent)
        c->keep_alive = false;
    if (!put_head(c, status, fields, fields_len, -1))
        fail(c);
    else
        note_output(c, 0);
}

void server_write(struct server_request *req, const char *bytes, size_t n)
{
    struct connection *c = (struct connection *)req;
    char *start, *to;

    if (req->gone || !req->head_sent || req->finished || !c->body_sent || n == 0)
        return;
    start = to = buf_reserve(&c->out, n + 24);
    if (!to) {
        fail(c);
        return;
    }
    if (c->chunked) {
        to = put_number(to, n, 16);
        to = put(to, "\r\n", 2);
    }
    to = put(to, bytes, n);
    if (c->chunked)
        to = put(to, "\r\n", 2);
    buf_commit(&c->out, (size_t)(to - start));
    note_output(c, n);
}

void server_finish(struct server_request *req)
{
    struct connection *c = (struct connection *)req;

    if (req->gone || !req->head_sent || req->finished)
        return;
    if (c->chunked && c->body_sent && !buf_append(&c->out, "0\r\n\r\n", 5))
        fail(c);
    else
        finish(c);
}

bool response_switch(struct connection *c, const char *fields, size_t n)
{
    if (!begin(c, 101))
        return false;
    c->keep_alive = true;
    c->chunked = false;
    if (!put_head(c, 101, fields, n, -1))
        return false;
    c->req.finished = true;
    connection_queued(c);
    return true;
}

bool server_writable(const struct server_request *req)
{
    const struct connection *c = (const struct connection *)req;

    return connection_pending(c) <= c->server->limits.output_high;
}

size_t server_pending(const struct server_request *req)
{
    return req->gone ? 0 : connection_pending((const struct connection *)req);
}

// --- what the server says itself ---

void response_continue(struct connection *c)
{
    buf_puts(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    connection_mark_dirty(c);
}

static const char *explain(int status)
{
    switch (status) {
    case 408:
        return "The request head did not arrive in time.";
    case 417:
        return "The expectation is not supported.";
    case 431:
        return "The request head is too large.";
    case 501:
        return "The transfer coding is not supported.";
    case 505:
        return "Only versions 1.0 and 1.1 of HTTP are supported.";
    default:
        return "The request is malformed.";
    }
}

void response_refuse(struct connection *c, int status)
{
    static const char fields[] = "Content-Type: application/json\r\n";
    char body[256];
    int n = snprintf(body, sizeof(body),
                     "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\","
                     "\"param\":null,\"code\":null}}",
                     explain(status));

    if (put_head(c, status, fields, sizeof(fields) - 1, n))
        buf_append(&c->out, body, (size_t)n);
}
