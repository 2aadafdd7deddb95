// task.h - tasks and waits: how straight-line scripts run on an event loop.
//
// A task is a coroutine that serves one request.  It runs until a binding parks it on a wait.
// libuv and libcurl callbacks never touch Lua: they change C state and call task_wake(); woken
// tasks run from the loop's prepare and check phases, in bounded passes.  lua_resume() is called
// in one place, in task.c.
//
// A task that runs longer than its time slice is put behind the others; one that exceeds the hard
// limit, or its share of memory, between two waits ends with an error that no pcall survives: it
// is not resumed again.  See watch.h for how long runs are noticed.

#pragma once

#include <lua.h>
#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "script/alarm.h"
#include "script/state.h"
#include "script/watch.h"

struct task;

// What a task is parked on; lives inside the thing that is waited for.
struct wait {
    struct task *task; // NULL while nobody waits
};

// Something that a task opened and that ends with it, whether a script closed it or not.
struct resource {
    struct list in_task;
    void (*release)(struct resource *r); // idempotent; unlinks
};

// How a task ended.
enum task_result {
    TASK_OK,
    TASK_FAILED,   // a script error; `message` has the traceback
    TASK_STOPPED,  // exceeded a limit; `message` says which and where
    TASK_CANCELLED // task_cancel()
};

struct task {
    struct script_state *state;
    lua_State *thread;
    int thread_ref;        // anchors the coroutine in the registry
    struct list in_state;  // state->tasks
    struct list in_ready;  // scheduler->ready
    struct list resources;
    struct wait *parked;
    struct wait sleep;     // for waits on time alone
    struct alarm alarm;    // ends the wait
    bool timed_out;        // the last wait ended by its alarm
    int arguments;         // values on the stack for the first resume
    bool started, stopped; // `stopped`: never resume again
    char stop_reason[200];
    double cpu;            // thread seconds since the last wait, in ticks of the watch
    ptrdiff_t grown;       // bytes of state memory added since the last wait
    size_t memory_at;      // state->memory when it was resumed
    char id[16];           // request id for logs, "" without
    void *owner;           // the user's
    void (*on_end)(struct task *t, enum task_result result, const char *message);
};

struct scheduler {
    uv_loop_t *loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;        // runs while tasks are ready, so that the loop does not block
    struct list ready;
    struct watch watch;
    struct alarms alarms;
    void (*after_pass)(void *ctx); // output of a pass leaves in one write
    void *ctx;
    int open_handles;
};

void scheduler_init(struct scheduler *s, uv_loop_t *loop, void (*after_pass)(void *ctx),
                    void *ctx);
int scheduler_start(struct scheduler *s); // on the loop's thread; 0 or a negative errno
void scheduler_stop(struct scheduler *s); // then run the loop until open_handles is 0
void scheduler_deinit(struct scheduler *s);

// Makes the loop come round without blocking.
void scheduler_wake(struct scheduler *s);

// Makes a task: push the function and its arguments on task->thread, then task_start().  NULL without memory.  May be called outside of any task.
struct task *task_new(struct script_state *state);
void task_start(struct task *t, int arguments);

// Ends a task that has not ended: pending `<close>` variables run, on_end is called.
// Not from inside that task.
void task_cancel(struct task *t);

// Whoever waits on `w` runs in the next pass.  Nothing happens when nobody does.
void task_wake(struct wait *w);

// Wakes a task that is parked on whatever: something it may care about has changed.
void task_nudge(struct task *t);

// Parks the running task on `w`; use as `return l_task_park(L, &op->wait, l_op_ready, ctx)`.
// The continuation runs after every wake-up and looks at the world afresh.  Raises when the
// caller cannot wait (while scripts load, or in a callback of C code).
int l_task_park(lua_State *L, struct wait *w, lua_KFunction k, lua_KContext ctx);

// The same, until `deadline` (clock_mono(), 0 for none) at most: then the continuation runs with
// task->timed_out set.
int l_task_park_until(lua_State *L, struct wait *w, double deadline, lua_KFunction k,
                      lua_KContext ctx);

// The object that holds `w` goes away: nobody waits on it any more.  A task that did (another
// task closed what it waits for) runs in the next pass.
void wait_deinit(struct wait *w);

struct task *task_of(lua_State *L);

// Frees the coroutines kept for reuse.
void task_drop_idle(struct script_state *state);
