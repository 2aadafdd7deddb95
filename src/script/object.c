#include "script/object.h"

#include <lauxlib.h>
#include <string.h>

#include "script/state.h"

static const char *const names[] = {[OBJECT_CLIENT] = "Client",
                                    [OBJECT_RESPONSE] = "Response",
                                    [OBJECT_RELAY] = "Relay",
                                    [OBJECT_SESSION_CALL] = "SessionCall"};

void *l_new_object(lua_State *L, enum object_type type, size_t size, int values,
                   void (*fill)(lua_State *L))
{
    const void **metatable = &state_of(L)->metatables[type];
    void *object = lua_newuserdatauv(L, size, values);

    memset(object, 0, size);
    if (!*metatable) {
        lua_newtable(L);
        fill(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, metatable);
        *metatable = lua_topointer(L, -1);
    } else {
        lua_rawgetp(L, LUA_REGISTRYINDEX, metatable);
    }
    lua_setmetatable(L, -2);
    return object;
}

void *l_check_object(lua_State *L, int index, enum object_type type)
{
    void *object = lua_touserdata(L, index);

    if (object && lua_getmetatable(L, index)) {
        const void *metatable = lua_topointer(L, -1);

        lua_pop(L, 1);
        if (metatable == state_of(L)->metatables[type])
            return object;
    }
    luaL_typeerror(L, index, names[type]);
    return NULL;
}

void l_fill_object(lua_State *L, const luaL_Reg *methods, lua_CFunction index, lua_CFunction gc)
{
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_pushcclosure(L, index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, false); // out of the reach of scripts
    lua_setfield(L, -2, "__metatable");
}
