// lua_response.c - the Response object of scripts, see lua/types/http.lua.

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/response.h"
#include "script/state.h"

enum {
    BODY_MAX = 64 * 1024 * 1024, // default for Response:body()
    SECONDS_MAX = 24 * 3600      // of a wait
};

// --- errors ------------------------------------------------------------------------------------

void l_push_transfer_error(lua_State *L, const struct transfer *t)
{
    static const char *const codes[] = {[TRANSFER_OK] = "broken",
                                        [TRANSFER_UNREACHABLE] = "unreachable",
                                        [TRANSFER_TIMEOUT] = "timeout",
                                        [TRANSFER_BROKEN] = "broken",
                                        [TRANSFER_BAD_PROXY] = "bad_proxy"};

    l_push_error(L, codes[t->error], t->message);
}

int l_push_broken(lua_State *L, const struct transfer *t)
{
    lua_pushnil(L);
    l_push_transfer_error(L, t);
    return 2;
}

struct response *l_check_response(lua_State *L, int index)
{
    struct response *r = l_check_object(L, index, OBJECT_RESPONSE);

    if (!r->transfer)
        luaL_error(L, "the response is closed");
    return r;
}

// --- the userdata --------------------------------------------------------------------------------

// Ends the call.  Also what the end of the task does to a response that nobody closed.
static void release_response(struct resource *resource)
{
    struct response *r = list_entry(resource, struct response, resource);

    list_remove(&resource->in_task);
    wait_deinit(&r->wait);
    transfer_free(r->transfer);
    r->transfer = NULL;
    buf_deinit(&r->body);
    if (r->reading_events)
        sse_deinit(&r->sse);
    r->reading_events = false;
    if (r->secret)
        explicit_bzero(r->secret, strlen(r->secret));
    free(r->secret);
    r->secret = NULL;
}

static int l_response_close(lua_State *L)
{
    struct response *r = l_check_object(L, 1, OBJECT_RESPONSE);

    if (!r->transfer)
        return 0;
    release_response(&r->resource);
    for (int keep = 1; keep <= RESPONSE_KEEP_COUNT; keep++) {
        lua_pushnil(L); // the request with its body need not wait for the collector
        lua_setiuservalue(L, 1, keep);
    }
    return 0;
}

// The other side of every wait here: libcurl has news.  No Lua, only a wake-up.
static void on_transfer_change(struct transfer *t)
{
    struct response *r = t->owner;

    task_wake(&r->wait);
}

// Pushes a text from upstream without the secrets that it may repeat.
static void l_push_redacted(lua_State *L, const struct response *r, const char *text, size_t len)
{
    struct script_state *s = state_of(L);

    if (secrets_redact(s, text, len, r->secret, &s->scratch))
        lua_pushlstring(L, s->scratch.data, s->scratch.len);
    else
        lua_pushlstring(L, text, len);
}

// --- waiting for the head ------------------------------------------------------------------------

static double l_deadline(lua_State *L, int index)
{
    double seconds = luaL_optnumber(L, index, 0);

    if (lua_isnoneornil(L, index))
        return 0; // none
    if (!(seconds > 0))
        seconds = 0;
    return clock_mono() + (seconds < SECONDS_MAX ? seconds : SECONDS_MAX);
}

static int l_wait_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct response *r = l_check_response(L, 1);

    (void)status;
    if (r->transfer->head_done) {
        lua_pushboolean(L, true);
        return 1;
    }
    if (r->transfer->done)
        return l_push_broken(L, r->transfer);
    if (r->deadline > 0 && clock_mono() >= r->deadline) {
        lua_pushboolean(L, false);
        return 1;
    }
    return l_task_park_until(L, &r->wait, r->deadline, l_wait_ready, ctx);
}

// response:wait(seconds?) -> boolean?, error?
static int l_response_wait(lua_State *L)
{
    struct response *r = l_check_response(L, 1);

    r->deadline = l_deadline(L, 2);
    return l_wait_ready(L, LUA_OK, 0);
}

// --- reading -------------------------------------------------------------------------------------

// Pushes a whole body.  What a model says is left alone; an error is for people and logs.
static void l_push_body(lua_State *L, const struct response *r, const struct buf *body)
{
    if (r->transfer->status >= 400)
        l_push_redacted(L, r, body->len ? body->data : "", body->len);
    else
        lua_pushlstring(L, body->len ? body->data : "", body->len);
}

// The userdata's second argument is the maximum.
static int l_body_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct response *r = l_check_response(L, 1);
    struct transfer *t = r->transfer;
    size_t max = (size_t)lua_tointeger(L, 2);

    (void)status;
    if (r->body.len + t->in.len > max)
        return l_push_failure(L, "too_large", "the answer is larger than %zu bytes", max);
    if (t->done && t->error == TRANSFER_OK && r->body.len == 0) {
        l_push_body(L, r, &t->in);
        transfer_consume(t, t->in.len);
        return 1;
    }
    if (t->in.len > 0) {
        if (!buf_append(&r->body, t->in.data, t->in.len))
            return luaL_error(L, "out of memory");
        transfer_consume(t, t->in.len);
    }
    if (!t->done)
        return l_task_park(L, &r->wait, l_body_ready, ctx);
    if (t->error != TRANSFER_OK)
        return l_push_broken(L, t);
    l_push_body(L, r, &r->body);
    buf_deinit(&r->body);
    return 1;
}

// response:body(max?) -> string?, error?
static int l_response_body(lua_State *L)
{
    struct response *r = l_check_response(L, 1);
    lua_Integer max = luaL_optinteger(L, 2, BODY_MAX);

    luaL_argcheck(L, max > 0, 2, "must be positive");
    r->body.max = (size_t)max;
    lua_settop(L, 1);
    lua_pushinteger(L, max);
    return l_body_ready(L, LUA_OK, 0);
}

static int l_read_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct response *r = l_check_response(L, 1);
    struct transfer *t = r->transfer;

    (void)status;
    if (t->in.len > 0) {
        lua_pushlstring(L, t->in.data, t->in.len);
        transfer_consume(t, t->in.len);
        return 1;
    }
    if (!t->done)
        return l_task_park(L, &r->wait, l_read_ready, ctx);
    if (t->error != TRANSFER_OK)
        return l_push_broken(L, t);
    lua_pushnil(L);
    return 1;
}

// response:read() -> string?, error?
static int l_response_read(lua_State *L)
{
    return l_read_ready(L, LUA_OK, 0);
}

// --- events --------------------------------------------------------------------------------------

int response_next_event(struct response *r, struct sse_event *event, bool *broken)
{
    struct transfer *t = r->transfer;

    *broken = false;
    if (!r->reading_events) {
        sse_init(&r->sse, 0);
        r->reading_events = true;
    }
    for (;;) {
        if (sse_next(&r->sse, event))
            return 1;
        if (t->in.len > 0) {
            bool ok = sse_feed(&r->sse, t->in.data, t->in.len);

            transfer_consume(t, t->in.len);
            if (!ok) {
                *broken = true;
                t->error = TRANSFER_BROKEN;
                strcpy(t->message, "an event of the stream is too large");
                return -1;
            }
            continue;
        }
        if (!t->done)
            return 0;
        if (t->error != TRANSFER_OK) {
            *broken = true;
            return -1;
        }
        if (r->sse.ended)
            return -1;
        sse_end(&r->sse);
    }
}

static int l_next_event_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct response *r = l_check_response(L, 1);
    struct sse_event event;
    bool broken;
    int got = response_next_event(r, &event, &broken);

    (void)status;
    if (got > 0) {
        lua_pushliteral(L, "event");
        lua_pushlstring(L, event.name, event.name_len);
        lua_pushlstring(L, event.data, event.data_len);
        return 3;
    }
    if (broken) {
        lua_pushliteral(L, "broken");
        l_push_transfer_error(L, r->transfer);
        return 2;
    }
    if (got < 0) {
        lua_pushliteral(L, "end");
        return 1;
    }
    if (r->deadline > 0 && clock_mono() >= r->deadline) {
        lua_pushliteral(L, "idle");
        return 1;
    }
    return l_task_park_until(L, &r->wait, r->deadline, l_next_event_ready, ctx);
}

// response:next_event(seconds?) -> kind, ...
static int l_response_next_event(lua_State *L)
{
    struct response *r = l_check_response(L, 1);

    r->deadline = l_deadline(L, 2);
    return l_next_event_ready(L, LUA_OK, 0);
}

static int l_event_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct response *r = l_check_response(L, 1);
    struct sse_event event;
    bool broken;
    int got = response_next_event(r, &event, &broken);

    (void)status;
    if (got == 0)
        return l_task_park(L, &r->wait, l_event_ready, ctx);
    if (broken) {
        l_push_transfer_error(L, r->transfer);
        return lua_error(L);
    }
    if (got < 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, event.name, event.name_len);
    lua_setfield(L, -2, "name");
    lua_pushlstring(L, event.data, event.data_len);
    lua_setfield(L, -2, "data");
    return 1;
}

// The iterator function of events(): called with the response as its state.
static int l_next(lua_State *L)
{
    lua_settop(L, 1);
    return l_event_ready(L, LUA_OK, 0);
}

// response:events() -> iterator
static int l_response_events(lua_State *L)
{
    l_check_response(L, 1);
    lua_pushcfunction(L, l_next);
    lua_pushvalue(L, 1);
    return 2;
}

// --- headers and fields --------------------------------------------------------------------------

// response:header(name) -> string?
static int l_response_header(lua_State *L)
{
    struct response *r = l_check_response(L, 1);

    const char *value = transfer_field(r->transfer, luaL_checkstring(L, 2));

    if (value)
        l_push_redacted(L, r, value, strlen(value));
    else
        lua_pushnil(L);
    return 1;
}

// response:headers() -> table
static int l_response_headers(lua_State *L)
{
    struct response *r = l_check_response(L, 1);
    const char *name, *value;
    size_t pos = 0;

    lua_newtable(L);
    while (transfer_next_field(r->transfer, &pos, &name, &value)) {
        luaL_Buffer lower;

        luaL_buffinit(L, &lower);
        for (const char *c = name; *c; c++)
            luaL_addchar(&lower, (char)tolower((unsigned char)*c));
        luaL_pushresult(&lower);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3); // what came under that name before
        l_push_redacted(L, r, value, strlen(value));
        if (lua_isstring(L, -2)) {
            lua_pushfstring(L, "%s, %s", lua_tostring(L, -2), lua_tostring(L, -1));
            lua_replace(L, -2);
        }
        lua_remove(L, -2);
        lua_rawset(L, -3);
    }
    return 1;
}

// Fields and methods: `status` is looked up, the rest are methods in the upvalue.
static int l_response_index(lua_State *L)
{
    struct response *r = l_check_object(L, 1, OBJECT_RESPONSE);
    const char *key = luaL_checkstring(L, 2);

    if (strcmp(key, "status") == 0) {
        lua_pushinteger(L, r->transfer ? r->transfer->status : 0);
        return 1;
    }
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

static void l_make_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {{"wait", l_response_wait},
                                       {"header", l_response_header},
                                       {"headers", l_response_headers},
                                       {"body", l_response_body},
                                       {"read", l_response_read},
                                       {"events", l_response_events},
                                       {"next_event", l_response_next_event},
                                       {"close", l_response_close},
                                       {0}};

    l_fill_object(L, methods, l_response_index, l_response_close);
    lua_pushcfunction(L, l_response_close);
    lua_setfield(L, -2, "__close");
}

struct response *l_new_response(lua_State *L)
{
    struct response *r =
        l_new_object(L, OBJECT_RESPONSE, sizeof(*r), RESPONSE_KEEP_COUNT, l_make_metatable);

    buf_init(&r->body, BODY_MAX);
    r->resource.release = release_response;
    list_init(&r->resource.in_task);
    return r;
}

void response_start(struct response *r, struct task *t, struct upstream *upstream,
                    const struct transfer_request *request)
{
    r->transfer = transfer_start(upstream, request, on_transfer_change, r);
    if (r->transfer)
        list_append(&t->resources, &r->resource.in_task);
}
