// lua_json_shape.c - json.shape, see lua/types/json.lua.
//
// A shape is compiled once into plain tables: name -> true (decode whole), false (keep raw) or the
// shape of that member.  Arrays hand the shape on to their elements.

#include <string.h>

#include "script/lua_json_parts.h"

// A set of names, written as a list or as name = true, into the table on top.
static void l_add_names(lua_State *L, int names, bool value)
{
    int set = lua_gettop(L);

    luaL_checktype(L, names, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, names); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING)
            lua_pushvalue(L, -2);
        else if (lua_type(L, -1) == LUA_TSTRING)
            lua_pushvalue(L, -1);
        else
            luaL_error(L, "json.shape: names expected");
        lua_pushboolean(L, value);
        lua_rawset(L, set);
    }
}

static void l_compile(lua_State *L, int source, int memo, int raw);

// Pushes name and meaning of one entry of a shape: `"name"` in its list part, or name = meaning.
static void l_compile_member(lua_State *L, int key, int value, int memo, int raw)
{
    if (lua_type(L, key) == LUA_TNUMBER && lua_type(L, value) == LUA_TSTRING) {
        lua_pushvalue(L, value);
        lua_pushboolean(L, true);
        return;
    }
    if (lua_type(L, key) != LUA_TSTRING)
        luaL_error(L, "json.shape: member names are strings");
    lua_pushvalue(L, key);
    if (lua_istable(L, value))
        l_compile(L, value, memo, raw);
    else if (lua_isboolean(L, value) && lua_toboolean(L, value))
        lua_pushboolean(L, true);
    else if (lua_type(L, value) == LUA_TSTRING && strcmp(lua_tostring(L, value), "raw") == 0)
        lua_pushboolean(L, false);
    else
        luaL_error(L, "json.shape: %s is neither true, \"raw\" nor a table", lua_tostring(L, key));
}

// Compiles the table at `source` and pushes the result.  `memo` maps tables to their results, so
// that shapes may contain themselves.  `raw` is the index of the raw names, which win, or 0.
static void l_compile(lua_State *L, int source, int memo, int raw)
{
    int result;

    luaL_checkstack(L, 12, "json.shape: nested too deeply");
    lua_pushvalue(L, source);
    if (lua_rawget(L, memo) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    result = lua_gettop(L);
    lua_pushvalue(L, source);
    lua_pushvalue(L, result);
    lua_rawset(L, memo);
    for (lua_pushnil(L); lua_next(L, source); lua_settop(L, result + 1)) {
        int value = lua_gettop(L);

        l_compile_member(L, result + 1, value, memo, raw);
        lua_rawset(L, result);
    }
    if (raw)
        l_add_names(L, raw, false);
}

static bool l_flag(lua_State *L, int options, const char *name)
{
    bool set;

    lua_getfield(L, options, name);
    set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

struct json_shape *l_json_shape_from(lua_State *L, int options)
{
    struct json_shape *shape;
    int self, raw = 0;

    if (lua_isuserdata(L, options)) {
        lua_pushvalue(L, options);
        return luaL_checkudata(L, options, "json.shape");
    }
    shape = lua_newuserdatauv(L, sizeof(*shape), SHAPE_VALUES);
    self = lua_gettop(L);
    *shape = (struct json_shape){0};
    l_json_push(L, JSON_SHAPE_META);
    lua_setmetatable(L, self);
    if (lua_isnoneornil(L, options))
        return shape;
    luaL_checktype(L, options, LUA_TTABLE);
    shape->strict = l_flag(L, options, "strict");
    shape->order = l_flag(L, options, "order");
    if (lua_getfield(L, options, "raw") != LUA_TNIL) {
        raw = lua_gettop(L);
        lua_newtable(L);
        l_add_names(L, raw, false);
        lua_setiuservalue(L, self, SHAPE_RAW);
        shape->raw = true;
    }
    if (lua_getfield(L, options, "known") != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_newtable(L);
        l_compile(L, lua_gettop(L) - 1, lua_gettop(L), raw);
        lua_setiuservalue(L, self, SHAPE_KNOWN);
        shape->known = true;
    }
    if (lua_getfield(L, options, "kept") != LUA_TNIL) {
        lua_newtable(L);
        l_add_names(L, lua_gettop(L) - 1, true);
        lua_setiuservalue(L, self, SHAPE_KEPT);
        lua_newtable(L);
        lua_setiuservalue(L, self, SHAPE_REMEMBERED);
        shape->kept = true;
    }
    lua_settop(L, self);
    return shape;
}

// json.shape{known = …, raw = …, kept = …, order = …, strict = …} -> shape
int l_json_shape(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    l_json_shape_from(L, 1);
    return 1;
}

// --- values that come again ----------------------------------------------------------------------

// The text of an array or an object ends with itself, so that the same bytes at the same place are
// the same value, and nothing of it has to be looked at.

bool l_json_remembered(lua_State *L, const struct json_shape *shape, int remembered, const char *at,
                       size_t len, size_t *taken)
{
    for (int i = 1; i <= shape->remembered; i++) {
        size_t size;
        const char *text;

        lua_rawgeti(L, remembered, 2 * i);
        text = lua_tolstring(L, -1, &size);
        lua_pop(L, 1); // stays in the table
        if (size <= len && memcmp(text, at, size) == 0) {
            lua_rawgeti(L, remembered, 2 * i - 1);
            *taken = size;
            return true;
        }
    }
    return false;
}

void l_json_remember(lua_State *L, struct json_shape *shape, int remembered, const char *text,
                     size_t len)
{
    if (lua_type(L, -1) != LUA_TTABLE || len < REMEMBERED_MIN || len > REMEMBERED_BYTES)
        return;
    if (shape->remembered == REMEMBERED_MAX || shape->remembered_bytes + len > REMEMBERED_BYTES) {
        for (int i = 2 * shape->remembered; i > 0; i--) {
            lua_pushnil(L);
            lua_rawseti(L, remembered, i);
        }
        shape->remembered = 0;
        shape->remembered_bytes = 0;
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, remembered, 2 * shape->remembered + 1);
    lua_pushlstring(L, text, len);
    lua_rawseti(L, remembered, 2 * shape->remembered + 2);
    shape->remembered++;
    shape->remembered_bytes += len;
}
