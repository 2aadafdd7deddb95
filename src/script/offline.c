#include "script/offline.h"

#include <lauxlib.h>
#include <lua.h>

#include "script/credentials.h"
#include "script/state.h"

struct call {
    const char *module, *function;
    const struct offline_value *values;
    size_t count;
    struct buf *out, *notes;
    bool fine;
};

// Appends the string at an index, if it is one.
static bool append_string(lua_State *L, int index, struct buf *to)
{
    size_t len;
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &len) : NULL;

    return !text || buf_append(to, text, len);
}

static int l_call(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);

    state_push_module(L, call->module);
    lua_getfield(L, -1, call->function);
    lua_createtable(L, 0, (int)call->count);
    for (size_t i = 0; i < call->count; i++) {
        const struct offline_value *v = &call->values[i];

        if (v->text)
            lua_pushlstring(L, v->text, v->len);
        else
            lua_pushboolean(L, v->boolean);
        lua_setfield(L, -2, v->name);
    }
    lua_call(L, 1, 3);
    if (!append_string(L, -3, call->out) || !append_string(L, -2, call->notes))
        return luaL_error(L, "the result is too large");
    call->fine = lua_toboolean(L, -1);
    return 0;
}

// The call of a state that nothing else uses: it takes as long as it takes, the user can end it.
static bool run(struct script_state *s, struct call *call)
{
    const char *message;

    if (!state_require(s, call->module, call->notes))
        return false;
    lua_pushcfunction(s->L, l_call);
    lua_pushlightuserdata(s->L, call);
    if (lua_pcall(s->L, 1, 0, 0) == LUA_OK)
        return call->fine;
    message = lua_tostring(s->L, -1);
    buf_printf(call->notes, "error: %s\n", message ? message : "a script failed");
    return false;
}

bool offline_call(struct bundle *bundle, struct config *config, const char *module,
                  const char *function, const struct offline_value *values, size_t count,
                  struct buf *out, struct buf *notes)
{
    struct call call = {module, function, values, count, out, notes, false};
    struct script_limits limits = {
        .memory = (size_t)config_int(config, "scripts.memory-mib") << 20,
        .hard = (double)config_int(config, "scripts.hard-limit-ms") / 1000,
    };
    struct credential_set *credentials;
    struct script_state *s = NULL;
    bool fine = false;

    if (!bundle->compiled && !bundle_compile(bundle, notes))
        return false;
    credentials = credentials_from_config(config);
    if (credentials)
        s = state_new(bundle, config, credentials, &limits);
    if (s)
        fine = run(s, &call);
    else
        buf_puts(notes, "out of memory\n");
    state_free(s);
    credentials_unref(credentials);
    return fine;
}
