// lua_ws.c - the module `ws`: clients that serve requests over a websocket, see lua/types/ws.lua.

#include <lauxlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/client.h"
#include "script/modules.h"
#include "script/sessions.h"
#include "script/state.h"

enum {
    TEXT_MAX = 200 * 1024 * 1024, // of a message to a session: a body of 64 MiB in quotes
    KEPT_MAX = 64 * 1024,         // of scratch memory
    SECONDS_MAX = 24 * 3600       // of a wait
};

// The userdata behind a SessionCall.
struct caller {
    struct resource resource;
    struct session_call *call; // NULL after close
    struct session_message *message;
    struct wait wait;
    double deadline; // of the wait under way
};

static struct script_host *l_check_sessions(lua_State *L)
{
    struct script_host *h = state_of(L)->host;

    if (!h || !h->sessions)
        luaL_error(L, "there are no sessions here");
    return h;
}

// ws.accept(client, provider, keyed) -> string?
static int l_accept(lua_State *L)
{
    struct client *c = l_check_client(L, 1);
    const char *provider = luaL_checkstring(L, 2);
    bool keyed = lua_toboolean(L, 3);
    struct script_host *h = l_check_sessions(L);
    char id[SESSION_ID_SIZE];

    if (c->req->head_sent)
        return luaL_error(L, "the response has begun already");
    if (session_accept(h, c->req, c->fields.data, c->fields.len, provider, keyed, id))
        lua_pushstring(L, id);
    else
        lua_pushnil(L);
    return 1;
}

// --- calls ---------------------------------------------------------------------------------------

static void release_caller(struct resource *resource)
{
    struct caller *c = list_entry(resource, struct caller, resource);

    list_remove(&resource->in_task);
    wait_deinit(&c->wait);
    session_call_free(c->call);
    c->call = NULL;
    session_message_free(c->message);
    c->message = NULL;
}

static int l_close(lua_State *L)
{
    struct caller *c = l_check_object(L, 1, OBJECT_SESSION_CALL);

    release_caller(&c->resource);
    return 0;
}

static struct caller *l_check_caller(lua_State *L)
{
    struct caller *c = l_check_object(L, 1, OBJECT_SESSION_CALL);

    if (!c->call)
        luaL_error(L, "the call is closed");
    return c;
}

// The other side of the wait: the session's worker has news.
static void on_news(void *owner)
{
    struct caller *c = owner;

    task_wake(&c->wait);
}

// Pushes a JSON string's content, or the text of another value.
static void l_push_value(lua_State *L, const struct json_slice *slice)
{
    struct buf *scratch = &state_of(L)->scratch;

    if (slice->type != JSON_STRING) {
        lua_pushlstring(L, slice->at, slice->len);
    } else if (!memchr(slice->at, '\\', slice->len)) {
        lua_pushlstring(L, slice->at + 1, slice->len - 2);
    } else {
        buf_clear(scratch);
        if (!json_unquote(scratch, slice->at, slice->len))
            luaL_error(L, "out of memory");
        lua_pushlstring(L, scratch->data, scratch->len);
        if (scratch->cap > KEPT_MAX)
            buf_deinit(scratch);
    }
}

static int l_next_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct caller *c = l_check_caller(L);
    bool over;

    (void)status;
    (void)ctx;
    c->message = session_call_next(c->call, &over);
    if (c->message) {
        l_push_value(L, &c->message->type);
        return 1;
    }
    if (over)
        return l_push_failure(L, "broken", "the session that served this request has gone");
    if (c->deadline > 0 && clock_mono() >= c->deadline) {
        lua_pushnil(L);
        return 1;
    }
    return l_task_park_until(L, &c->wait, c->deadline, l_next_ready, 0);
}

// call:next(seconds?) -> string?, error?
static int l_next(lua_State *L)
{
    struct caller *c = l_check_caller(L);
    double seconds = luaL_optnumber(L, 2, 0);

    session_message_free(c->message);
    c->message = NULL;
    c->deadline = 0;
    if (!lua_isnoneornil(L, 2))
        c->deadline = clock_mono() + (seconds < SECONDS_MAX ? seconds : SECONDS_MAX);
    return l_next_ready(L, LUA_OK, 0);
}

// call:get(name) -> string?
static int l_get(lua_State *L)
{
    struct caller *c = l_check_caller(L);
    struct json_step step = {0};
    struct json_slice found = {0};

    step.name = luaL_checklstring(L, 2, &step.name_len);
    if (c->message && c->message->payload.type == JSON_OBJECT)
        found = json_find(c->message->payload.at, c->message->payload.len, &step, 1);
    if (found.type == JSON_NONE || found.type == JSON_NULL)
        lua_pushnil(L);
    else
        l_push_value(L, &found);
    return 1;
}

static int l_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

static void l_make_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {{"next", l_next}, {"get", l_get}, {"close", l_close}, {0}};

    l_fill_object(L, methods, l_index, l_close);
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__close");
}

// ws.call(session, id, before, body, after) -> SessionCall
static int l_call(lua_State *L)
{
    const char *session = luaL_checkstring(L, 1), *id = luaL_checkstring(L, 2), *part[3];
    struct script_host *h = l_check_sessions(L);
    struct caller *c;
    struct buf text;
    size_t len[3];
    bool fits;

    for (int i = 0; i < 3; i++)
        part[i] = luaL_checklstring(L, i + 3, &len[i]);
    c = l_new_object(L, OBJECT_SESSION_CALL, sizeof(*c), 0, l_make_metatable);
    list_init(&c->resource.in_task);
    c->resource.release = release_caller;
    buf_init(&text, TEXT_MAX);
    fits = buf_append(&text, part[0], len[0]) && json_quote(&text, part[1], len[1]) &&
           buf_append(&text, part[2], len[2]);
    if (fits) {
        size_t n = text.len;
        char *bytes = buf_detach(&text, NULL);

        c->call = bytes ? session_call_new(h, session, id, bytes, n, on_news, c) : NULL;
    }
    buf_deinit(&text);
    if (!fits)
        return luaL_error(L, "the message is too large for a session");
    if (!c->call)
        return luaL_error(L, "out of memory");
    list_append(&task_of(L)->resources, &c->resource.in_task);
    return 1;
}

int luaopen_ws(lua_State *L)
{
    static const luaL_Reg functions[] = {{"accept", l_accept}, {"call", l_call}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
