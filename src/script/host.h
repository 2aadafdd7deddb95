// host.h - what the script states of one worker share: the scheduler and the worker's services.
// Free of Lua types.

#pragma once

#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "base/log.h"
#include "store/store.h"
#include "store/traces.h"

struct accounts;
struct keeper;
struct mailbox;
struct scheduler;
struct script_state;
struct sessions;
struct upstream;

// What all hosts of a process share.
struct script_shared {
    struct log *log; // may be NULL in tests
    struct store *store;
    struct traces *traces;     // may be NULL
    struct accounts *accounts; // NULL: there are only the configured credentials
    struct keeper *keeper;     // NULL: nobody answers keeper.ask()
    struct sessions *sessions; // NULL: no client can become one
};

struct script_host {
    struct scheduler *scheduler;
    struct upstream *upstream; // the worker's
    struct log *log;
    struct store *store;
    struct traces *traces;
    struct accounts *accounts;
    struct keeper *keeper;
    struct mailbox *mailbox; // answers from other threads
    bool mailbox_open;
    struct sessions *sessions;
    struct list session_list; // those of this host, see sessions.h
    bool sessions_need_key;
    struct list gone;      // exchanges whose client has left
    struct list listeners; // of scripts, see listener.h
    void (*after_pass)(void *ctx);
    void *ctx;
};

// Makes a host on a loop.  `after_pass` is called after each pass of tasks.
// Everything is the caller's and outlives the host.
struct script_host *host_new(uv_loop_t *loop, struct upstream *upstream,
                             const struct script_shared *shared, void (*after_pass)(void *ctx),
                             void *ctx);

// Starts the clock that notices long runs.  On the thread that will run the loop; false when the
// system has no such clock.
bool host_start(struct script_host *h);

// Closes the handles; then run the loop until host_closed(), and free.
void host_stop(struct script_host *h);
bool host_closed(const struct script_host *h);
void host_free(struct script_host *h);

// Makes the loop come round without blocking, so that a pass follows soon.
void host_wake(struct script_host *h);

// Attaches a state to the calling worker: from now on its tasks run here.
void host_attach(struct script_host *h, struct script_state *state);

// Tasks of a state that have not ended.
size_t state_tasks(const struct script_state *state);

// Ends all tasks of a state, whether or not their clients are still there.
void state_cancel(struct script_state *state);

// Collects a state's garbage and lets go of what it kept for reuse.
void state_collect(struct script_state *state);
