// lua_keeper.c - the module `keeper`: calls from any task to the scripts of the main thread, see
// lua/types/runtime.lua.

#include <lauxlib.h>
#include <stdlib.h>

#include "base/clock.h"
#include "script/keeper.h"
#include "script/modules.h"
#include "script/state.h"
#include "script/task.h"

// The asker's side of a call.
struct pending {
    struct wait wait;
    struct keeper_call *call; // NULL after close
    bool away;                // the call is with the keeper
    double deadline;          // of the wait under way, 0 for none
};

static const char TYPE[] = "keeper.call";

static void on_answer(struct keeper_call *call)
{
    struct pending *p = call->owner;

    if (!p) {
        keeper_call_free(call); // the task that asked has ended
        return;
    }
    p->away = false;
    task_wake(&p->wait);
}

// Safe to call twice.
static int l_call_close(lua_State *L)
{
    struct pending *p = luaL_checkudata(L, 1, TYPE);

    wait_deinit(&p->wait);
    if (p->call && p->away)
        p->call->owner = NULL;
    else
        keeper_call_free(p->call);
    p->call = NULL;
    return 0;
}

// Pushes the answer: string | nil, message.
static int l_push_answer(lua_State *L, const struct keeper_call *call)
{
    if (!call->answer) {
        lua_pushnil(L);
        lua_pushliteral(L, "out of memory");
        return 2;
    }
    if (!call->fine)
        lua_pushnil(L);
    lua_pushlstring(L, call->answer, call->answer_len);
    return call->fine ? 1 : 2;
}

static int l_answer_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct pending *p = luaL_checkudata(L, 1, TYPE);

    (void)status;
    if (!p->call)
        return luaL_error(L, "the call is closed");
    if (!p->away)
        return l_push_answer(L, p->call);
    if (p->deadline > 0 && clock_mono() >= p->deadline) {
        lua_pushboolean(L, false);
        return 1;
    }
    return l_task_park_until(L, &p->wait, p->deadline, l_answer_ready, ctx);
}

// call:wait(seconds?) -> string | nil, message | false
static int l_call_wait(lua_State *L)
{
    struct pending *p = luaL_checkudata(L, 1, TYPE);
    double seconds = luaL_optnumber(L, 2, 0);

    lua_settop(L, 1);
    p->deadline = seconds > 0 ? clock_mono() + seconds : 0;
    return l_answer_ready(L, LUA_OK, 0);
}

// keeper.start(name, argument) -> KeeperCall
static int l_start(lua_State *L)
{
    static const luaL_Reg methods[] = {{"wait", l_call_wait}, {"close", l_call_close}, {0}};
    struct script_host *host = state_of(L)->host;
    const char *name = luaL_checkstring(L, 1);
    size_t len;
    const char *argument = luaL_checklstring(L, 2, &len);
    struct pending *p;

    if (!host || !host->keeper)
        return luaL_error(L, "nobody looks after accounts here");
    p = lua_newuserdatauv(L, sizeof(*p), 0);
    *p = (struct pending){0};
    if (luaL_newmetatable(L, TYPE)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, l_call_close);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, l_call_close);
        lua_setfield(L, -2, "__close");
    }
    lua_setmetatable(L, -2);
    p->call = keeper_call_new(name, argument, len);
    if (!p->call)
        return luaL_error(L, "out of memory");
    p->call->home = mailbox_ref(host->mailbox);
    p->call->on_answer = on_answer;
    p->call->owner = p;
    p->away = true;
    keeper_send(host->keeper, p->call);
    return 1;
}

// keeper.ask(name, argument, seconds?) -> string | nil, message
static int l_ask_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct pending *p = luaL_checkudata(L, 1, TYPE);

    (void)status;
    if (p->away && (p->deadline <= 0 || clock_mono() < p->deadline))
        return l_task_park_until(L, &p->wait, p->deadline, l_ask_ready, ctx);
    if (!p->away)
        return l_push_answer(L, p->call);
    lua_pushnil(L);
    lua_pushliteral(L, "no answer in time");
    return 2;
}

static int l_ask(lua_State *L)
{
    double seconds = luaL_optnumber(L, 3, 0);
    struct pending *p;

    lua_settop(L, 2);
    l_start(L);
    p = lua_touserdata(L, -1);
    p->deadline = seconds > 0 ? clock_mono() + seconds : 0;
    lua_replace(L, 1);
    lua_settop(L, 1);
    return l_ask_ready(L, LUA_OK, 0);
}

// keeper.post(name, argument)
static int l_post(lua_State *L)
{
    struct script_host *host = state_of(L)->host;
    const char *name = luaL_checkstring(L, 1);
    size_t len;
    const char *argument = luaL_checklstring(L, 2, &len);

    if (host && host->keeper)
        keeper_post(host->keeper, name, argument, len);
    return 0;
}

// keeper.reply(result?, message?)
static int l_reply(lua_State *L)
{
    bool fine = !lua_isnoneornil(L, 1);
    size_t len;
    const char *text = luaL_checklstring(L, fine ? 1 : 2, &len);

    keeper_reply(state_of(L), fine, text, len);
    return 0;
}

int luaopen_keeper(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"start", l_start}, {"ask", l_ask}, {"post", l_post}, {"reply", l_reply}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
