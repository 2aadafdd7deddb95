// lua_store.c - the module `store`: the shared store, see lua/types/runtime.lua.

#include <lauxlib.h>
#include <string.h>

#include "script/modules.h"
#include "script/state.h"

static struct store *l_store(lua_State *L)
{
    struct script_state *s = state_of(L);

    if (!s->host)
        luaL_error(L, "the store is not available while scripts are checked");
    return s->host->store;
}

static struct store_value l_check_value(lua_State *L, int index)
{
    struct store_value v = {0};

    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        v.type = STORE_BOOLEAN;
        v.boolean = lua_toboolean(L, index);
        break;
    case LUA_TNUMBER:
        v.type = lua_isinteger(L, index) ? STORE_INTEGER : STORE_NUMBER;
        v.integer = lua_tointeger(L, index);
        v.number = lua_tonumber(L, index);
        break;
    case LUA_TSTRING:
        v.type = STORE_STRING;
        v.text = lua_tolstring(L, index, &v.len);
        break;
    default:
        luaL_typeerror(L, index, "boolean, number or string");
    }
    return v;
}

static int push_value(lua_State *L, const struct store_value *v)
{
    switch (v->type) {
    case STORE_BOOLEAN:
        lua_pushboolean(L, v->boolean);
        break;
    case STORE_INTEGER:
        lua_pushinteger(L, v->integer);
        break;
    case STORE_NUMBER:
        lua_pushnumber(L, v->number);
        break;
    case STORE_STRING:
        lua_pushlstring(L, v->text, v->len);
        break;
    default:
        lua_pushnil(L);
    }
    return 1;
}

// store.get(key) -> value?, ttl?
static int l_store_get(lua_State *L)
{
    struct store *store = l_store(L);
    struct buf *text = &state_of(L)->scratch;
    size_t len;
    const char *key = luaL_checklstring(L, 1, &len);
    struct store_value v;
    double ttl = 0;

    buf_clear(text);
    if (!store_get(store, key, len, &v, text, &ttl))
        return push_value(L, &(struct store_value){0});
    push_value(L, &v);
    if (ttl <= 0)
        return 1;
    lua_pushnumber(L, ttl);
    return 2;
}

// store.set(key, value?, ttl?)
static int l_store_set(lua_State *L)
{
    struct store *store = l_store(L);
    size_t len;
    const char *key = luaL_checklstring(L, 1, &len);
    struct store_value v;

    if (lua_isnoneornil(L, 2)) {
        store_delete(store, key, len);
        return 0;
    }
    v = l_check_value(L, 2);
    if (!store_set(store, key, len, &v, luaL_optnumber(L, 3, 0)))
        return luaL_error(L, "the store is out of memory");
    return 0;
}

// store.add(key, delta?, ttl?) -> integer
static int l_store_add(lua_State *L)
{
    struct store *store = l_store(L);
    size_t len;
    const char *key = luaL_checklstring(L, 1, &len);

    lua_pushinteger(L, store_add(store, key, len, luaL_optinteger(L, 2, 1),
                                 luaL_optnumber(L, 3, 0)));
    return 1;
}

// store.claim(key, value, ttl?) -> boolean
static int l_store_claim(lua_State *L)
{
    struct store *store = l_store(L);
    size_t len;
    const char *key = luaL_checklstring(L, 1, &len);
    struct store_value v = l_check_value(L, 2);

    lua_pushboolean(L, store_claim(store, key, len, &v, luaL_optnumber(L, 3, 0)));
    return 1;
}

// store.keys(prefix) -> string[]
static int l_store_keys(lua_State *L)
{
    struct store *store = l_store(L);
    size_t len;
    const char *prefix = luaL_checklstring(L, 1, &len);
    struct buf *all = &state_of(L)->scratch;
    const char *at;
    size_t count;

    buf_clear(all);
    count = store_keys(store, prefix, len, all);
    at = all->data;
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, at);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
        at += strlen(at) + 1;
    }
    return 1;
}

int luaopen_store(lua_State *L)
{
    static const luaL_Reg functions[] = {{"get", l_store_get},     {"set", l_store_set},
                                         {"add", l_store_add},     {"claim", l_store_claim},
                                         {"keys", l_store_keys},   {0}};

    luaL_newlib(L, functions);
    return 1;
}
