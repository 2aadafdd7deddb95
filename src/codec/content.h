// content.h - undoes HTTP content codings (gzip, deflate, br, zstd) in bounded steps.
//
// Pull style, so that a small bomb cannot hold the loop: content_step() makes at most
// CONTENT_STEP bytes of output per call, and what stacked codings hand each other is limited too.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define CONTENT_STEP (256 * 1024)

struct content;

enum content_result {
    CONTENT_MORE_INPUT, // all input was used
    CONTENT_MORE_OUTPUT, // call again: output is waiting
    CONTENT_DONE,       // the coded stream is complete
    CONTENT_FAILED,     // corrupt data, or trailing garbage; the decoder is of no further use
    CONTENT_TOO_LARGE   // the output exceeds the maximum of `out`; so is it then
};

// A decoder for the value of a Content-Encoding header: codings separated by commas, undone right
// to left, at most four.  `identity` and "" need none: *out is NULL then and the result true.
// False for a coding we do not know.  deflate is accepted zlib-wrapped and raw.
bool content_new(const char *encoding, size_t len, struct content **out);
void content_free(struct content *c);

// Feeds input (copied, at most 8 MiB not used yet) and appends decoded bytes to `out`; `n` may be 0
// to continue.
enum content_result content_step(struct content *c, const char *bytes, size_t n, struct buf *out);

// True when the coded stream ended cleanly (call at the end of the message).
bool content_complete(const struct content *c);
