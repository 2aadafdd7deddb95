// gateway.h - between the server and the scripts: gives each request an id and an exchange with the
// current state, writes its access line and keeps its route trace.

#pragma once

#include <stdint.h>

#include "base/log.h"
#include "net/server.h"
#include "store/traces.h"

struct script_state;

struct gateway {
    struct log *log;
    struct traces *traces;      // may be NULL
    struct script_state *state; // current
    uint64_t seed;              // of request ids; 0 before the first
    void *ctx;
    void (*on_exchange_end)(void *ctx, struct script_state *state, bool script_failed);
};

// The handler to give to server_new().
struct server_handler gateway_handler(struct gateway *g);
