#include "script/offline.h"

#include <lauxlib.h>
#include <lua.h>

#include "script/credentials.h"
#include "script/state.h"

struct call {
    const struct offline_job *job;
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

static int l_translate(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);
    const struct offline_job *job = call->job;

    state_push_module(L, "core.translate");
    lua_getfield(L, -1, "run");
    lua_pushstring(L, job->from);
    lua_pushstring(L, job->to);
    lua_pushstring(L, job->mode);
    lua_pushstring(L, job->model);
    lua_pushlstring(L, job->text, job->text_len);
    lua_call(L, 5, 3);
    if (!append_string(L, -3, call->out) || !append_string(L, -2, call->notes))
        return luaL_error(L, "the result is too large");
    call->fine = lua_toboolean(L, -1);
    return 0;
}

// The call of a state that nothing else uses: it takes as long as it takes, the user can end it.
static bool run(struct script_state *s, struct call *call)
{
    const char *message;

    if (!state_require(s, "core.translate", call->notes))
        return false;
    lua_pushcfunction(s->L, l_translate);
    lua_pushlightuserdata(s->L, call);
    if (lua_pcall(s->L, 1, 0, 0) == LUA_OK)
        return call->fine;
    message = lua_tostring(s->L, -1);
    buf_printf(call->notes, "error: %s\n", message ? message : "a script failed");
    return false;
}

bool offline_translate(struct bundle *bundle, struct config *config, const struct offline_job *job,
                       struct buf *out, struct buf *notes)
{
    struct call call = {.job = job, .out = out, .notes = notes};
    struct script_limits limits = {
        .memory = (size_t)config_int(config, "scripts.memory-mib") << 20,
        .hard = (double)config_int(config, "scripts.hard-limit-ms") / 1000,
    };
    struct credential_set *none;
    struct script_state *s = NULL;
    bool fine = false;

    if (!bundle->compiled && !bundle_compile(bundle, notes))
        return false;
    none = credentials_from_config(config);
    if (none)
        s = state_new(bundle, config, none, &limits);
    if (s)
        fine = run(s, &call);
    else
        buf_puts(notes, "out of memory\n");
    state_free(s);
    credentials_unref(none);
    return fine;
}
