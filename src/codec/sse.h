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
#define SSE_FEED_MAX (1024 * 1024)

// One decoded event.  Its strings stay valid until the next call on the decoder.
struct sse_event {
    const char *name; // "" when the stream gave none
    size_t name_len;
    const char *data;
    size_t data_len;
};

struct sse {
    struct buf in;        // bytes not taken yet; the event under way begins there
    struct buf late_name; // name of the event under way when it came after data
    size_t event_max;
    size_t line;          // where the line under way begins in `in`
    size_t scanned;       // bytes of `in` that need not be searched for its end again
    size_t taken;         // bytes of `in` that the last event occupied
    size_t data_at, data_len, name_at, name_len; // of the event under way, in `in`
    size_t comments;      // comment lines seen so far
    bool has_data;        // the event under way has a data field
    bool name_is_late;
    bool after_cr;        // the line before ended with a CR whose LF may still come
    bool started;         // the place of a BOM has been passed
    bool too_large;       // an event exceeded the maximum; the stream is unusable
    bool ended;           // sse_end() was called
};

// `event_max`: largest event in bytes, up to its blank line; 0 for SSE_EVENT_MAX.
void sse_init(struct sse *s, size_t event_max);
void sse_deinit(struct sse *s);

// Adds bytes; take all events before the next call.  False when an event exceeds the maximum, or
// memory ran out, or there are more than SSE_FEED_MAX bytes of other events.
bool sse_feed(struct sse *s, const char *bytes, size_t n);

// The stream is over: an unterminated last event becomes available too.
void sse_end(struct sse *s);

// Takes the next complete event that has a data or event field.  False when more bytes are needed.
bool sse_next(struct sse *s, struct sse_event *event);

// Appends one event to `out`: `event:` line unless the name is empty, one `data:` line for each
// line of the data (LF, CRLF or CR between them), a blank line.  The name must be one line.
bool sse_write(struct buf *out, const char *name, size_t name_len, const char *data,
               size_t data_len);
