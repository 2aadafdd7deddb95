// hub.c - runs bench/hub.lua: the translation hub alone, timed, or counted function by function.
//
// The host knows `json`, `crypto` and `sse` of the program and nothing else, as the Lua specs' does.

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <time.h>

#include "script/modules.h"
#include "script/state.h"
#include "script/task.h"

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

// count(function, times) -> {samples = n, own = {place = n}, below = {place = n}}
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

static void l_open(lua_State *L, char **argv)
{
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_json);
    lua_setfield(L, -2, "json");
    lua_pushcfunction(L, luaopen_crypto);
    lua_setfield(L, -2, "crypto");
    lua_pushcfunction(L, luaopen_sse);
    lua_setfield(L, -2, "sse");
    lua_pop(L, 1);
    lua_register(L, "profile", l_profile);
    lua_register(L, "clock", l_clock);
    lua_newtable(L);
    for (int i = 1; argv[i]; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_setglobal(L, "arg");
}

int main(int argc, char **argv)
{
    // What `crypto` asks its task for: a buffer.
    struct script_state state = {0};
    struct task task = {.state = &state};
    lua_State *L = luaL_newstate();
    int failed;

    (void)argc;
    if (!L)
        return 1;
    buf_init(&state.scratch, 64 << 20);
    *(struct task **)lua_getextraspace(L) = &task;
    l_open(L, argv);
    failed = luaL_dofile(L, "bench/hub.lua");
    if (failed)
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_close(L);
    buf_deinit(&state.scratch);
    return failed ? 1 : 0;
}
