// upstream.h - the HTTP client of one worker: libcurl's multi interface driven by libuv.
//
// A transfer is one upstream call.  Response bytes (content decoding undone, on errors too)
// collect in `in` up to TRANSFER_HIGH; then the upstream is paused until the user consumed half.
// Connections are reused; TLS is always verified.  Callbacks only tell that something changed.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/buf.h"
#include "base/log.h"

#define TRANSFER_HIGH (64 * 1024)

struct upstream;
struct transfer;

// Once a process, before the first thread starts and after the last ended.  The first ignores
// SIGPIPE, which writing to a closed TLS connection would raise.
bool upstream_global_init(void);
void upstream_global_cleanup(void);

enum transfer_error {
    TRANSFER_OK,
    TRANSFER_UNREACHABLE, // name, connection, proxy or TLS failed; nothing was answered
    TRANSFER_TIMEOUT,     // connect, first byte or idle limit
    TRANSFER_BROKEN,      // cut, bad chunking, bad compression, protocol error
    TRANSFER_BAD_PROXY    // the proxy URL cannot be used; nothing was tried
};

// The pointers must stay valid until transfer_free(): nothing is copied but the headers.
struct transfer_request {
    const char *method;
    const char *url;
    const char *const *fields; // "Name: value" strings, NULL at the end
    const char *body;          // NULL: none
    size_t body_len;
    // NULL: the environment's (HTTP_PROXY, HTTPS_PROXY, NO_PROXY); "direct", "none": no proxy;
    // else http, https, socks5 (name resolved here) or socks5h, with optional user:password@.
    const char *proxy;
    double connect_seconds, first_byte_seconds, idle_seconds; // 0: the defaults 30, 600, 600
};

struct transfer {
    int status;                // of the final response head, 0 before
    bool head_done;            // status and fields are complete
    bool done;                 // the body is complete, or `error` says why not
    enum transfer_error error;
    char message[256];         // for the log; carries no secret and no URL query
    struct buf in;             // body bytes not yet consumed
    double started, head_at;   // clock_mono()
    void *owner;
    void (*on_change)(struct transfer *t); // head, bytes or end arrived
};

// `log` may be NULL.  Reads SSL_CERT_FILE (private CA) and CLIPROXY_RESOLVE from the environment
// once.  The latter is for tests: a list separated by commas of `host:port:address`, like curl's
// --resolve, or `host:port:address:port`, which leads to another port; there host may be `*`.
struct upstream *upstream_new(uv_loop_t *loop, struct log *log);

// Cancels all transfers' network activity and closes connections; free after the loop ran until
// upstream_closed().  Transfers must be freed first.
void upstream_stop(struct upstream *u);
bool upstream_closed(const struct upstream *u);
void upstream_free(struct upstream *u);

// Drops idle connections and cached memory (called when the worker was idle for a while).
void upstream_trim(struct upstream *u);

// Starts a call.  NULL only without memory; all other failures arrive as `done` with `error`.
// On a kept connection the answer may be there when it returns; on_change still comes later.
struct transfer *transfer_start(struct upstream *u, const struct transfer_request *request,
                                void (*on_change)(struct transfer *t), void *owner);

// First response field of that name (any case), trimmed and NUL-terminated, or NULL.
const char *transfer_field(const struct transfer *t, const char *name);

// Iterates over all response fields: start with *pos = 0; false at the end.
bool transfer_next_field(const struct transfer *t, size_t *pos, const char **name,
                         const char **value);

// Takes `n` bytes off the front of `in` and lets the upstream go on when there is room.
void transfer_consume(struct transfer *t, size_t n);

// Ends the call at once (cancels it if it still runs).  NULL is allowed.
void transfer_free(struct transfer *t);
