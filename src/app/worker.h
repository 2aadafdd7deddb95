// worker.h - one thread that serves: a loop, a server, an upstream client, a script state.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "app/gateway.h"
#include "base/list.h"
#include "base/log.h"
#include "net/server.h"
#include "net/upstream.h"
#include "script/generation.h"
#include "script/host.h"
#include "script/states.h"

struct worker;

struct worker_options {
    struct log *log;
    struct script_shared shared;
    struct server_limits limits;
    SSL_CTX *tls; // NULL: plain
    size_t address_count;
    void (*on_retired)(void *ctx); // on the worker's thread: a state of it was freed
    void (*on_end)(void *ctx);          // on the worker's thread: its loop has ended
    void (*on_script_error)(void *ctx); // on the worker's thread: a script failed a request
    void *ctx;
};

// Makes a worker around its first state (taken in any case) and opens its listeners on
// `address_count` addresses, whose port is set when it was 0.  Runs nothing yet.  NULL with a
// message in `error`.
struct worker *worker_new(const struct worker_options *options, struct script_state *state,
                          struct sockaddr_storage *addresses, struct buf *error);

// Starts the thread.
bool worker_start(struct worker *w);

// From any thread: makes the state current for requests to come.  The worker owns it from now on.
void worker_set_state(struct worker *w, struct script_state *state,
                      const struct server_limits *limits);
void worker_set_tls(struct worker *w, SSL_CTX *tls);

// From any thread: stop listening and end when nothing is open, at the latest after `seconds`.
void worker_drain(struct worker *w, double seconds);

// Waits for the thread and frees everything.
void worker_join(struct worker *w);
