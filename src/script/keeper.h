// keeper.h - scripts on the main thread: the one state that sees tokens, and calls to it from tasks
// of any thread.
//
// The keeper runs `lua/core/keeper.lua` of the current generation: `run()` for as long as the
// generation is current, and `handle(name, argument)` in a task of its own for each call.  It has
// an upstream client and a host of its own.  Free of Lua types.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "script/host.h"
#include "script/mailbox.h"

struct keeper;
struct script_state;

// One call on its way to the keeper and back.
struct keeper_call {
    struct letter letter;
    struct keeper *keeper;
    struct mailbox *home; // where the answer goes; NULL: nobody waits for one
    char *name;
    char *argument;
    size_t argument_len;
    bool fine;    // of the answer: a result, else an error message
    char *answer; // NULL while there is none
    size_t answer_len;
    // At home: the answer has arrived.  May be changed there while the call is away.
    void (*on_answer)(struct keeper_call *call);
    void *owner;
};

// On the main thread.  `shared` without its keeper, which this is.  `on_release`: a state of a
// former generation was freed.  NULL without memory.
struct keeper *keeper_new(uv_loop_t *loop, const struct script_shared *shared,
                          void (*on_release)(void *ctx), void *ctx);

// On the thread that runs the loop.
bool keeper_start(struct keeper *k);

// Makes a state current and owns it: `run()` of the former one ends, its calls go on.
void keeper_set_state(struct keeper *k, struct script_state *state);

// From any thread.  The call goes to the keeper and comes home with an answer, always; without a
// home it is freed.
void keeper_send(struct keeper *k, struct keeper_call *call);

// From any thread: a call without an answer.  What cannot be sent without memory is dropped.
void keeper_post(struct keeper *k, const char *name, const char *argument, size_t len);

// A call to be filled in and sent; copies its strings.  NULL without memory.
struct keeper_call *keeper_call_new(const char *name, const char *argument, size_t len);
void keeper_call_free(struct keeper_call *call);

// The running task answers its call: once, later ones are ignored.  False when it serves none.
bool keeper_reply(struct script_state *state, bool fine, const char *answer, size_t len);

// Ends run(); calls under way go on: see keeper_busy().
void keeper_drain(struct keeper *k);

// Calls that are not answered yet.  What goes on after its answer (a login that waits for somebody)
// holds up nothing.
size_t keeper_busy(const struct keeper *k);

// Ends all tasks and closes the handles; then run the loop until keeper_closed(), and free.
void keeper_stop(struct keeper *k);
bool keeper_closed(const struct keeper *k);
void keeper_free(struct keeper *k);
