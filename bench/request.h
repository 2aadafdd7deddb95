// request.h - reads HTTP/1.1 requests for the mock upstream.
//
// Feed it by reading into request_room(); it buffers one request whole, decodes a chunked body in
// place and keeps what follows for the next one.  Trusts its peers more than a server should: it
// answers a load generator on the loopback.

#pragma once

#include "replies.h"

#include <stdbool.h>
#include <stddef.h>

enum request_result { REQUEST_MORE, REQUEST_CONTINUE, REQUEST_READY, REQUEST_BAD };

struct request {
    char *data;
    size_t len;
    size_t capacity;
    size_t head_len; // 0 until the head is complete
    size_t body_len; // decoded so far, when chunked; else what the head promised
    size_t scan;     // chunked: first byte not decoded yet
    size_t chunk_left;
    int chunk_state;
    bool chunked;
    bool close;    // the client wants the connection closed afterwards
    bool expects;  // the client waits for "100 Continue"
};

// Where to read to, at least one byte; NULL when the request is too large or memory ran out.
char *request_room(struct request *r, size_t *room);

// Takes `added` more bytes.  REQUEST_CONTINUE: say "100 Continue" and call again with 0.
enum request_result request_feed(struct request *r, size_t added);

// What a complete request asks for.  False when the path is not one of the mock's.
bool request_route(const struct request *r, enum dialect *dialect, enum mode *mode);
bool request_is_get(const struct request *r, const char *path);

// Forgets the finished request, keeps the bytes behind it.
void request_next(struct request *r);
void request_deinit(struct request *r);
