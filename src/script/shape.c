#include "script/shape.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

struct member {
    const char *name;
    int type;
    bool optional;
};

struct shape {
    const char *folder;
    const struct member *members;
    const char *one_of[3]; // at least one of these members must be there
};

static const struct member provider[] = {
    {"name", LUA_TSTRING, false},     {"dialect", LUA_TSTRING, false},
    {"models", LUA_TFUNCTION, false}, {"request", LUA_TFUNCTION, true},
    {"open", LUA_TFUNCTION, true},    {"classify", LUA_TFUNCTION, true},
    {"examples", LUA_TTABLE, true},   {0}};

static const struct member account[] = {{"type", LUA_TSTRING, false},
                                        {"read", LUA_TFUNCTION, false},
                                        {"refresh", LUA_TFUNCTION, true},
                                        {"lead", LUA_TNUMBER, true},
                                        {"login", LUA_TTABLE, true},
                                        {"examples", LUA_TTABLE, true},
                                        {0}};

static const struct member table_only[] = {{"examples", LUA_TTABLE, true}, {0}};

static const struct member entry[] = {
    {"handle", LUA_TFUNCTION, false}, {"failed", LUA_TFUNCTION, false}, {0}};

static const struct shape shapes[] = {
    {"providers/", provider, {"request", "open", NULL}},
    {"accounts/", account, {NULL}},
    {"translators/", table_only, {NULL}},
    {"models/", table_only, {NULL}},
    {"main.lua", entry, {NULL}},
};

static void l_check_members(lua_State *L, const char *path, const struct shape *shape)
{
    bool found = !shape->one_of[0];

    if (!lua_istable(L, 2))
        luaL_error(L, "%s: must return a table, not a %s", path, luaL_typename(L, 2));
    for (const struct member *m = shape->members; m->name; m++) {
        int type = lua_getfield(L, 2, m->name);

        if (type != m->type && !(type == LUA_TNIL && m->optional))
            luaL_error(L, "%s: member '%s' must be a %s, not a %s", path, m->name,
                       lua_typename(L, m->type), lua_typename(L, type));
        lua_pop(L, 1);
    }
    for (size_t i = 0; shape->one_of[i]; i++)
        found = lua_getfield(L, 2, shape->one_of[i]) != LUA_TNIL || found;
    if (!found)
        luaL_error(L, "%s: needs a member '%s' or '%s'", path, shape->one_of[0], shape->one_of[1]);
}

// Examples are functions that raise when the script does not do what it should.
static void l_run_examples(lua_State *L, const char *path)
{
    if (!lua_istable(L, 2) || lua_getfield(L, 2, "examples") != LUA_TTABLE)
        return;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (!lua_isfunction(L, -1))
            luaL_error(L, "%s: 'examples' must hold functions", path);
        lua_call(L, 0, 0);
    }
}

int l_check_shape(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);

    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
        if (strncmp(path, shapes[i].folder, strlen(shapes[i].folder)) == 0)
            l_check_members(L, path, &shapes[i]);
    lua_settop(L, 2);
    l_run_examples(L, path);
    return 0;
}
