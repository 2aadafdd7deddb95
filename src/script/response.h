// response.h - the userdata behind a script's Response: one upstream call.

#pragma once

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "base/buf.h"
#include "codec/sse.h"
#include "net/upstream.h"
#include "script/task.h"

struct response {
    struct resource resource;
    struct transfer *transfer; // NULL after close
    struct wait wait;
    struct buf body; // collected by body()
    struct sse sse;  // decoder of events(), once `reading_events`
    bool reading_events;
    double deadline; // of the wait under way
};

// The open response at `index`; raises when it was closed.
struct response *l_check_response(lua_State *L, int index);

// Pushes the error of a failed transfer.
void l_push_transfer_error(lua_State *L, const struct transfer *t);

// Feeds what has arrived to the event decoder.  1: an event is in `event`, 0: more is needed,
// -1: the stream ended, or broke (then `*broken` is set).  Ownership of the strings: the decoder's.
int response_next_event(struct response *r, struct sse_event *event, bool *broken);
