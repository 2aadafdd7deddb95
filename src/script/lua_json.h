// lua_json.h - the Lua module `json`: JSON for payloads in transit, see lua/types/json.lua.

#pragma once

#include <lua.h>

int luaopen_json(lua_State *L);

// The text of a RawJson, NULL when the value is something else.  Valid while the value lives.
const char *lua_json_raw(lua_State *L, int index, size_t *len);
