// lua_timer.c - the module `timer`, see lua/types/runtime.lua.

#include <lauxlib.h>

#include "base/clock.h"
#include "script/modules.h"
#include "script/state.h"
#include "script/task.h"

enum { SLEEP_MAX = 24 * 3600 };

static int l_sleep_over(lua_State *L, int status, lua_KContext ctx)
{
    struct task *t = task_of(L);

    (void)status;
    if (!t->timed_out)
        return l_task_park_until(L, &t->sleep, lua_tonumber(L, 2), l_sleep_over, ctx);
    return 0;
}

// timer.sleep(seconds)
static int l_sleep(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);

    luaL_argcheck(L, seconds >= 0 && seconds <= SLEEP_MAX, 1, "out of range");
    lua_settop(L, 1);
    lua_pushnumber(L, clock_mono() + seconds);
    return l_task_park_until(L, &task_of(L)->sleep, lua_tonumber(L, 2), l_sleep_over, 0);
}

// timer.now() -> number
static int l_now(lua_State *L)
{
    lua_pushnumber(L, clock_mono());
    return 1;
}

// timer.wall() -> number
static int l_wall(lua_State *L)
{
    lua_pushnumber(L, clock_wall());
    return 1;
}

int luaopen_timer(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sleep", l_sleep}, {"now", l_now}, {"wall", l_wall}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
