// sandbox.h - the globals that scripts see.

#pragma once

#include <lua.h>

// Makes a copy of the allowed globals, with `require` and a setmetatable() without finalizers, and
// puts it behind a read-only proxy in their place.  Once, in a new state.
void l_make_sandbox(lua_State *L, lua_CFunction require);
