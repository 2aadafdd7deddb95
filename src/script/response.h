// response.h - the userdata behind a script's Response: one upstream call.

#pragma once

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "base/buf.h"
#include "codec/sse.h"
#include "net/upstream.h"
#include "script/task.h"

// User values of the userdata: what the transfer points into; the script may change its request table
// at any time.
enum {
    RESPONSE_KEEP_URL = 1,
    RESPONSE_KEEP_BODY,
    RESPONSE_KEEP_METHOD,
    RESPONSE_KEEP_CREDENTIAL,
    RESPONSE_KEEP_PROXY,
    RESPONSE_KEEP_COUNT = RESPONSE_KEEP_PROXY
};

struct response {
    struct resource resource;
    struct transfer *transfer; // NULL after close
    struct wait wait;
    struct buf body; // collected by body()
    char *secret;    // that was sent, or NULL
    struct sse sse;  // decoder of events(), once `reading_events`
    bool reading_events;
    double deadline; // of the wait under way
};

// Pushes a new response without a call.
struct response *l_new_response(lua_State *L);

// Starts its call, which ends with the task at the latest.  r->transfer stays NULL without memory.
void response_start(struct response *r, struct task *t, struct upstream *upstream,
                    const struct transfer_request *request);

// The open response at `index`; raises when it was closed.
struct response *l_check_response(lua_State *L, int index);

// Pushes the error of a failed transfer.
void l_push_transfer_error(lua_State *L, const struct transfer *t);

// The same as nil and the error; returns 2.
int l_push_broken(lua_State *L, const struct transfer *t);

// Feeds what has arrived to the event decoder.  1: an event is in `event`, 0: more is needed,
// -1: the stream ended, or broke (then `*broken` is set).  Ownership of the strings: the decoder's.
int response_next_event(struct response *r, struct sse_event *event, bool *broken);
