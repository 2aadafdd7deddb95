// lua_credentials.c - the modules `credentials` and `accounts`, see lua/types/runtime.lua.
//
// Scripts see what a credential is called and where it may go, never its secret.  Only privileged
// states publish accounts.

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "script/accounts.h"
#include "script/generation.h"
#include "script/modules.h"
#include "script/state.h"

// --- credentials ---------------------------------------------------------------------------------

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

// Pushes the table that a JSON object says; the function json.decode is at `decode`.
static void l_push_details(lua_State *L, int decode, const char *details)
{
    lua_pushvalue(L, decode);
    lua_pushstring(L, details);
    lua_call(L, 1, 1);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
}

static void l_push_credential(lua_State *L, const struct credential *c, int decode)
{
    if (c->details)
        l_push_details(L, decode, c->details);
    else
        lua_createtable(L, 0, 8);
    set_string(L, "id", c->id);
    set_string(L, "provider", c->provider);
    set_string(L, "name", c->name);
    set_string(L, "kind", c->kind);
    set_string(L, "label", c->label);
    if (*c->base_url)
        set_string(L, "base_url", c->base_url);
    if (c->weight) {
        lua_pushinteger(L, c->weight->integer);
        lua_setfield(L, -2, "weight");
    }
    if (c->entry) {
        l_push_node(L, c->entry, 0);
        lua_setfield(L, -2, "entry");
    } else if (lua_getfield(L, -1, "entry") != LUA_TTABLE) {
        lua_newtable(L);
        lua_setfield(L, -3, "entry");
        lua_pop(L, 1);
    } else {
        lua_pop(L, 1);
    }
}

static lua_Integer l_append_set(lua_State *L, const struct credential_set *set, lua_Integer n,
                                int decode)
{
    for (size_t i = 0; set && i < set->count; i++) {
        l_push_credential(L, &set->items[i], decode);
        lua_rawseti(L, 1, ++n);
    }
    return n;
}

// credentials.list() -> Credential[]
static int l_list(lua_State *L)
{
    struct script_state *s = state_of(L);
    lua_Integer n;

    lua_settop(L, 0);
    lua_newtable(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "json");
    lua_call(L, 1, 1);
    lua_getfield(L, 2, "decode");
    n = l_append_set(L, s->credentials, 0, 3);
    // The state keeps what it looked at until it looks again, which no function called here does.
    state_refresh_live(s);
    for (int i = 0; i < ACCOUNTS_SOURCES; i++)
        n = l_append_set(L, s->live[i], n, 3);
    lua_settop(L, 1);
    return 1;
}

// credentials.version() -> integer  the configured ones belong to the generation
static int l_version(lua_State *L)
{
    struct script_state *s = state_of(L);

    lua_pushinteger(L, ((lua_Integer)s->generation << 32) + state_refresh_live(s));
    return 1;
}

// credentials.stamp(id) -> string?
static int l_stamp(lua_State *L)
{
    const struct credential *c = state_credential(state_of(L), luaL_checkstring(L, 1));

    lua_pushstring(L, c ? c->stamp : NULL);
    return 1;
}

// credentials.redact(text) -> string
static int l_redact(lua_State *L)
{
    struct script_state *s = state_of(L);
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    if (secrets_redact(s, text, len, NULL, &s->scratch))
        lua_pushlstring(L, s->scratch.data, s->scratch.len);
    else
        lua_settop(L, 1);
    return 1;
}

int luaopen_credentials(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"list", l_list}, {"version", l_version}, {"stamp", l_stamp}, {"redact", l_redact}, {0}};

    luaL_newlib(L, functions);
    return 1;
}

// --- accounts ------------------------------------------------------------------------------------

enum { HOSTS_MAX = 16 };

// A set that is being filled, owned by Lua until it is published.
static int l_set_gc(lua_State *L)
{
    struct credential_set **at = lua_touserdata(L, 1);

    credentials_unref(*at);
    *at = NULL;
    return 0;
}

static struct credential_set **l_new_set(lua_State *L)
{
    struct credential_set **at = lua_newuserdatauv(L, sizeof(*at), 0);

    *at = NULL;
    if (luaL_newmetatable(L, "accounts.set")) {
        lua_pushcfunction(L, l_set_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    *at = credentials_new();
    if (!*at)
        luaL_error(L, "out of memory");
    return at;
}

// The string of that name in the table at `index`, which keeps it alive; NULL when absent.
static const char *l_text(lua_State *L, int index, const char *name, bool needed)
{
    const char *text = NULL;

    if (lua_getfield(L, index, name) == LUA_TSTRING)
        text = lua_tostring(L, -1);
    else if (needed || !lua_isnil(L, -1))
        luaL_error(L, "an account's '%s' must be a string", name);
    lua_pop(L, 1);
    return text;
}

// Reads the list of URLs; NULL at its end.
static void l_read_hosts(lua_State *L, int index, const char **hosts)
{
    size_t n = 0;

    if (lua_getfield(L, index, "hosts") == LUA_TTABLE) {
        for (; n < HOSTS_MAX && lua_rawgeti(L, -1, (lua_Integer)n + 1) == LUA_TSTRING; n++) {
            hosts[n] = lua_tostring(L, -1);
            lua_pop(L, 1);
        }
        if (n < HOSTS_MAX)
            lua_pop(L, 1); // what ended the list
    }
    lua_pop(L, 1);
    hosts[n] = NULL;
}

// Adds the account in the table at the top of the stack.
static void l_add_account(lua_State *L, struct credential_set *set)
{
    int index = lua_gettop(L);
    const char *hosts[HOSTS_MAX + 1];
    struct credential_draft draft = {.hosts = hosts, .kind = "oauth"};

    luaL_checktype(L, index, LUA_TTABLE);
    draft.id = l_text(L, index, "id", true);
    draft.provider = l_text(L, index, "provider", true);
    draft.name = l_text(L, index, "name", true);
    draft.secret = l_text(L, index, "secret", true);
    draft.label = l_text(L, index, "label", true);
    draft.proxy = l_text(L, index, "proxy", false);
    draft.base_url = l_text(L, index, "base_url", false);
    draft.details = l_text(L, index, "details", false);
    l_read_hosts(L, index, hosts);
    if (!credentials_add(set, &draft))
        luaL_error(L, "the account %s cannot be used: one of its hosts is no URL", draft.id);
}

static struct script_state *l_privileged(lua_State *L)
{
    struct script_state *s = state_of(L);

    if (!s->privileged || !s->host)
        luaL_error(L, "only the keeper looks after accounts");
    return s;
}

// accounts.publish(list)
static int l_publish(lua_State *L)
{
    struct script_state *s = l_privileged(L);
    struct credential_set **at;
    lua_Integer count;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    count = luaL_len(L, 1);
    at = l_new_set(L);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, i);
        l_add_account(L, *at);
        lua_settop(L, 2);
    }
    credentials_seal(*at);
    if (s->host->accounts) {
        accounts_publish(s->host->accounts, ACCOUNTS_FILES, *at);
        *at = NULL;
    }
    return 0;
}

// accounts.directory() -> string
static int l_directory(lua_State *L)
{
    char *path = config_expand_path(l_privileged(L)->config, "auth-dir");
    char copy[4096];

    snprintf(copy, sizeof(copy), "%s", path ? path : "");
    free(path);
    lua_pushstring(L, copy);
    return 1;
}

int luaopen_accounts(lua_State *L)
{
    static const luaL_Reg functions[] = {{"publish", l_publish}, {"directory", l_directory}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
