// upgrade.h - client connections that have left HTTP and speak WebSocket (RFC 6455).
//
// An upgraded connection carries text messages both ways until one side closes it.  Pings, pongs,
// close frames and time limits are dealt with here; no extension and no subprotocol is spoken.
// Belongs to the thread of its server.
//
// A server that drains closes it with 1001, at once or, while it is at work, when that ends.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "codec/websocket.h"
#include "net/server.h"

struct upgrade;

struct upgrade_limits {
    size_t message_bytes; // largest message from the client; 1009 above
    double ping_seconds;  // between two pings
    double quiet_seconds; // without a byte from the client: it is taken for dead
    double write_seconds; // without progress on pending output
};

struct upgrade_handler {
    void *ctx;
    // A whole message, valid until it returns; upgrade_detach() takes it over.
    void (*on_text)(void *ctx, const char *text, size_t len);
    // upgrade_writable() is true again.
    void (*on_writable)(void *ctx);
    // It is over, with the status of the client's close frame, of ours, or WEBSOCKET_ABNORMAL; the
    // pointer is invalid afterwards.  Never called from inside of a function below.
    void (*on_close)(void *ctx, int status);
};

// Answers a handshake with 101; messages come once the request is released.  A bad handshake is
// answered with 400, and NULL returned; so it is when nobody is left to answer.  `fields` as for
// server_respond().
struct upgrade *upgrade_accept(struct server_request *req, const char *fields, size_t fields_len,
                               const struct upgrade_limits *limits,
                               const struct upgrade_handler *handler);

// False from the first close frame on, whoever sent it: nothing can be sent then, and no message
// will come, though on_close() may take a while.
bool upgrade_is_open(const struct upgrade *u);

// Queues a text message (UTF-8, not checked).  False without memory, or when it is closing.
bool upgrade_send(struct upgrade *u, const char *text, size_t n);

// False while more than output_high bytes wait for the client, or when it is closing.
bool upgrade_writable(const struct upgrade *u);

// Inside on_text: the message becomes the caller's (free()), where it is; a NUL follows it.
char *upgrade_detach(struct upgrade *u, size_t *len);

// Stops reading the socket, from the next message on, until it is called with false.
void upgrade_pause(struct upgrade *u, bool paused);

// Tells that something is under way which a drain has to wait for.
void upgrade_keep(struct upgrade *u, bool at_work);

// Sends a close frame; no message is delivered any more.
void upgrade_close(struct upgrade *u, enum websocket_status status, const char *reason);
