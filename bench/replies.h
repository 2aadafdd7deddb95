// replies.h - the canned answers of the mock upstream, built once at start.
//
// A reply is bytes ready for the wire, heads and chunk framing included: `first`, then `body`
// `repeat` times, then `last`.  Knows the four dialects; knows nothing of sockets.

#pragma once

#include <stdbool.h>
#include <stddef.h>

enum dialect { DIALECT_CHAT, DIALECT_ANTHROPIC, DIALECT_GEMINI, DIALECT_RESPONSES, DIALECT_COUNT };

enum mode {
    MODE_JSON,    // one JSON document
    MODE_BURST,   // all events of a stream in one write
    MODE_BRIEF,   // the same with one content event
    MODE_SPLIT,   // one event a write, no delay
    MODE_PACED,   // one event a write, a delay between them
    MODE_ENDLESS, // many megabytes of events, as fast as the reader takes them
    MODE_IDLE,    // the head and the first event, then nothing until the client leaves
    MODE_COUNT,
};

struct text {
    char *data;
    size_t len;
};

struct reply {
    struct text first;
    struct text body;
    size_t repeat; // how often `body` is sent
    struct text last;
    bool paced; // wait before every body
    bool hang;  // never ends
};

struct reply_options {
    size_t events;        // content events in MODE_BURST and MODE_SPLIT
    size_t paced_events;  // in MODE_PACED
    size_t endless_bytes; // about, in MODE_ENDLESS
};

struct replies {
    struct reply table[DIALECT_COUNT][MODE_COUNT];
};

// False when memory ran out; replies_deinit is due in both cases.
bool replies_init(struct replies *r, const struct reply_options *options);
void replies_deinit(struct replies *r);
