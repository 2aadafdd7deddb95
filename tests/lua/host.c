// host.c - runs tests/lua/run.lua with the C module `json` of the program, and nothing else of it.

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

#include "script/modules.h"

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    int failed;

    if (!L)
        return 1;
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_json);
    lua_setfield(L, -2, "json");
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
    return failed ? 1 : 0;
}
