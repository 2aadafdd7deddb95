// host.c - runs tests/lua/run.lua with the C modules `json`, `crypto` and `sse` of the program.

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

#include "script/modules.h"
#include "script/state.h"
#include "script/task.h"

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    // What `crypto` asks its task for: a buffer.
    struct script_state state = {0};
    struct task task = {.state = &state};
    int failed;

    if (!L)
        return 1;
    buf_init(&state.scratch, 64 << 20);
    *(struct task **)lua_getextraspace(L) = &task;
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_json);
    lua_setfield(L, -2, "json");
    lua_pushcfunction(L, luaopen_crypto);
    lua_setfield(L, -2, "crypto");
    lua_pushcfunction(L, luaopen_sse);
    lua_setfield(L, -2, "sse");
    lua_pop(L, 1);
    lua_newtable(L);
    for (int i = 1; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_setglobal(L, "arg");
    failed = luaL_dofile(L, "tests/lua/run.lua");
    if (failed)
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_close(L);
    buf_deinit(&state.scratch);
    return failed ? 1 : 0;
}
