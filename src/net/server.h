// server.h - the HTTP/1.1 server of one worker: listeners, client connections, requests.
//
// The server parses (llhttp, strict), enforces the limits of spec http-api 1.1, decodes request
// bodies, and writes responses with back-pressure.  It knows no route and no dialect.  All calls
// belong to the thread of its loop.  Callbacks only tell that something changed: the user looks at
// the request afresh each time, and must not free the server from inside one.
//
// A request lives from on_request until server_release(); the next pipelined request of the
// connection starts after that.  A client that closes its side has left: `gone` becomes true.
// (Not seen while more than 64 KiB of its input wait unparsed: then nothing is read.)
//
// Targets are origin form only, `*` for OPTIONS; trailers are refused; an Upgrade is an ordinary
// request unless it is answered with upgrade_accept() (upgrade.h).  The process has to ignore SIGPIPE.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/log.h"

struct server;

struct server_limits {
    size_t head_bytes;    // request line and headers; 431 above (1 MiB)
    size_t body_bytes;    // decoded body; SERVER_BODY_TOO_LARGE above (64 MiB)
    double head_seconds;  // from the first byte, or accept, to a complete head; 408 (30)
    double body_seconds;  // without a body byte while one is due (60)
    double idle_seconds;  // keep-alive without a request (120)
    double write_seconds; // without progress on pending output (600)
    size_t output_high;   // pending output above which server_writable() is false (64 KiB)
};

// How far the body is.  Everything from SERVER_BODY_TOO_LARGE on is final and closes the
// connection after the response.
enum server_body {
    SERVER_BODY_READING,
    SERVER_BODY_COMPLETE,
    SERVER_BODY_TOO_LARGE,   // 413
    SERVER_BODY_TIMED_OUT,   // 408
    SERVER_BODY_MALFORMED,   // 400: bad chunk, bad compressed data
    SERVER_BODY_BAD_ENCODING // 415: a Content-Encoding we do not know
};

struct server_field {
    const char *name; // as sent; compare without case
    size_t name_len;
    const char *value; // trimmed
    size_t value_len;
};

struct server_request {
    const char *method; // NUL-terminated, upper case as sent
    const char *target; // request target as sent, origin form; NUL-terminated
    size_t path_len;    // bytes of `target` before `?`
    const struct server_field *fields;
    size_t field_count;
    const char *peer;    // address of the socket peer, without port; v4-mapped shown as IPv4
    bool peer_loopback;  // 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104
    bool tls;            // came over the TLS listener
    double started;      // clock_mono() when the head was complete
    enum server_body body_state;
    struct buf body;     // decoded bytes so far; the user may buf_detach() it when complete
    bool gone;           // the client has left, or the connection broke; output is discarded
    bool head_sent;      // a response head was queued
    bool finished;       // server_finish() was called
    int status;          // of the response, 0 before its head
    uint64_t bytes_out;  // body bytes queued
    double first_out;    // clock_mono() of the first body byte, 0 before
    void *owner;         // the user's
    // Something changed: body state, `gone`, or output fell below half of output_high.
    // May be NULL.
    void (*on_change)(struct server_request *req);
};

struct server_handler {
    void *ctx;
    // A request head is complete (and often the body as well).
    void (*on_request)(void *ctx, struct server_request *req);
    // Nobody saw this one: the server itself refused `status` (a head that is malformed, too
    // large or too slow).  `target` may be "".  For the access line.
    void (*on_refused)(void *ctx, const char *peer, const char *method, const char *target,
                       int status);
};

// Makes a server on `loop`.  `tls` may be NULL; it is referenced (SSL_CTX_up_ref).
struct server *server_new(uv_loop_t *loop, struct log *log, const struct server_limits *limits,
                          const struct server_handler *handler);

// Opens one listener with SO_REUSEPORT.  0 or a negative libuv code.
// `*port` may be 0 for any free one; it is set to the one bound.
int server_listen(struct server *s, const struct sockaddr *address, int *port);

// The same for a port that is not shared: UV_EADDRINUSE when anybody listens there.
int server_listen_alone(struct server *s, const struct sockaddr *address, int *port);

// New connections speak TLS with this context (NULL: plain).  Running ones keep theirs.
void server_set_tls(struct server *s, SSL_CTX *tls);
void server_set_limits(struct server *s, const struct server_limits *limits);

// Closes the listeners and idle connections; further responses carry `Connection: close`.
void server_drain(struct server *s);

// Requests not yet released, plus connections with output pending and upgraded ones at work.
size_t server_busy(const struct server *s);
size_t server_connections(const struct server *s);

// Closes everything at once: `gone` is reported to open requests, which must still be released.
void server_stop(struct server *s);

// Frees a stopped server; the loop must have run until all handles closed (server_closed()).
bool server_closed(const struct server *s);
void server_free(struct server *s);

// Writes collected output of all connections.  The worker calls it after each pass of tasks, so
// that several events of one pass leave in one write.
void server_flush(struct server *s);

// --- one request ---

// The first field of that name (any case), or NULL.
const struct server_field *server_field(const struct server_request *req, const char *name);

// The handler wants the body: sends `100 Continue` if the client waits for it, and reads on.
// Without it, only what came together with the head is read.
void server_want_body(struct server_request *req);

// Sends a whole response.  `fields` is a block of `Name: value\r\n` lines (no injection check);
// the server adds Date, Content-Length and Connection, and drops the body for HEAD, 204 and 304.
void server_respond(struct server_request *req, int status, const char *fields, size_t fields_len,
                    const char *body, size_t body_len);

// Begins a response of unknown length: chunked, or closed at the end for HTTP/1.0.
void server_start(struct server_request *req, int status, const char *fields, size_t fields_len);
void server_write(struct server_request *req, const char *bytes, size_t n);
void server_finish(struct server_request *req);

// False while more than output_high bytes wait for the client.
bool server_writable(const struct server_request *req);

// Bytes queued and not yet taken by the kernel.
size_t server_pending(const struct server_request *req);

// Breaks the connection: the client sees a response cut short, not a clean end.
void server_abort(struct server_request *req);

// The user is done with the request; the pointer is invalid afterwards.  An unfinished response
// is aborted.
void server_release(struct server_request *req);
