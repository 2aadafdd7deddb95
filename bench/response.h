// response.h - incremental reader of HTTP/1.1 responses for the load generator.
//
// Keeps the head and the end of the body, counts the rest.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESPONSE_HEAD_MAX 8192
#define RESPONSE_TAIL 2048

enum response_state {
    RESPONSE_HEAD,
    RESPONSE_LENGTH,
    RESPONSE_UNTIL_CLOSE,
    RESPONSE_CHUNK_SIZE,
    RESPONSE_CHUNK_DATA,
    RESPONSE_CHUNK_END,
    RESPONSE_TRAILER,
    RESPONSE_DONE,
};

struct response {
    enum response_state state;
    int status;
    bool close; // the server closes the connection afterwards
    bool chunked;
    uint64_t left; // of the body or the chunk
    uint64_t body_bytes;
    size_t line_len; // bytes of the chunk size or trailer line so far
    size_t head_len;
    size_t tail_len;
    char head[RESPONSE_HEAD_MAX];
    char tail[2 * RESPONSE_TAIL];
};

void response_init(struct response *r);

// Takes bytes from the wire; returns how many were used (fewer only when done), or -1.
ptrdiff_t response_feed(struct response *r, const char *data, size_t len);

// The connection was closed.  True when that was a proper end.
bool response_end(struct response *r);

bool response_tail_has(const struct response *r, const char *text);
