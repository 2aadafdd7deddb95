#include "script/task.h"

#include <assert.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Seconds of CPU.  Two ticks make a time slice; the kernel's own clock may be coarser.
static const double WATCH_TICK = 0.004;

// Seconds of CPU in a callback of C code (a sort comparator, a gsub function), which cannot be left
// and taken up again later.
static const double CALLBACK_SECONDS = 0.1;

enum {
    PASS_MAX = 256,   // tasks run in one pass before I/O gets its turn
    IDLE_THREADS = 64, // coroutines kept for reuse, per state
    DEPTH_MAX = 20000 // calls under way in one task, looked at when it runs long
};

// A coroutine without a task.
struct idle_thread {
    struct list node;
    lua_State *thread;
    int ref;
};

struct task *task_of(lua_State *L)
{
    return *(struct task **)lua_getextraspace(L);
}

// --- limits ----------------------------------------------------------------------------------

// Marks the running task as finished for good, and says where it was.
static void stop_task(struct task *t, lua_State *L, const char *why)
{
    lua_Debug at = {0};

    t->stopped = true;
    for (int level = 0; lua_getstack(L, level, &at); level++) {
        lua_getinfo(L, "Sl", &at);
        if (at.currentline > 0)
            break;
    }
    snprintf(t->stop_reason, sizeof(t->stop_reason), "%s:%d: %s", at.short_src, at.currentline,
             why);
}

// What the running task has used since its last wait.
static double cpu_used(const struct task *t)
{
    const struct watch *w = &t->state->host->scheduler->watch;

    return t->cpu + w->ticks * w->tick;
}

static ptrdiff_t memory_grown(const struct task *t)
{
    return t->grown + (ptrdiff_t)t->state->memory - (ptrdiff_t)t->memory_at;
}

// Says which limit the running task has exceeded; false when none.
static bool exceeds_limit(const struct task *t, lua_State *L, char *why, size_t size)
{
    const struct script_limits *limits = &t->state->limits;
    const struct watch *w = &t->state->host->scheduler->watch;
    double here = w->ticks * w->tick; // without coming back to the scheduler
    lua_Debug at;

    if (cpu_used(t) > limits->hard)
        snprintf(why, size, "the script ran for %.0f ms without waiting", limits->hard * 1000);
    else if (here > CALLBACK_SECONDS && !lua_isyieldable(L))
        snprintf(why, size, "the script ran for %.0f ms in a callback, where others cannot run",
                 here * 1000);
    else if (memory_grown(t) > (ptrdiff_t)(limits->memory / 4))
        snprintf(why, size, "the script took more than %zu MiB of memory", limits->memory / 4 >> 20);
    else if (lua_getstack(L, DEPTH_MAX, &at))
        snprintf(why, size, "the script called functions more than %d levels deep", DEPTH_MAX);
    else
        return false;
    return true;
}

// Runs at a VM instruction of a task that has been running for a while.
static void l_long_run(lua_State *L, lua_Debug *ar)
{
    struct task *t = task_of(L);
    char why[100];

    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    if (!t->stopped && exceeds_limit(t, L, why, sizeof(why)))
        stop_task(t, L, why);
    if (lua_isyieldable(L)) {
        lua_yield(L, 0);
        return;
    }
    if (t->stopped) {
        // Inside a callback of C code (a sort comparator, say): errors unwind it, and the hook
        // comes back until the task can be left for good.
        lua_sethook(L, l_long_run, LUA_MASKCOUNT, 1);
        luaL_error(L, "%s", t->stop_reason);
    }
}

// --- the bottom of every coroutine ------------------------------------------------------------

// Turns what was raised into text while its stack is still there.
static int l_describe(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
    return 1;
}

static int l_entry_end(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    return status == LUA_OK || status == LUA_YIELD ? 0 : lua_error(L);
}

// Calls the task's function.  An error is caught down here, so that its message is made under
// protection, and because an error that a hook raised leaves hooks off until something catches it.
static int l_entry(lua_State *L)
{
    lua_pushcfunction(L, l_describe);
    lua_insert(L, 1);
    return l_entry_end(L, lua_pcallk(L, lua_gettop(L) - 2, 0, 1, 0, l_entry_end), 0);
}

// --- the life of a task ----------------------------------------------------------------------

// The idle handle only keeps the loop from blocking while tasks are ready.
static void on_idle(uv_idle_t *handle)
{
    (void)handle;
}

void scheduler_wake(struct scheduler *s)
{
    uv_idle_start(&s->idle, on_idle);
}

static void make_ready(struct task *t)
{
    struct scheduler *s = t->state->host->scheduler;

    if (!list_empty(&t->in_ready))
        return;
    list_append(&s->ready, &t->in_ready);
    uv_idle_start(&s->idle, on_idle);
}

static void on_alarm(struct alarm *a)
{
    struct task *t = list_entry(a, struct task, alarm);

    t->timed_out = true;
    make_ready(t);
}

// Runs protected: making a coroutine may run out of memory.
static int l_new_thread(lua_State *L)
{
    struct task *t = lua_touserdata(L, 1);

    t->thread = lua_newthread(L);
    t->thread_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static bool take_thread(struct task *t)
{
    struct script_state *s = t->state;
    struct list *node = list_shift(&s->idle_threads);
    lua_State *L = s->L;

    if (node) {
        struct idle_thread *idle = list_entry(node, struct idle_thread, node);

        t->thread = idle->thread;
        t->thread_ref = idle->ref;
        s->idle_count--;
        free(idle);
        return true;
    }
    lua_pushcfunction(L, l_new_thread);
    lua_pushlightuserdata(L, t);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return true;
    lua_pop(L, 1);
    return false;
}

// Only coroutines that came to a plain end are kept: an error that a hook raised can leave a
// coroutine (Lua 5.4.4) in which hooks are off for good, so that nothing could stop its next task.
static void give_thread_back(struct script_state *s, lua_State *thread, int ref, bool reusable)
{
    bool keep = reusable && s->idle_count < IDLE_THREADS;
    struct idle_thread *idle = keep ? malloc(sizeof(*idle)) : NULL;

    *(struct task **)lua_getextraspace(thread) = s->root;
    if (!idle) {
        luaL_unref(s->L, LUA_REGISTRYINDEX, ref);
        return;
    }
    idle->thread = thread;
    idle->ref = ref;
    list_append(&s->idle_threads, &idle->node);
    s->idle_count++;
}

void task_drop_idle(struct script_state *state)
{
    struct list *node;

    while ((node = list_shift(&state->idle_threads))) {
        struct idle_thread *idle = list_entry(node, struct idle_thread, node);

        luaL_unref(state->L, LUA_REGISTRYINDEX, idle->ref);
        free(idle);
    }
    state->idle_count = 0;
}

struct task *task_new(struct script_state *state)
{
    struct task *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->state = state;
    list_init(&t->in_ready);
    list_init(&t->resources);
    t->alarm.ring = on_alarm;
    if (!take_thread(t)) {
        free(t);
        return NULL;
    }
    *(struct task **)lua_getextraspace(t->thread) = t;
    lua_pushcfunction(t->thread, l_entry);
    list_append(&state->tasks, &t->in_state);
    state->task_count++;
    return t;
}

void task_start(struct task *t, int arguments)
{
    t->arguments = arguments + 1; // and the function, for l_entry()
    make_ready(t);
}

static void unpark(struct task *t)
{
    if (t->parked)
        t->parked->task = NULL;
    t->parked = NULL;
    alarm_clear(&t->state->host->scheduler->alarms, &t->alarm);
}

// Closes the coroutine, tells the owner, frees the task.
static void end_task(struct task *t, enum task_result result, const char *message)
{
    struct script_state *s = t->state;
    char *copy = message ? strdup(message) : NULL;
    bool reusable = result == TASK_OK || (result == TASK_CANCELLED && !t->stopped);

    unpark(t);
    list_remove(&t->in_ready);
    // Close variables run here, still as this task and under its limits, which start afresh.
    lua_sethook(t->thread, NULL, 0, 0);
    t->stopped = false;
    t->cpu = 0;
    t->grown = 0;
    t->memory_at = s->memory;
    watch_enter(&s->host->scheduler->watch, t->thread);
    lua_resetthread(t->thread);
    watch_leave(&s->host->scheduler->watch);
    lua_sethook(t->thread, NULL, 0, 0);
    lua_settop(t->thread, 0);
    while (!list_empty(&t->resources)) {
        struct resource *open = list_entry(t->resources.next, struct resource, in_task);

        open->release(open);
    }
    give_thread_back(s, t->thread, t->thread_ref, reusable && !t->stopped);
    list_remove(&t->in_state);
    s->task_count--;
    if (t->on_end)
        t->on_end(t, result, copy ? copy : "");
    free(copy);
    free(t);
}

// The one place where Lua runs.
static void run_task(struct task *t, struct watch *watch)
{
    struct script_state *s = t->state;
    int results, status, arguments = t->started ? 0 : t->arguments;

    unpark(t);
    state_choose_collector(s);
    t->started = true;
    s->running = t;
    t->memory_at = s->memory;
    watch_enter(watch, t->thread);
    status = lua_resume(t->thread, NULL, arguments, &results);
    watch_leave(watch);
    s->running = NULL;
    if (t->stopped) {
        end_task(t, TASK_STOPPED, t->stop_reason);
    } else if (status == LUA_YIELD && t->parked) {
        t->cpu = 0;
        t->grown = 0;
    } else if (status == LUA_YIELD) {
        t->cpu = cpu_used(t); // the slice is used up; others first
        t->grown = memory_grown(t);
        make_ready(t);
    } else if (status == LUA_OK) {
        end_task(t, TASK_OK, NULL);
    } else {
        // A string: l_describe() made it, or Lua did when there was no memory for that.
        end_task(t, TASK_FAILED, lua_tostring(t->thread, -1));
    }
}

void task_cancel(struct task *t)
{
    assert(t->state->running != t);
    end_task(t, TASK_CANCELLED, NULL);
}

// --- waits -----------------------------------------------------------------------------------

void task_wake(struct wait *w)
{
    if (w->task)
        make_ready(w->task);
}

void task_nudge(struct task *t)
{
    if (t->parked)
        make_ready(t);
}

void wait_deinit(struct wait *w)
{
    struct task *t = w->task;

    if (!t)
        return;
    w->task = NULL;
    t->parked = NULL;
    make_ready(t); // its continuation finds the object closed
}

int l_task_park_until(lua_State *L, struct wait *w, double deadline, lua_KFunction k,
                      lua_KContext ctx)
{
    struct task *t = task_of(L);

    if (!t->thread || !lua_isyieldable(L))
        return luaL_error(L, "cannot wait here");
    if (w->task && w->task != t)
        return luaL_error(L, "another task waits for this already");
    t->timed_out = false;
    if (deadline > 0 && !alarm_set(&t->state->host->scheduler->alarms, &t->alarm, deadline))
        return luaL_error(L, "out of memory");
    t->parked = w;
    w->task = t;
    return lua_yieldk(L, 0, ctx, k);
}

int l_task_park(lua_State *L, struct wait *w, lua_KFunction k, lua_KContext ctx)
{
    return l_task_park_until(L, w, 0, k, ctx);
}

// --- the scheduler ---------------------------------------------------------------------------

// Runs the tasks that are ready now, not the ones that they wake, so that a pass is bounded.
static void run_pass(struct scheduler *s)
{
    struct list now;
    struct list *node;

    list_init(&now);
    for (int i = 0; i < PASS_MAX && (node = list_shift(&s->ready)); i++)
        list_append(&now, node);
    while ((node = list_shift(&now)))
        run_task(list_entry(node, struct task, in_ready), &s->watch);
    s->after_pass(s->ctx);
    if (list_empty(&s->ready))
        uv_idle_stop(&s->idle);
}

static void on_prepare(uv_prepare_t *handle)
{
    run_pass(handle->data);
}

static void on_check(uv_check_t *handle)
{
    run_pass(handle->data);
}

void scheduler_init(struct scheduler *s, uv_loop_t *loop, void (*after_pass)(void *ctx), void *ctx)
{
    memset(s, 0, sizeof(*s));
    s->loop = loop;
    s->after_pass = after_pass;
    s->ctx = ctx;
    list_init(&s->ready);
    uv_prepare_init(loop, &s->prepare);
    uv_check_init(loop, &s->check);
    uv_idle_init(loop, &s->idle);
    s->prepare.data = s->check.data = s->idle.data = s;
    s->open_handles = 4;
    uv_prepare_start(&s->prepare, on_prepare);
    uv_check_start(&s->check, on_check);
    uv_unref((uv_handle_t *)&s->prepare);
    uv_unref((uv_handle_t *)&s->check);
    alarms_init(&s->alarms, loop);
}

int scheduler_start(struct scheduler *s)
{
    return watch_start(&s->watch, WATCH_TICK, l_long_run);
}

static void on_closed(uv_handle_t *handle)
{
    struct scheduler *s = handle->data;

    s->open_handles--;
}

void scheduler_stop(struct scheduler *s)
{
    watch_stop(&s->watch);
    uv_close((uv_handle_t *)&s->prepare, on_closed);
    uv_close((uv_handle_t *)&s->check, on_closed);
    uv_close((uv_handle_t *)&s->idle, on_closed);
    s->alarms.timer.data = s;
    uv_close((uv_handle_t *)&s->alarms.timer, on_closed);
}

void scheduler_deinit(struct scheduler *s)
{
    assert(s->open_handles == 0 && list_empty(&s->ready));
    alarms_deinit(&s->alarms);
}
