// shape.h - what a script of each folder must look like before it may serve requests.

#pragma once

#include <lua.h>

// check(path, module): raises `path: what is wrong` unless the module has the shape that its
// folder asks for; runs its `examples`.
int l_check_shape(lua_State *L);
