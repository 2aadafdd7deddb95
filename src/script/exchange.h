// exchange.h - one client request served by one task of a script state.  Free of Lua types: this
// is what the gateway uses.

#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/server.h"

struct exchange;
struct script_host;
struct script_state;

// What the scripts said about the request, for the access line.  Short, cut when longer.
struct exchange_facts {
    char model[128];
    char credential[128];
    char provider[64];
    char dialect[32];
};

struct exchange {
    struct server_request *req; // NULL after the end
    struct script_state *state;
    char id[16];
    struct exchange_facts facts;
    int handler;        // what serves it, see exchange_start()
    double tried;       // clock_mono() when the scripts last named a credential, 0 before
    struct buf steps;   // of its route trace: JSON objects with commas between them
    bool script_failed; // the pipeline raised or was stopped
    void *owner;
    // The request is over; `req` is still valid inside and is released afterwards.
    void (*on_end)(struct exchange *x);

    struct task *task;     // private from here on
    struct client *client;
    bool failing;          // main.failed is running
    bool cancelled;        // waits for the host to cancel it
    struct list in_host;
};

// Starts main.handle(client) for the request, or handler(client) when `handler` is not
// EXCHANGE_MAIN but the reference of a function in the state's registry.  NULL without memory: the
// request is still the caller's then.
#define EXCHANGE_MAIN (-2) // LUA_NOREF
struct exchange *exchange_start(struct script_state *state, struct server_request *req,
                                const char *id, int handler, void (*on_end)(struct exchange *x),
                                void *owner);

// Cancels exchanges whose client has left; the host calls it after each pass.
void exchange_cancel_gone(struct script_host *host);
