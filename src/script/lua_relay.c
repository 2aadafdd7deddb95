// lua_relay.c - the Relay object of scripts, see lua/types/client.lua.
//
// A relay takes events from the response and writes them to the client, under rules that a script
// gave once: what to rename, and which events to hand to the script instead.

#include "script/relay.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "codec/json.h"
#include "codec/sse.h"
#include "script/client.h"
#include "script/response.h"
#include "script/state.h"

enum {
    PATHS_MAX = 4,
    STEPS_MAX = 6,
    WATCH_MAX = 8,
};

struct path {
    struct json_step steps[STEPS_MAX];
    size_t count;
};

// The strings of the rules are anchored in a private table (user value 3), because a script may
// change its rules table at any time.
struct relay {
    struct client *client;     // user value 1 keeps it
    struct response *response; // user value 2
    bool names;
    struct path rename[PATHS_MAX];
    size_t rename_count;
    struct path finish;
    const char *watch[WATCH_MAX];
    size_t watch_count;
    const char *terminal;
    size_t terminal_len;
    struct json_step inner;     // the member that holds the event proper, no name: none
    bool unwrap;                // only what is in it is sent
    const char *before, *after; // put around the data, NULL: nothing
    size_t before_len, after_len;
    struct buf model; // the new name as a JSON string
    bool finished;
    lua_Integer events;
    double quiet_since, patience;
};

// --- rules -----------------------------------------------------------------------------------

enum { ANCHOR = 5 }; // stack index of the private table while rules are read

// The string at the top of the stack, kept alive with the relay; pops it.
static const char *l_take_string(lua_State *L, size_t *len)
{
    const char *text;

    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 3, "a string is expected in the rules");
    text = lua_tolstring(L, -1, len);
    luaL_ref(L, ANCHOR);
    return text;
}

// Reads the path at the top of the stack and pops it.
static void l_read_path(lua_State *L, struct path *path)
{
    size_t n = lua_rawlen(L, -1);

    luaL_checktype(L, -1, LUA_TTABLE);
    if (n == 0 || n > STEPS_MAX)
        luaL_error(L, "a path has 1 to %d steps", STEPS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct json_step *step = &path->steps[i];

        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        if (lua_isinteger(L, -1)) {
            step->index = (size_t)lua_tointeger(L, -1) - 1;
            lua_pop(L, 1);
        } else {
            step->name = l_take_string(L, &step->name_len);
        }
    }
    path->count = n;
    lua_pop(L, 1);
}

static void l_read_rename(lua_State *L, struct relay *r, int rules)
{
    size_t len;
    const char *model;

    if (lua_getfield(L, rules, "model") == LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    model = luaL_checklstring(L, -1, &len);
    if (!json_quote(&r->model, model, len))
        luaL_error(L, "out of memory");
    lua_getfield(L, rules, "rename");
    luaL_checktype(L, -1, LUA_TTABLE);
    r->rename_count = lua_rawlen(L, -1);
    if (r->rename_count > PATHS_MAX)
        luaL_error(L, "at most %d paths can be renamed", PATHS_MAX);
    for (size_t i = 0; i < r->rename_count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        l_read_path(L, &r->rename[i]);
    }
    lua_pop(L, 2);
}

// Where events are wrapped, and how they are to be.
static void l_read_envelopes(lua_State *L, struct relay *r, int rules)
{
    if (lua_getfield(L, rules, "inner") != LUA_TNIL)
        r->inner.name = l_take_string(L, &r->inner.name_len);
    else
        lua_pop(L, 1);
    lua_getfield(L, rules, "unwrap");
    r->unwrap = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (lua_getfield(L, rules, "around") == LUA_TTABLE) {
        lua_rawgeti(L, -1, 1);
        r->before = l_take_string(L, &r->before_len);
        lua_rawgeti(L, -1, 2);
        r->after = l_take_string(L, &r->after_len);
    }
    lua_pop(L, 1);
}

static void l_read_rules(lua_State *L, struct relay *r, int rules)
{
    lua_getfield(L, rules, "names");
    r->names = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (lua_getfield(L, rules, "watch") == LUA_TTABLE) {
        r->watch_count = lua_rawlen(L, -1);
        if (r->watch_count > WATCH_MAX)
            luaL_error(L, "at most %d members can be watched", WATCH_MAX);
        for (size_t i = 0; i < r->watch_count; i++) {
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
            r->watch[i] = l_take_string(L, NULL);
        }
    }
    lua_pop(L, 1);
    if (lua_getfield(L, rules, "finish") != LUA_TNIL)
        l_read_path(L, &r->finish);
    else
        lua_pop(L, 1);
    if (lua_getfield(L, rules, "terminal") != LUA_TNIL)
        r->terminal = l_take_string(L, &r->terminal_len);
    else
        lua_pop(L, 1);
    l_read_envelopes(L, r, rules);
    l_read_rename(L, r, rules);
}

// --- one event -------------------------------------------------------------------------------

static int by_place(const void *a, const void *b)
{
    const struct json_slice *x = a, *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
}

// Appends the data with the strings at the rename paths replaced.
static void append_renamed(const struct relay *r, struct buf *out, const char *data, size_t len)
{
    struct json_slice found[PATHS_MAX];
    const char *from = data;
    size_t n = 0;

    for (size_t i = 0; i < r->rename_count; i++) {
        found[n] = json_find(data, len, r->rename[i].steps, r->rename[i].count);
        if (found[n].type == JSON_STRING)
            n++;
    }
    qsort(found, n, sizeof(*found), by_place);
    for (size_t i = 0; i < n; i++) {
        if (found[i].at < from)
            continue; // the same path was given twice
        buf_append(out, from, (size_t)(found[i].at - from));
        buf_append(out, r->model.data, r->model.len);
        from = found[i].at + found[i].len;
    }
    buf_append(out, from, (size_t)(data + len - from));
}

// The event proper: the whole data when it is not wrapped.
static struct json_slice inner_of(const struct relay *r, const char *data, size_t len)
{
    struct json_slice inner = {.type = JSON_NONE};

    if (r->inner.name)
        inner = json_find(data, len, &r->inner, 1);
    if (inner.type != JSON_OBJECT)
        inner = (struct json_slice){.type = JSON_OBJECT, .at = data, .len = len};
    return inner;
}

// Appends the data as the client gets it: what is in it renamed, envelopes taken off and put on.
static void append_data(const struct relay *r, struct buf *out, const char *data, size_t len)
{
    struct json_slice inner = inner_of(r, data, len);
    const char *end = inner.at + inner.len;

    if (r->before)
        buf_append(out, r->before, r->before_len);
    if (!r->unwrap)
        buf_append(out, data, (size_t)(inner.at - data));
    append_renamed(r, out, inner.at, inner.len);
    if (!r->unwrap)
        buf_append(out, end, (size_t)(data + len - end));
    if (r->after)
        buf_append(out, r->after, r->after_len);
}

static void send_event(lua_State *L, struct relay *r, const struct sse_event *event)
{
    struct buf *frame = &state_of(L)->scratch;
    struct buf *data = &state_of(L)->scratch2;
    const char *text = event->data;
    size_t len = event->data_len;

    if (r->rename_count > 0 || r->unwrap || r->before) {
        buf_clear(data);
        append_data(r, data, text, len);
        text = data->data;
        len = data->len;
    }
    buf_clear(frame);
    sse_write(frame, r->names ? event->name : "", r->names ? event->name_len : 0, text, len);
    if (frame->len > 0 && !frame->overflow)
        server_write(r->client->req, frame->data, frame->len);
    r->events++;
}

enum verdict { COPY, SKIP, HAND_OVER, TERMINAL };

static enum verdict judge(struct relay *r, const struct sse_event *event)
{
    struct json_slice found[WATCH_MAX], inner, finish;
    struct json_error error;

    if (r->terminal && event->data_len == r->terminal_len &&
        memcmp(event->data, r->terminal, r->terminal_len) == 0)
        return TERMINAL;
    inner = inner_of(r, event->data, event->data_len);
    // What is not JSON never harms the client, and never helps it.
    if (inner.at != event->data && !json_check(event->data, event->data_len, 0, &error))
        return SKIP;
    if (!json_members(inner.at, inner.len, r->watch, r->watch_count, found, 0, &error))
        return SKIP;
    if (!r->finished && r->finish.count > 0) {
        finish = json_find(inner.at, inner.len, r->finish.steps, r->finish.count);
        // Some send an empty string where others send null.
        r->finished = finish.type > JSON_NULL && !(finish.type == JSON_STRING && finish.len == 2);
    }
    for (size_t i = 0; i < r->watch_count; i++)
        if (found[i].type != JSON_NONE && found[i].type != JSON_NULL)
            return HAND_OVER;
    return COPY;
}

// --- the loop --------------------------------------------------------------------------------

static struct relay *l_check_relay(lua_State *L)
{
    struct relay *r = l_check_object(L, 1, OBJECT_RELAY);

    if (!r->client->exchange || !r->response->transfer)
        luaL_error(L, "the relay is over");
    return r;
}

static int push_kind(lua_State *L, const char *kind)
{
    lua_pushstring(L, kind);
    return 1;
}

static int l_relay_run(lua_State *L, int status, lua_KContext ctx)
{
    struct relay *r = l_check_relay(L);
    struct server_request *req = r->client->req;
    struct sse_event event;
    bool broken;
    double deadline;

    (void)status;
    for (;;) {
        int got;

        // A slow client slows its upstream: no event is taken before there is room for it.
        if (!req->gone && !server_writable(req)) {
            r->quiet_since = clock_mono();
            return l_task_park(L, &r->response->wait, l_relay_run, ctx);
        }
        got = response_next_event(r->response, &event, &broken);
        if (got == 0)
            break;
        if (broken) {
            push_kind(L, "broken");
            l_push_transfer_error(L, r->response->transfer);
            return 2;
        }
        if (got < 0)
            return push_kind(L, "end");
        r->quiet_since = clock_mono();
        switch (judge(r, &event)) {
        case COPY:
            send_event(L, r, &event);
            break;
        case SKIP:
            break;
        case TERMINAL:
            return push_kind(L, "done");
        case HAND_OVER:
            push_kind(L, "event");
            lua_pushlstring(L, event.name, event.name_len);
            lua_pushlstring(L, event.data, event.data_len);
            return 3;
        }
    }
    deadline = r->patience > 0 ? r->quiet_since + r->patience : 0;
    if (deadline > 0 && clock_mono() >= deadline)
        return push_kind(L, "idle");
    return l_task_park_until(L, &r->response->wait, deadline, l_relay_run, ctx);
}

// relay:next(seconds?) -> kind, ...
static int l_relay_next(lua_State *L)
{
    struct relay *r = l_check_relay(L);

    r->patience = luaL_optnumber(L, 2, 0);
    r->quiet_since = clock_mono();
    lua_settop(L, 1);
    return l_relay_run(L, LUA_OK, 0);
}

// relay:send(name, data)
static int l_relay_send(lua_State *L)
{
    struct relay *r = l_check_relay(L);
    struct sse_event event;

    event.name = luaL_checklstring(L, 2, &event.name_len);
    event.data = luaL_checklstring(L, 3, &event.data_len);
    send_event(L, r, &event);
    return 0;
}

static int l_relay_index(lua_State *L)
{
    struct relay *r = l_check_object(L, 1, OBJECT_RELAY);
    const char *key = luaL_checkstring(L, 2);

    if (strcmp(key, "finished") == 0) {
        lua_pushboolean(L, r->finished);
    } else if (strcmp(key, "events") == 0) {
        lua_pushinteger(L, r->events);
    } else {
        lua_pushvalue(L, 2);
        lua_rawget(L, lua_upvalueindex(1));
    }
    return 1;
}

static int l_relay_gc(lua_State *L)
{
    struct relay *r = l_check_object(L, 1, OBJECT_RELAY);

    buf_deinit(&r->model);
    return 0;
}

static void l_make_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {{"next", l_relay_next}, {"send", l_relay_send}, {0}};

    l_fill_object(L, methods, l_relay_index, l_relay_gc);
}

int l_client_relay(lua_State *L)
{
    struct client *client = l_check_client(L, 1);
    struct response *response = l_check_response(L, 2);
    struct relay *r;

    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    if (!client->req->head_sent)
        return luaL_error(L, "the head of the response must be sent before its events");
    r = l_new_object(L, OBJECT_RELAY, sizeof(*r), 3, l_make_metatable);
    buf_init(&r->model, 64 * 1024);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 4, 1);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, 4, 2);
    lua_newtable(L);
    lua_pushvalue(L, ANCHOR);
    lua_setiuservalue(L, 4, 3);
    r->client = client;
    r->response = response;
    l_read_rules(L, r, 3);
    lua_settop(L, 4);
    return 1;
}
