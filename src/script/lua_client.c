// lua_client.c - the Client object of scripts, see lua/types/client.lua.

#include "script/client.h"

#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "codec/json.h"
#include "codec/url.h"
#include "script/relay.h"
#include "script/state.h"

enum { FIELDS_MAX = 64 * 1024 };

struct client *l_check_client(lua_State *L, int index)
{
    struct client *c = l_check_object(L, index, OBJECT_CLIENT);

    if (!c->exchange)
        luaL_error(L, "the request is over");
    return c;
}

void client_close(struct client *c)
{
    wait_deinit(&c->wait);
    buf_deinit(&c->fields);
    c->exchange = NULL;
    c->req = NULL;
}

static int l_client_gc(lua_State *L)
{
    struct client *c = l_check_object(L, 1, OBJECT_CLIENT);

    if (c->exchange)
        c->exchange->client = NULL;
    client_close(c);
    return 0;
}

// --- the request -----------------------------------------------------------------------------

// client:header(name) -> string?
static int l_header(lua_State *L)
{
    struct client *c = l_check_client(L, 1);
    const struct server_field *f = server_field(c->req, luaL_checkstring(L, 2));

    if (!f)
        lua_pushnil(L);
    else
        lua_pushlstring(L, f->value, f->value_len);
    return 1;
}

// client:headers() -> {name, value}[]
static int l_headers(lua_State *L)
{
    struct client *c = l_check_client(L, 1);

    lua_createtable(L, (int)c->req->field_count, 0);
    for (size_t i = 0; i < c->req->field_count; i++) {
        const struct server_field *f = &c->req->fields[i];
        luaL_Buffer lower;

        lua_createtable(L, 2, 0);
        luaL_buffinitsize(L, &lower, f->name_len);
        for (size_t k = 0; k < f->name_len; k++)
            luaL_addchar(&lower, (char)tolower((unsigned char)f->name[k]));
        luaL_pushresult(&lower);
        lua_rawseti(L, -2, 1);
        lua_pushlstring(L, f->value, f->value_len);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const char *query_of(const struct server_request *req)
{
    const char *query = req->target + req->path_len;

    return *query == '?' ? query + 1 : query;
}

// client:param(name) -> string?
static int l_param(lua_State *L)
{
    struct client *c = l_check_client(L, 1);
    struct buf *value = &state_of(L)->scratch;
    const char *name = luaL_checkstring(L, 2), *query = query_of(c->req);

    buf_clear(value);
    if (url_query(value, query, strlen(query), name))
        lua_pushlstring(L, value->len ? value->data : "", value->len);
    else
        lua_pushnil(L);
    return 1;
}

static int l_body_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct client *c = l_check_client(L, 1);
    struct server_request *req = c->req;

    (void)status;
    switch (req->body_state) {
    case SERVER_BODY_READING:
        return l_task_park(L, &c->wait, l_body_ready, ctx);
    case SERVER_BODY_COMPLETE:
        lua_pushlstring(L, req->body.len ? req->body.data : "", req->body.len);
        buf_deinit(&req->body); // from now on the script has it
        return 1;
    case SERVER_BODY_TOO_LARGE:
        return l_push_failure(L, "body_too_large", "the request body is too large");
    case SERVER_BODY_TIMED_OUT:
        return l_push_failure(L, "body_timeout", "the request body did not arrive in time");
    case SERVER_BODY_BAD_ENCODING:
        return l_push_failure(L, "unsupported_encoding",
                              "the Content-Encoding of the request is not supported");
    default:
        return l_push_failure(L, "bad_body", "the request body is malformed");
    }
}

// client:body() -> string?, error?
static int l_body(lua_State *L)
{
    struct client *c = l_check_client(L, 1);

    lua_settop(L, 1);
    server_want_body(c->req);
    return l_body_ready(L, LUA_OK, 0);
}

// --- the response ----------------------------------------------------------------------------

// Appends `Name: value\r\n`; raises when that would not be one header line.
static void l_add_field(lua_State *L, struct buf *out, int name_index, int value_index)
{
    size_t name_len, len;
    const char *name = luaL_checklstring(L, name_index, &name_len);
    const char *value = luaL_checklstring(L, value_index, &len);

    l_check_field(L, name, name_len, value, len);
    // Only whole lines: remove_field() relies on them.
    if (!buf_reserve(out, name_len + len + 4))
        luaL_error(L, "too many response headers");
    buf_append(out, name, name_len);
    buf_append(out, ": ", 2);
    buf_append(out, value, len);
    buf_append(out, "\r\n", 2);
}

// Removes the line of that name from a block of header lines.
static void remove_field(struct buf *fields, const char *name, size_t len)
{
    char *line = fields->data, *end = fields->data + fields->len;

    while (line && line < end) {
        char *next = memchr(line, '\n', (size_t)(end - line)) + 1;

        if ((size_t)(next - line) > len && line[len] == ':' && strncasecmp(line, name, len) == 0) {
            memmove(line, next, (size_t)(end - next));
            fields->len -= (size_t)(next - line);
            return;
        }
        line = next;
    }
}

// client:set_header(name, value?)
static int l_set_header(lua_State *L)
{
    struct client *c = l_check_client(L, 1);
    size_t len;
    const char *name = luaL_checklstring(L, 2, &len);

    remove_field(&c->fields, name, len);
    if (!lua_isnoneornil(L, 3))
        l_add_field(L, &c->fields, 2, 3);
    return 0;
}

// Adds the headers of the table at `index` (or nil) to those set before.
static void l_add_fields(lua_State *L, struct client *c, int index)
{
    if (lua_isnoneornil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        size_t len;
        const char *name;

        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "headers must be a table of strings");
        name = lua_tolstring(L, -2, &len);
        remove_field(&c->fields, name, len);
        l_add_field(L, &c->fields, lua_gettop(L) - 1, lua_gettop(L));
        lua_pop(L, 1);
    }
}

static struct client *l_check_unsent(lua_State *L)
{
    struct client *c = l_check_client(L, 1);

    if (c->req->head_sent)
        luaL_error(L, "the response has begun already");
    return c;
}

static int l_check_status(lua_State *L)
{
    lua_Integer status = luaL_checkinteger(L, 2);

    luaL_argcheck(L, status >= 200 && status <= 599, 2, "not a status");
    return (int)status;
}

// client:respond(status, headers?, body?)
static int l_respond(lua_State *L)
{
    struct client *c = l_check_unsent(L);
    int status = l_check_status(L);
    size_t len = 0;
    const char *body = luaL_optlstring(L, 4, "", &len);

    l_add_fields(L, c, 3);
    server_respond(c->req, status, c->fields.len ? c->fields.data : "", c->fields.len, body, len);
    buf_deinit(&c->fields);
    return 0;
}

// client:start(status, headers?)
static int l_start(lua_State *L)
{
    struct client *c = l_check_unsent(L);
    int status = l_check_status(L);

    l_add_fields(L, c, 3);
    server_start(c->req, status, c->fields.len ? c->fields.data : "", c->fields.len);
    buf_deinit(&c->fields);
    return 0;
}

static int l_write_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct client *c = l_check_client(L, 1);

    (void)status;
    if (!server_writable(c->req) && !c->req->gone)
        return l_task_park(L, &c->wait, l_write_ready, ctx);
    return 0;
}

// client:write(bytes)
static int l_write(lua_State *L)
{
    struct client *c = l_check_client(L, 1);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);

    if (!c->req->head_sent || c->req->finished)
        return luaL_error(L, "no response is under way");
    if (len > 0)
        server_write(c->req, bytes, len);
    return l_write_ready(L, LUA_OK, 0);
}

// client:finish()
static int l_finish(lua_State *L)
{
    struct client *c = l_check_client(L, 1);

    if (!c->req->head_sent)
        return luaL_error(L, "no response is under way");
    if (!c->req->finished)
        server_finish(c->req);
    return 0;
}

// client:abort()
static int l_abort(lua_State *L)
{
    server_abort(l_check_client(L, 1)->req);
    return 0;
}

// --- facts -----------------------------------------------------------------------------------

static void copy_fact(lua_State *L, const char *name, char *out, size_t size)
{
    size_t n = 0;

    if (lua_getfield(L, 2, name) == LUA_TSTRING) {
        // Shown in one line of the log: control characters are left out.
        for (const char *s = lua_tostring(L, -1); *s && n + 1 < size; s++)
            if ((unsigned char)*s >= ' ')
                out[n++] = *s;
        out[n] = '\0';
    }
    lua_pop(L, 1);
}

// client:note(facts)
static int l_note(lua_State *L)
{
    struct exchange *x = l_check_client(L, 1)->exchange;
    struct exchange_facts *facts = &x->facts;

    luaL_checktype(L, 2, LUA_TTABLE);
    copy_fact(L, "model", facts->model, sizeof(facts->model));
    copy_fact(L, "credential", facts->credential, sizeof(facts->credential));
    if (lua_getfield(L, 2, "credential") != LUA_TNIL)
        x->tried = clock_mono();
    copy_fact(L, "provider", facts->provider, sizeof(facts->provider));
    copy_fact(L, "dialect", facts->dialect, sizeof(facts->dialect));
    return 0;
}

// client:trace(step)
static int l_trace(lua_State *L)
{
    struct exchange *x = l_check_client(L, 1)->exchange;
    size_t len, before = x->steps.len;
    const char *step = luaL_checklstring(L, 2, &len);
    struct script_state *s = state_of(L);
    double seconds = clock_mono() - x->req->started;

    if (len < 3 || *step != '{' || !json_check(step, len, 0, &(struct json_error){0}))
        return luaL_argerror(L, 2, "not a JSON object with members");
    if (secrets_redact(s, step, len, NULL, &s->scratch)) {
        step = s->scratch.data;
        len = s->scratch.len;
    }
    // Whole steps or nothing; the first ones tell the most.
    if (x->steps.max - x->steps.len < len + 32)
        return 0;
    buf_printf(&x->steps, "%s{\"at\":%.4f,", before ? "," : "", seconds > 0 ? seconds : 0);
    buf_append(&x->steps, step + 1, len - 1);
    return 0;
}

static bool is_local(const struct server_request *req)
{
    return req->peer_loopback && !server_field(req, "forwarded") &&
           !server_field(req, "x-forwarded-for") && !server_field(req, "x-real-ip");
}

static int push_property(lua_State *L, const struct client *c, const char *key)
{
    const struct server_request *req = c->req;

    if (strcmp(key, "path") == 0)
        lua_pushlstring(L, req->target, req->path_len);
    else if (strcmp(key, "method") == 0)
        lua_pushstring(L, req->method);
    else if (strcmp(key, "query") == 0)
        lua_pushstring(L, query_of(req));
    else if (strcmp(key, "id") == 0)
        lua_pushstring(L, c->exchange->id);
    else if (strcmp(key, "peer") == 0)
        lua_pushstring(L, req->peer);
    else if (strcmp(key, "started") == 0)
        lua_pushboolean(L, req->head_sent);
    else if (strcmp(key, "finished") == 0)
        lua_pushboolean(L, req->finished);
    else if (strcmp(key, "status") == 0)
        lua_pushinteger(L, req->status);
    else if (strcmp(key, "is_local") == 0)
        lua_pushboolean(L, is_local(req));
    else if (strcmp(key, "trying") == 0)
        lua_pushnumber(L, c->exchange->tried > 0 ? clock_mono() - c->exchange->tried : 0);
    else
        return 0;
    return 1;
}

// Methods come from the upvalue, properties from the request.
static int l_client_index(lua_State *L)
{
    struct client *c = l_check_object(L, 1, OBJECT_CLIENT);

    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (!c->exchange)
        return luaL_error(L, "the request is over");
    return push_property(L, c, luaL_checkstring(L, 2));
}

static void l_make_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {{"header", l_header},   {"headers", l_headers},
                                       {"param", l_param},     {"body", l_body},
                                       {"set_header", l_set_header},
                                       {"respond", l_respond}, {"start", l_start},
                                       {"write", l_write},     {"finish", l_finish},
                                       {"abort", l_abort},     {"note", l_note},
                                       {"trace", l_trace},     {"relay", l_client_relay},
                                       {0}};

    l_fill_object(L, methods, l_client_index, l_client_gc);
}

struct client *l_push_client(lua_State *L, struct exchange *exchange)
{
    struct client *c = l_new_object(L, OBJECT_CLIENT, sizeof(*c), 0, l_make_metatable);

    buf_init(&c->fields, FIELDS_MAX);
    c->exchange = exchange;
    c->req = exchange->req;
    exchange->client = c;
    return c;
}
