// lua_config.c - the module `config`, see lua/types/runtime.lua.
//
// Scripts get the configuration as plain tables without the nodes marked secret.  They are built
// once for each state, when the module is first required.

#include <lauxlib.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "script/generation.h"
#include "script/modules.h"
#include "script/state.h"

enum { CONFIG_LUA_DEPTH = 64 };

void l_push_node(lua_State *L, const struct config_node *node, int depth)
{
    luaL_checkstack(L, 4, "configuration too deep");
    if (!node || node->secret || depth > CONFIG_LUA_DEPTH) {
        lua_pushnil(L);
        return;
    }
    switch (node->type) {
    case CONFIG_BOOL:
        lua_pushboolean(L, node->boolean);
        break;
    case CONFIG_INT:
        lua_pushinteger(L, node->integer);
        break;
    case CONFIG_NUMBER:
        lua_pushnumber(L, node->number);
        break;
    case CONFIG_STRING:
        lua_pushstring(L, node->text);
        break;
    case CONFIG_LIST:
        lua_createtable(L, (int)node->count, 0);
        for (size_t i = 0, n = 0; i < node->count; i++) {
            l_push_node(L, node->items[i], depth + 1);
            if (lua_isnil(L, -1))
                lua_pop(L, 1);
            else
                lua_rawseti(L, -2, (lua_Integer)++n);
        }
        break;
    case CONFIG_MAP:
        lua_createtable(L, 0, (int)node->count);
        for (size_t i = 0; i < node->count; i++) {
            l_push_node(L, node->items[i], depth + 1);
            lua_setfield(L, -2, node->names[i]);
        }
        break;
    default:
        lua_pushnil(L);
    }
}

static const struct config_node *client_keys(lua_State *L)
{
    return config_at(state_of(L)->config, "api-keys");
}

// config.keys_required() -> boolean
static int l_keys_required(lua_State *L)
{
    lua_pushboolean(L, client_keys(L)->count > 0);
    return 1;
}

// config.closed() -> string?
static int l_closed(lua_State *L)
{
    lua_pushstring(L, state_of(L)->closed);
    return 1;
}

// config.client_key(candidate) -> string?  compares with every key, each in constant time
static int l_client_key(lua_State *L)
{
    const struct config_node *keys = client_keys(L);
    size_t len;
    const char *candidate = luaL_checklstring(L, 1, &len);
    lua_Integer found = 0;

    for (size_t i = 0; i < keys->count; i++) {
        const char *key = keys->items[i]->text;

        if (*key && strlen(key) == len && CRYPTO_memcmp(key, candidate, len) == 0 && !found)
            found = (lua_Integer)i + 1;
    }
    lua_rawgeti(L, lua_upvalueindex(1), found); // nil at 0
    return 1;
}

// config.local_password(candidate) -> boolean?  nil when there is none; true is a sign of life
static int l_local_password(lua_State *L)
{
    struct local_access *local = state_of(L)->local;
    double now = clock_mono();
    size_t len;
    const char *candidate = luaL_checklstring(L, 1, &len);
    bool right;

    if (!local || !local->password) {
        lua_pushnil(L);
        return 1;
    }
    right = strlen(local->password) == len && CRYPTO_memcmp(local->password, candidate, len) == 0;
    if (right)
        __atomic_store(&local->last_seen, &now, __ATOMIC_RELAXED);
    lua_pushboolean(L, right);
    return 1;
}

// config.local_key(candidate) -> boolean?  nil when there is none
static int l_local_key(lua_State *L)
{
    const struct local_access *local = state_of(L)->local;
    size_t len;
    const char *candidate = luaL_checklstring(L, 1, &len);

    if (!local || !*local->key)
        lua_pushnil(L);
    else
        lua_pushboolean(L, len == LOCAL_KEY_SIZE - 1 &&
                               CRYPTO_memcmp(local->key, candidate, LOCAL_KEY_SIZE - 1) == 0);
    return 1;
}

// Pushes the principals of the client keys: 12 hex digits of SHA-256.
static void l_push_principals(lua_State *L)
{
    const struct config_node *keys = client_keys(L);

    lua_createtable(L, (int)keys->count, 0);
    for (size_t i = 0; i < keys->count; i++) {
        const char *key = keys->items[i]->text;
        unsigned char digest[32];
        char hex[13];

        EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL);
        for (size_t k = 0; k < 6; k++)
            snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        lua_pushstring(L, hex);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

int luaopen_config(lua_State *L)
{
    struct script_state *s = state_of(L);

    lua_createtable(L, 0, 7);
    l_push_node(L, config_root(s->config), 0);
    lua_setfield(L, -2, "values");
    lua_pushstring(L, config_path(s->config));
    lua_setfield(L, -2, "path");
    lua_pushcfunction(L, l_keys_required);
    lua_setfield(L, -2, "keys_required");
    lua_pushcfunction(L, l_closed);
    lua_setfield(L, -2, "closed");
    lua_pushcfunction(L, l_local_password);
    lua_setfield(L, -2, "local_password");
    lua_pushcfunction(L, l_local_key);
    lua_setfield(L, -2, "local_key");
    l_push_principals(L);
    lua_pushcclosure(L, l_client_key, 1);
    lua_setfield(L, -2, "client_key");
    return 1;
}
