#include "script/sandbox.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>

static const char *const allowed[] = {
    "assert", "error",  "getmetatable", "ipairs", "next",     "pairs",    "pcall", "rawequal",
    "rawget", "rawlen", "rawset",       "select", "tonumber", "tostring", "type",  "xpcall",
    "math",   "string", "table",        "utf8",   "_VERSION", NULL};

static int l_new_global(lua_State *L)
{
    return luaL_error(L, "attempt to set the global '%s'; globals are read-only",
                      luaL_tolstring(L, 2, NULL));
}

// setmetatable() without finalizers: they run in the collector, where no hook can stop one that
// never ends.  `__close` is there for cleaning up.
static int l_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnoneornil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    lua_settop(L, 2);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "scripts have no finalizers: use <close>");
        lua_pop(L, 1);
    }
    lua_setmetatable(L, 1);
    return 1;
}

static void l_open_library(lua_State *L, const char *name, lua_CFunction open)
{
    luaL_requiref(L, name, open, 1);
    lua_pop(L, 1);
}

// Pushes a table with only the named members of the table on top, which it replaces.
static void l_restrict(lua_State *L, const char *const *names)
{
    lua_newtable(L);
    for (size_t i = 0; names[i]; i++) {
        lua_getfield(L, -2, names[i]);
        lua_setfield(L, -2, names[i]);
    }
    lua_remove(L, -2);
}

void l_make_sandbox(lua_State *L, lua_CFunction require)
{
    static const char *const os_names[] = {"time", "date", "clock", NULL};

    l_open_library(L, LUA_GNAME, luaopen_base);
    l_open_library(L, LUA_STRLIBNAME, luaopen_string);
    l_open_library(L, LUA_TABLIBNAME, luaopen_table);
    l_open_library(L, LUA_MATHLIBNAME, luaopen_math);
    l_open_library(L, LUA_UTF8LIBNAME, luaopen_utf8);
    l_open_library(L, LUA_OSLIBNAME, luaopen_os);

    lua_pushglobaltable(L);
    lua_getfield(L, -1, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
    l_restrict(L, allowed); // visible
    lua_getglobal(L, LUA_OSLIBNAME);
    l_restrict(L, os_names);
    lua_setfield(L, -2, "os");
    lua_pushcfunction(L, require);
    lua_setfield(L, -2, "require");
    lua_pushcfunction(L, l_setmetatable);
    lua_setfield(L, -2, "setmetatable");

    lua_newtable(L); // the proxy that becomes the globals table
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "_G");
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_new_global);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "globals");
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pop(L, 1);
    // The libraries' own record of what is loaded would keep the removed functions reachable.
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
}
