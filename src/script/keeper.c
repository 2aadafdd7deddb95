#include "script/keeper.h"

#include <stdlib.h>
#include <string.h>

#include "net/upstream.h"
#include "script/state.h"
#include "script/states.h"
#include "script/task.h"

struct keeper {
    struct log *log;
    struct upstream *upstream;
    struct script_host *host;
    struct mailbox *box; // of the host; kept for senders on other threads
    struct states states;
    struct task *run;  // of the current state, NULL when it has ended
    size_t unanswered; // calls
    bool started, stopped;
};

// --- calls -------------------------------------------------------------------------------------

struct keeper_call *keeper_call_new(const char *name, const char *argument, size_t len)
{
    struct keeper_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    call->name = strdup(name);
    call->argument = malloc(len + 1);
    if (!call->name || !call->argument) {
        keeper_call_free(call);
        return NULL;
    }
    memcpy(call->argument, argument, len);
    call->argument[len] = '\0';
    call->argument_len = len;
    return call;
}

void keeper_call_free(struct keeper_call *call)
{
    if (!call)
        return;
    mailbox_unref(call->home);
    free(call->name);
    // Answers and arguments may hold what only the keeper may see.
    if (call->argument)
        explicit_bzero(call->argument, call->argument_len);
    if (call->answer)
        explicit_bzero(call->answer, call->answer_len);
    free(call->argument);
    free(call->answer);
    free(call);
}

// The sender's loop has closed, and its tasks before it.
static void on_homeless(struct letter *l)
{
    keeper_call_free(list_entry(l, struct keeper_call, letter));
}

static void on_home(struct letter *l)
{
    struct keeper_call *call = list_entry(l, struct keeper_call, letter);

    if (call->on_answer)
        call->on_answer(call);
    else
        keeper_call_free(call);
}

// Gives the call back to its sender; it is gone afterwards.
static void answer(struct keeper_call *call, bool fine, const char *text, size_t len)
{
    if (!call->home) {
        keeper_call_free(call);
        return;
    }
    call->fine = fine;
    call->answer = malloc(len + 1);
    if (call->answer) {
        memcpy(call->answer, text, len);
        call->answer[len] = '\0';
        call->answer_len = len;
    }
    call->letter = (struct letter){.arrive = on_home, .lost = on_homeless};
    mailbox_post(call->home, &call->letter);
}

static void refuse(struct keeper_call *call, const char *why)
{
    answer(call, false, why, strlen(why));
}

// --- tasks -------------------------------------------------------------------------------------

static void log_end(struct script_state *s, enum task_result result, const char *message)
{
    if (result == TASK_FAILED || result == TASK_STOPPED)
        secrets_log_failure(s, NULL, message, NULL);
}

static struct keeper *keeper_of(const struct task *t)
{
    return t->state->host->keeper;
}

static void on_call_end(struct task *t, enum task_result result, const char *message)
{
    struct keeper_call *call = t->owner;

    log_end(t->state, result, message);
    if (!call)
        return;
    call->keeper->unanswered--;
    refuse(call,
           result == TASK_CANCELLED ? "the proxy is stopping" : "internal error, see the log");
}

bool keeper_reply(struct script_state *state, bool fine, const char *text, size_t len)
{
    struct task *t = state->running;
    struct keeper_call *call = t && t->on_end == on_call_end ? t->owner : NULL;

    if (!call)
        return false;
    t->owner = NULL;
    call->keeper->unanswered--;
    answer(call, fine, text, len);
    return true;
}

static void on_run_end(struct task *t, enum task_result result, const char *message)
{
    struct keeper *k = keeper_of(t);

    log_end(t->state, result, message);
    if (k->run == t)
        k->run = NULL;
}

// Pushes a function of core.keeper, and the call's name and argument when there is one.
struct push {
    const char *function;
    const struct keeper_call *call;
};

static int l_prepare(lua_State *L)
{
    const struct push *push = lua_touserdata(L, 1);

    state_push_module(L, "core.keeper");
    lua_getfield(L, -1, push->function);
    if (!push->call)
        return 1;
    lua_pushstring(L, push->call->name);
    lua_pushlstring(L, push->call->argument, push->call->argument_len);
    return 3;
}

// Starts a task of the current state.  NULL without memory.
static struct task *start(struct keeper *k, const char *function, struct keeper_call *call,
                          void (*on_end)(struct task *t, enum task_result r, const char *message))
{
    struct script_state *s = k->states.current;
    struct push push = {function, call};
    struct task *t = task_new(s);
    int base = lua_gettop(s->L), count;

    if (!t)
        return NULL;
    lua_pushcfunction(s->L, l_prepare);
    lua_pushlightuserdata(s->L, &push);
    if (lua_pcall(s->L, 1, LUA_MULTRET, 0) != LUA_OK) {
        lua_settop(s->L, base);
        task_cancel(t);
        return NULL;
    }
    count = lua_gettop(s->L) - base;
    lua_xmove(s->L, t->thread, count);
    t->owner = call;
    t->on_end = on_end;
    task_start(t, count - 1);
    return t;
}

static void on_call(struct letter *l)
{
    struct keeper_call *call = list_entry(l, struct keeper_call, letter);
    struct keeper *k = call->keeper;

    if (!k->states.current || k->stopped)
        refuse(call, "the proxy is stopping");
    else if (start(k, "handle", call, on_call_end))
        k->unanswered++;
    else
        refuse(call, "out of memory");
}

static void on_undelivered(struct letter *l)
{
    refuse(list_entry(l, struct keeper_call, letter), "the proxy is stopping");
}

void keeper_send(struct keeper *k, struct keeper_call *call)
{
    call->keeper = k;
    call->letter = (struct letter){.arrive = on_call, .lost = on_undelivered};
    mailbox_post(k->box, &call->letter);
}

void keeper_post(struct keeper *k, const char *name, const char *argument, size_t len)
{
    struct keeper_call *call = keeper_call_new(name, argument, len);

    if (call)
        keeper_send(k, call);
}

static void end_run(struct keeper *k)
{
    if (k->run)
        task_cancel(k->run);
    k->run = NULL;
}

void keeper_set_state(struct keeper *k, struct script_state *state)
{
    end_run(k);
    states_replace(&k->states, state);
    k->run = start(k, "run", NULL, on_run_end);
    if (!k->run)
        log_error(k->log, "out of memory: accounts are not looked after");
}

// --- life --------------------------------------------------------------------------------------

static void on_pass(void *ctx)
{
    struct keeper *k = ctx;

    if (!list_empty(&k->states.old))
        states_retire(&k->states);
    log_flush(k->log);
}

struct keeper *keeper_new(uv_loop_t *loop, const struct script_shared *shared,
                          void (*on_release)(void *ctx), void *ctx)
{
    struct keeper *k = calloc(1, sizeof(*k));
    struct script_shared own = *shared;

    if (!k)
        return NULL;
    own.keeper = k;
    k->log = shared->log;
    states_init(&k->states, on_release, ctx);
    k->upstream = upstream_new(loop, shared->log);
    k->host = k->upstream ? host_new(loop, k->upstream, &own, on_pass, k) : NULL;
    if (!k->host) {
        // Without memory the loop is not run any more; the handle of the client stays with it.
        free(k);
        return NULL;
    }
    k->states.host = k->host;
    k->box = mailbox_ref(k->host->mailbox);
    return k;
}

bool keeper_start(struct keeper *k)
{
    k->started = host_start(k->host);
    return k->started;
}

void keeper_drain(struct keeper *k)
{
    end_run(k);
}

size_t keeper_busy(const struct keeper *k)
{
    return k->unanswered;
}

void keeper_stop(struct keeper *k)
{
    k->stopped = true;
    end_run(k);
    states_cancel(&k->states);
    states_release(&k->states);
    upstream_stop(k->upstream);
    host_stop(k->host);
}

bool keeper_closed(const struct keeper *k)
{
    return host_closed(k->host) && upstream_closed(k->upstream);
}

void keeper_free(struct keeper *k)
{
    if (!k)
        return;
    upstream_free(k->upstream);
    host_free(k->host);
    mailbox_unref(k->box);
    free(k);
}
