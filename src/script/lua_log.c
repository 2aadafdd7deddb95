// lua_log.c - the modules `log` and `task`, see lua/types/runtime.lua.

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "script/modules.h"
#include "script/state.h"
#include "script/task.h"

// --- log ---------------------------------------------------------------------------------------

// The line of script that called, as `file:line`.
static void origin_of(lua_State *L, char *out, size_t size)
{
    lua_Debug at;

    snprintf(out, size, "?");
    if (!lua_getstack(L, 1, &at))
        return;
    lua_getinfo(L, "Sl", &at);
    snprintf(out, size, "%s:%d", at.short_src, at.currentline);
}

// log.<level>(format, ...)
static int l_log(lua_State *L)
{
    enum log_level level = (enum log_level)lua_tointeger(L, lua_upvalueindex(1));
    struct script_state *s = state_of(L);
    struct log *log = s->host ? s->host->log : NULL;
    char origin[LUA_IDSIZE + 16];
    const char *id = task_of(L)->id, *line;
    size_t len;

    luaL_checkstring(L, 1);
    if (!log_enabled(log, level))
        return 0;
    if (lua_gettop(L) > 1) {
        lua_pushvalue(L, lua_upvalueindex(2)); // string.format
        lua_insert(L, 1);
        lua_call(L, lua_gettop(L) - 1, 1);
    }
    origin_of(L, origin, sizeof(origin));
    line = lua_tolstring(L, 1, &len);
    // Upstreams and clients may have quoted a secret.
    if (secrets_redact(s, line, len, NULL, &s->scratch))
        line = buf_cstr(&s->scratch);
    log_write(log, level, origin, *id ? id : NULL, "%s", line ? line : "");
    return 0;
}

// log.mask(secret) -> string
static int l_mask(lua_State *L)
{
    size_t len;
    const char *secret = luaL_checklstring(L, 1, &len);
    char mask[32];

    lua_pushstring(L, log_mask(secret, len, mask, sizeof(mask)));
    return 1;
}

int luaopen_log(lua_State *L)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};

    lua_createtable(L, 0, 5);
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        lua_pushinteger(L, i);
        lua_pushliteral(L, "");
        lua_getfield(L, -1, "format"); // through the string metatable
        lua_remove(L, -2);
        lua_pushcclosure(L, l_log, 2);
        lua_setfield(L, -2, levels[i]);
    }
    lua_pushcfunction(L, l_mask);
    lua_setfield(L, -2, "mask");
    return 1;
}

// --- task --------------------------------------------------------------------------------------

// task.id() -> string?
static int l_task_id(lua_State *L)
{
    const char *id = task_of(L)->id;

    if (*id)
        lua_pushstring(L, id);
    else
        lua_pushnil(L);
    return 1;
}

// task.scripts(folder) -> names  module names of the scripts directly below a folder
static int l_task_scripts(lua_State *L)
{
    size_t len;
    const char *folder = luaL_checklstring(L, 1, &len);
    const struct bundle *b = state_of(L)->bundle;
    lua_Integer n = 0;

    lua_newtable(L);
    for (size_t i = 0; i < b->count; i++) {
        const char *name = b->scripts[i].name;

        if (strncmp(name, folder, len) != 0 || name[len] != '/' || strchr(name + len + 1, '/'))
            continue;
        lua_pushlstring(L, name + len + 1, strlen(name) - len - 1 - strlen(".lua"));
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

// task.trace(id) -> string?  the route trace of a request, as JSON
static int l_task_trace(lua_State *L)
{
    struct script_state *s = state_of(L);
    const char *id = luaL_checkstring(L, 1);

    buf_clear(&s->scratch);
    if (s->host && traces_find(s->host->traces, id, &s->scratch))
        lua_pushlstring(L, s->scratch.data, s->scratch.len);
    else
        lua_pushnil(L);
    return 1;
}

int luaopen_task(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"id", l_task_id}, {"scripts", l_task_scripts}, {"trace", l_task_trace}, {0}};
    struct script_state *s = state_of(L);

    luaL_newlib(L, functions);
    lua_pushstring(L, s->version);
    lua_setfield(L, -2, "version");
    return 1;
}
