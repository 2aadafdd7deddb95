// traces.h - what became of the newest requests, for people who ask why one failed.
//
// A ring of small records, found by request id.  The oldest go when there are too many or when
// they take too much memory.  Any thread.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum {
    TRACES_MAX = 1000,
    TRACE_STEPS_MAX = 4096, // bytes of steps of one request
};

struct traces;

// One request.  Texts are copied, each cut at 255 bytes; "" where there is nothing to say.
struct trace {
    const char *id;
    double time;       // Unix time of its arrival
    double seconds;    // from then until its end
    double first_byte; // seconds until the first byte of the answer; negative: there was none
    int status;
    const char *method, *path;
    const char *dialect, *model, *provider, *credential;
    const char *steps; // JSON objects with commas between them
    size_t steps_len;  // at most TRACE_STEPS_MAX, else none are kept
};

// `max_bytes` of all records together.  NULL without memory.
struct traces *traces_new(size_t max_bytes);
void traces_free(struct traces *t);

// Adds a record; without memory it is lost.  NULL swallows it.
void traces_add(struct traces *t, const struct trace *trace);

// Appends the newest record of that id as a JSON object.  False when there is none.
bool traces_find(struct traces *t, const char *id, struct buf *out);
