// object.h - userdata of the types that hot bindings check on every call.
//
// luaL_checkudata() looks the type up by name each time.  Here a state remembers the address of
// each metatable, so that a check is a comparison.

#pragma once

#include <lua.h>
#include <stddef.h>

enum object_type {
    OBJECT_CLIENT,
    OBJECT_RESPONSE,
    OBJECT_RELAY,
    OBJECT_SESSION_CALL,
    OBJECT_TYPES
};

// Pushes a new zeroed userdata of that type with `values` user values.  `fill` adds to the new
// metatable at the top of the stack, once for each state.
void *l_new_object(lua_State *L, enum object_type type, size_t size, int values,
                   void (*fill)(lua_State *L));

// The userdata at `index`; raises when it is not of that type.
void *l_check_object(lua_State *L, int index, enum object_type type);

// Adds `__gc`, and `__index` as the closure `index` over a table of methods, to the metatable at
// the top of the stack.
struct luaL_Reg;
void l_fill_object(lua_State *L, const struct luaL_Reg *methods, lua_CFunction index,
                   lua_CFunction gc);
