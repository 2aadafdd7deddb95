#include "script/exchange.h"

#include <assert.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/client.h"
#include "script/host.h"
#include "script/state.h"
#include "script/task.h"
#include "store/traces.h"

static const char fallback_body[] =
    "{\"error\":{\"message\":\"internal error\",\"type\":\"server_error\",\"param\":null,"
    "\"code\":null}}";
static const char json_fields[] = "Content-Type: application/json\r\n";

// What l_prepare_call() pushes; handed over as one pointer, which takes no memory of the state.
struct call {
    struct exchange *exchange;
    const char *function, *problem;
};

// main.handle(client), main.failed(client, problem) or handler(client): pushed as values of a
// task's coroutine.
static int l_prepare_call(lua_State *L)
{
    const struct call *call = lua_touserdata(L, 1);

    if (call->exchange->handler == EXCHANGE_MAIN) {
        state_push_module(L, "main");
        lua_getfield(L, -1, call->function);
    } else {
        lua_rawgeti(L, LUA_REGISTRYINDEX, call->exchange->handler);
    }
    l_push_client(L, call->exchange);
    if (!call->problem)
        return 2;
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "internal");
    lua_setfield(L, -2, "class");
    lua_pushstring(L, call->problem);
    lua_setfield(L, -2, "message");
    return 3;
}

static void on_task_end(struct task *t, enum task_result result, const char *message);

// Makes a task for one of main's functions and starts it.
static bool start(struct exchange *x, const char *function, const char *problem)
{
    struct script_state *s = x->state;
    lua_State *L = s->L;
    struct call call = {x, function, problem};
    struct task *t = task_new(s);
    int base = lua_gettop(L), count;

    if (!t)
        return false;
    lua_pushcfunction(L, l_prepare_call);
    lua_pushlightuserdata(L, &call);
    if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK) {
        lua_settop(L, base);
        task_cancel(t);
        return false;
    }
    count = lua_gettop(L) - base;
    lua_xmove(L, t->thread, count);
    memcpy(t->id, x->id, sizeof(t->id));
    t->owner = x;
    t->on_end = on_task_end;
    x->task = t;
    task_start(t, count - 1);
    return true;
}

static void release(struct exchange *x)
{
    struct server_request *req = x->req;

    list_remove(&x->in_host);
    if (x->client)
        client_close(x->client);
    x->client = NULL;
    x->on_end(x);
    buf_deinit(&x->steps);
    req->on_change = NULL;
    req->owner = NULL;
    server_release(req);
    free(x);
}

// The last word when scripts cannot give one.
static void answer_plainly(struct exchange *x)
{
    if (x->req->gone || x->req->finished)
        return;
    if (x->req->head_sent)
        server_abort(x->req);
    else
        server_respond(x->req, 500, json_fields, strlen(json_fields), fallback_body,
                       strlen(fallback_body));
}

static void on_task_end(struct task *t, enum task_result result, const char *message)
{
    struct exchange *x = t->owner;
    bool answered = x->req->finished || x->req->gone || result == TASK_CANCELLED;

    x->task = NULL;
    if (x->client) {
        client_close(x->client);
        x->client = NULL;
    }
    if (result == TASK_FAILED || result == TASK_STOPPED) {
        x->script_failed = true;
        secrets_log_failure(x->state, x->id, message, x->req);
    } else if (!answered) {
        log_write(x->state->host->log, LOG_ERROR, "script", x->id,
                  "the pipeline ended without finishing its response");
    }
    if (!answered && !x->failing && x->handler == EXCHANGE_MAIN) {
        x->failing = true;
        if (start(x, "failed", "internal error"))
            return;
    }
    if (!answered)
        answer_plainly(x);
    release(x);
}

// The server has news for whoever waits.  A client that left is dealt with after the pass, because
// this may be called while the task itself is writing.
static void on_request_change(struct server_request *req)
{
    struct exchange *x = req->owner;

    if (req->gone && !req->finished && !x->cancelled) {
        x->cancelled = true;
        list_append(&x->state->host->gone, &x->in_host);
        host_wake(x->state->host);
    }
    if (x->task)
        task_nudge(x->task);
}

void exchange_cancel_gone(struct script_host *host)
{
    struct list *node;

    while ((node = list_shift(&host->gone))) {
        struct exchange *x = list_entry(node, struct exchange, in_host);

        if (x->task)
            task_cancel(x->task);
    }
}

static_assert(EXCHANGE_MAIN == LUA_NOREF, "no reference stands for main.handle");

struct exchange *exchange_start(struct script_state *state, struct server_request *req,
                                const char *id, int handler, void (*on_end)(struct exchange *x),
                                void *owner)
{
    struct exchange *x = calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    x->handler = handler;
    x->req = req;
    x->state = state;
    x->on_end = on_end;
    x->owner = owner;
    list_init(&x->in_host);
    buf_init(&x->steps, TRACE_STEPS_MAX);
    snprintf(x->id, sizeof(x->id), "%s", id);
    if (!start(x, "handle", NULL)) {
        free(x);
        return NULL;
    }
    req->owner = x;
    req->on_change = on_request_change;
    return x;
}
