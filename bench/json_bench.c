// json_bench.c - our JSON against lua-cjson on a coding-agent request; microseconds a call.
//
// cc -O2 -D_GNU_SOURCE -Isrc $(pkg-config --cflags lua5.4) bench/json_bench.c src/codec/json*.c
//    src/script/lua_json*.c src/base/buf.c -o json_bench $(pkg-config --libs lua5.4 lua5.4-cjson)
//    -lm
// ./json_bench bench/json_bench.lua tests/fixtures/json/coding_agent_request.json

#include <lauxlib.h>
#include <lua-cjson.h>
#include <lualib.h>
#include <stdio.h>

#include "script/lua_json.h"

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();

    if (argc != 3 || !L) {
        fprintf(stderr, "usage: json_bench script fixture\n");
        return 2;
    }
    luaL_openlibs(L);
    luaL_requiref(L, "json", luaopen_json, 0);
    luaL_requiref(L, "cjson", luaopen_cjson, 0);
    lua_pushstring(L, argv[2]);
    lua_setglobal(L, "fixture");
    if (luaL_dofile(L, argv[1])) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return 1;
    }
    lua_close(L);
    return 0;
}
