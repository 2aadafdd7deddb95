// watch.h - notices Lua code that runs long, without slowing down code that does not.
//
// A count hook would cost a call per VM instruction.  Instead, a timer on the thread's own CPU
// clock ticks every few milliseconds of work; when the same run of Lua code has seen two ticks, the
// signal handler (on the same thread, as lua.c does for Ctrl-C) asks Lua for a hook call at the
// next instruction.  An idle thread gets no ticks.

#pragma once

#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

struct watch {
    timer_t timer;
    double tick;                    // seconds of CPU
    bool armed;
    lua_State *volatile thread;     // what runs now, or NULL
    volatile sig_atomic_t ticks;
    lua_Hook hook;
};

// Starts the clock for the calling thread.  `tick` in seconds of CPU.  0 or a negative errno.
int watch_start(struct watch *w, double tick, lua_Hook hook);
void watch_stop(struct watch *w);

// Brackets a run of Lua code.
static inline void watch_enter(struct watch *w, lua_State *thread)
{
    w->ticks = 0;
    w->thread = thread;
}

static inline void watch_leave(struct watch *w)
{
    w->thread = NULL;
}
