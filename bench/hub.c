// hub.c - runs bench/hub.lua: the translation hub alone, timed, or counted function by function.

#include <time.h>

#include "../tests/lua/bare.h"

// A prime, so that no loop of scripts keeps in step with it.
enum { SAMPLE_EVERY = 97, FRAMES_MAX = 60 };

static const char COUNTS_KEY;

// Adds one to the field `name` of the table on top of the stack.
static void l_count(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    lua_pushinteger(L, lua_tointeger(L, -1) + 1);
    lua_setfield(L, -3, name);
    lua_pop(L, 1);
}

// Notes where the VM stands: the function itself, and each function that waits for it once.
static void l_sample(lua_State *L, lua_Debug *ar)
{
    const char *seen[FRAMES_MAX];
    int count = 0;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &COUNTS_KEY);
    for (int level = 0; level < FRAMES_MAX && lua_getstack(L, level, ar); level++) {
        const char *place;
        bool again = false;

        lua_getinfo(L, "S", ar);
        if (*ar->what == 'C')
            continue;
        place = lua_pushfstring(L, "%s:%d", ar->short_src, ar->linedefined);
        // Equal short strings are one string.
        for (int i = 0; i < count && !again; i++)
            again = seen[i] == place;
        seen[count] = place;
        lua_getfield(L, -2, level == 0 ? "own" : "below");
        if (!again)
            l_count(L, place);
        lua_pop(L, 2);
        count += !again;
    }
    l_count(L, "samples");
    lua_pop(L, 1);
}

// profile(function, times) -> {samples = n, own = {place = n}, below = {place = n}}
static int l_profile(lua_State *L)
{
    lua_Integer times = luaL_checkinteger(L, 2);

    lua_settop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    lua_setfield(L, 2, "own");
    lua_newtable(L);
    lua_setfield(L, 2, "below");
    lua_pushvalue(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &COUNTS_KEY);
    lua_sethook(L, l_sample, LUA_MASKCOUNT, SAMPLE_EVERY);
    for (lua_Integer i = 0; i < times; i++) {
        lua_pushvalue(L, 1);
        lua_call(L, 0, 0);
    }
    lua_sethook(L, NULL, 0, 0);
    return 1;
}

// clock() -> seconds of CPU of this thread
static int l_clock(lua_State *L)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
    return 1;
}

int main(int argc, char **argv)
{
    struct bare bare;

    (void)argc;
    if (!bare_open(&bare, argv))
        return 1;
    lua_register(bare.L, "profile", l_profile);
    lua_register(bare.L, "clock", l_clock);
    return bare_run(&bare, "bench/hub.lua");
}
