// sse.h - incremental decoder for Server-Sent Events.
//
// Pull style: feed bytes as they come, then take events until none is complete.  Accepts LF, CRLF
// and CR, one leading BOM, `data:` with or without the space, several data lines (joined by LF).
// Knows nothing of HTTP, JSON or Lua.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SSE_EVENT_MAX (64 * 1024 * 1024)

// One decoded event.  Its strings stay valid until the next call on the decoder.
struct sse_event {
    const char *name; // "" when the stream gave none
    size_t name_len;
    const char *data;
    size_t data_len;
};

struct sse {
    struct buf in;      // bytes of the event that is not complete yet
    size_t scanned;     // bytes of `in` known to hold no event end
    size_t taken;       // bytes of `in` that the last event occupied
    size_t comments;    // comment lines seen so far
    bool started;       // the place of a BOM has been passed
    bool too_large;     // an event exceeded the maximum; the stream is unusable
    bool ended;         // sse_end() was called
};

// `event_max`: largest event in bytes, 0 for SSE_EVENT_MAX.
void sse_init(struct sse *s, size_t event_max);
void sse_deinit(struct sse *s);

// Adds bytes.  False when the event under way exceeds the maximum, or memory ran out.
bool sse_feed(struct sse *s, const char *bytes, size_t n);

// The stream is over: an unterminated last event becomes available too.
void sse_end(struct sse *s);

// Takes the next complete event that has a data or event field.  False when more bytes are needed.
bool sse_next(struct sse *s, struct sse_event *event);

// Appends one event to `out`: `event:` line unless the name is empty, one `data:` line for each
// line of the data, a blank line.
bool sse_write(struct buf *out, const char *name, size_t name_len, const char *data,
               size_t data_len);
