// lua_http.c - the module `http`: upstream calls, see lua/types/http.lua.

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "codec/url.h"
#include "script/modules.h"
#include "script/response.h"
#include "script/state.h"

enum {
    FIELDS_MAX = 128,             // request headers
    FIELD_BYTES_MAX = 256 * 1024, // all of them
    SECONDS_MAX = 24 * 3600,      // of a time limit
    SECRET_MARK_LEN = sizeof("{secret}") - 1
};

// --- building the request ------------------------------------------------------------------------

// Appends `Name: value` and a NUL to the fields, with `{secret}` replaced.
static void l_add_field(lua_State *L, struct buf *out, const char *name, const char *value,
                        size_t len, const struct credential *c)
{
    const char *mark;

    l_check_field(L, name, strlen(name), value, len);
    buf_puts(out, name);
    buf_puts(out, ": ");
    while ((mark = memmem(value, len, "{secret}", SECRET_MARK_LEN))) {
        if (!c)
            luaL_error(L, "header '%s' wants a secret, but the request names no credential", name);
        buf_append(out, value, (size_t)(mark - value));
        buf_puts(out, c->secret);
        len -= (size_t)(mark - value) + SECRET_MARK_LEN;
        value = mark + SECRET_MARK_LEN;
    }
    buf_append(out, value, len);
    buf_putc(out, '\0');
}

// Writes the `headers` table of the request at index 1 to the scratch buffer; their number.
static size_t l_collect_fields(lua_State *L, struct buf *out, const struct credential *c)
{
    size_t count = 0;
    int type = lua_getfield(L, 1, "headers"); // may run a metamethod, which may use the scratch

    buf_clear(out);
    if (type != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_pushnil(L);
        while (lua_next(L, -2)) {
            size_t len;
            const char *value = lua_tolstring(L, -1, &len);

            if (lua_type(L, -2) != LUA_TSTRING || !value)
                luaL_error(L, "headers must be a table of strings");
            if (++count > FIELDS_MAX)
                luaL_error(L, "too many request headers");
            l_add_field(L, out, lua_tostring(L, -2), value, len, c);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    if (out->overflow || out->len > FIELD_BYTES_MAX)
        luaL_error(L, "the request headers are too large");
    return count;
}

// The string of that name, kept alive in a user value of the response at index 2.
static const char *l_string_field(lua_State *L, const char *name, const char *fallback, size_t *len,
                                  int keep)
{
    const char *value = fallback;

    if (lua_getfield(L, 1, name) != LUA_TNIL) {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "'%s' must be a string", name);
        value = lua_tolstring(L, -1, len);
    }
    lua_setiuservalue(L, 2, keep);
    return value;
}

static double l_timeout(lua_State *L, const char *name, const char *config_path)
{
    double seconds = 0;

    if (lua_getfield(L, 1, "timeout") == LUA_TTABLE) {
        lua_getfield(L, -1, name);
        seconds = luaL_optnumber(L, -1, 0);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (seconds > SECONDS_MAX)
        seconds = SECONDS_MAX;
    return seconds > 0 ? seconds : config_number(state_of(L)->config, config_path);
}

// The request's own proxy, the credential's, or the global one.
static const char *l_proxy(lua_State *L, const struct credential *c)
{
    struct script_state *s = state_of(L);
    const char *proxy = l_string_field(L, "proxy", NULL, NULL, RESPONSE_KEEP_PROXY);
    const char *global = config_string(s->config, "proxy-url");

    if (proxy && !s->privileged)
        luaL_error(L, "the proxy of a request is its credential's");
    if (proxy && *proxy)
        return proxy;
    if (c && c->proxy) {
        // The credential may be replaced while the call goes on.
        proxy = lua_pushstring(L, c->proxy);
        lua_setiuservalue(L, 2, RESPONSE_KEEP_PROXY);
        return proxy;
    }
    return *global ? global : NULL;
}

// --- the functions
// ---------------------------------------------------------------------------------

// Reads what the request table says but its headers.  Strings are kept alive by the response.
static const struct credential *l_read_request(lua_State *L, struct transfer_request *request)
{
    struct script_state *s = state_of(L);
    const struct credential *c = NULL;
    size_t url_len = 0;
    struct url url;
    const char *id;

    request->url = l_string_field(L, "url", "", &url_len, RESPONSE_KEEP_URL);
    request->body = l_string_field(L, "body", NULL, &request->body_len, RESPONSE_KEEP_BODY);
    request->method =
        l_string_field(L, "method", request->body ? "POST" : "GET", NULL, RESPONSE_KEEP_METHOD);
    if (!url_parse(request->url, url_len, &url) ||
        (strncasecmp(url.scheme, "http", 4) != 0 || url.scheme_len > 5))
        luaL_error(L, "the url of a request must be an absolute http or https URL");
    id = l_string_field(L, "credential", NULL, NULL, RESPONSE_KEEP_CREDENTIAL);
    if (id) {
        c = state_credential(s, id);
        if (!c)
            luaL_error(L, "there is no credential '%s'", id);
        if (!credential_may_go(c, &url))
            luaL_error(L, "the secret of %s must not be sent to that host", c->label);
    }
    request->proxy = l_proxy(L, c);
    request->connect_seconds = l_timeout(L, "connect", "timeouts.connect");
    request->first_byte_seconds = l_timeout(L, "first_byte", "timeouts.first-byte");
    request->idle_seconds = l_timeout(L, "idle", "timeouts.idle");
    return c;
}

// http.start(request) -> Response
static int l_http_start(lua_State *L)
{
    struct script_state *s = state_of(L);
    const char *fields[FIELDS_MAX + 1];
    struct transfer_request request = {.fields = fields};
    const struct credential *c;
    struct response *r;
    size_t count;
    char *at;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (!s->host)
        return luaL_error(L, "there is no network while scripts are checked");
    r = l_new_response(L);
    c = l_read_request(L, &request);
    count = l_collect_fields(L, &s->scratch, c);
    at = s->scratch.data;
    for (size_t i = 0; i < count; i++) {
        fields[i] = at;
        at += strlen(at) + 1;
    }
    fields[count] = NULL;
    response_start(r, task_of(L), s->host->upstream, &request);
    if (r->transfer && c && *c->secret)
        r->secret = strdup(c->secret); // goes with the transfer
    if (s->scratch.len)
        explicit_bzero(s->scratch.data, s->scratch.len);
    return r->transfer ? 1 : luaL_error(L, "out of memory");
}

static int l_request_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct response *r = l_check_response(L, 2);

    (void)status;
    if (r->transfer->head_done) {
        lua_settop(L, 2);
        return 1;
    }
    if (r->transfer->done)
        return l_push_broken(L, r->transfer);
    return l_task_park(L, &r->wait, l_request_ready, ctx);
}

// http.request(request) -> Response?, error?
static int l_http_request(lua_State *L)
{
    l_http_start(L);
    return l_request_ready(L, LUA_OK, 0);
}

int luaopen_http(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", l_http_start}, {"request", l_http_request}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
