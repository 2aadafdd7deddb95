// lua_listener.c - the module `listener`, see lua/types/login.lua.
//
// Each request gets a task of its own, like a client's of the proxy, which runs the handler.

#include "script/listener.h"

#include <lauxlib.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "net/server.h"
#include "script/exchange.h"
#include "script/modules.h"
#include "script/state.h"
#include "script/task.h"

// Outlives the userdata: the server's handles close later.
struct listener {
    struct resource resource; // ends with the task that opened it
    struct list in_host;
    struct script_state *state; // NULL once it is closed
    struct server *server;
    int handler; // reference of the function
    int port;
};

static const char TYPE[] = "Listener";

static const struct server_limits limits = {.head_bytes = 64 * 1024,
                                            .body_bytes = 64 * 1024,
                                            .head_seconds = 10,
                                            .body_seconds = 10,
                                            .idle_seconds = 10,
                                            .write_seconds = 10,
                                            .output_high = 64 * 1024};

// --- the host's part -------------------------------------------------------------------------

static void free_listener(struct listener *l)
{
    list_remove(&l->in_host);
    server_free(l->server);
    free(l);
}

void listeners_flush(struct script_host *host)
{
    list_each(node, next, &host->listeners)
    {
        struct listener *l = list_entry(node, struct listener, in_host);

        if (l->state)
            server_flush(l->server);
        else if (server_closed(l->server))
            free_listener(l);
    }
}

bool listeners_closed(const struct script_host *host)
{
    list_each(node, next, &host->listeners)
    {
        if (!server_closed(list_entry(node, struct listener, in_host)->server))
            return false;
    }
    return true;
}

void listeners_free(struct script_host *host)
{
    while (!list_empty(&host->listeners))
        free_listener(list_entry(host->listeners.next, struct listener, in_host));
}

// --- requests --------------------------------------------------------------------------------

static void on_end(struct exchange *x)
{
    (void)x;
}

static void on_request(void *ctx, struct server_request *req)
{
    struct listener *l = ctx;

    if (l->state && exchange_start(l->state, req, "listener", l->handler, on_end, l))
        return;
    server_respond(req, 500, "", 0, "", 0);
    server_release(req);
}

static void on_refused(void *ctx, const char *peer, const char *method, const char *target,
                       int status)
{
    (void)ctx;
    (void)peer;
    (void)method;
    (void)target;
    (void)status;
}

// --- opening and closing ---------------------------------------------------------------------

static void close_listener(struct listener *l)
{
    if (!l->state)
        return;
    luaL_unref(l->state->L, LUA_REGISTRYINDEX, l->handler);
    l->state = NULL;
    list_remove(&l->resource.in_task);
    server_flush(l->server);
    server_stop(l->server);
}

static void release(struct resource *r)
{
    close_listener(list_entry(r, struct listener, resource));
}

// Safe to call twice.  The listener itself is the host's to free.
static int l_listener_close(lua_State *L)
{
    struct listener **at = luaL_checkudata(L, 1, TYPE);

    if (*at)
        close_listener(*at);
    *at = NULL;
    return 0;
}

// Listens on one address of both families; where there is no IPv6, IPv4 is enough.
static int listen_on(struct listener *l, bool everywhere)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    int result;

    v4.sin_addr.s_addr = htonl(everywhere ? INADDR_ANY : INADDR_LOOPBACK);
    v6.sin6_addr = everywhere ? in6addr_any : in6addr_loopback;
    result = server_listen_alone(l->server, (struct sockaddr *)&v4, &l->port);
    if (result < 0)
        return result;
    result = server_listen_alone(l->server, (struct sockaddr *)&v6, &l->port);
    return result == UV_EAFNOSUPPORT || result == UV_EADDRNOTAVAIL ? 0 : result;
}

static void l_make_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {{"close", l_listener_close}, {0}};

    if (luaL_newmetatable(L, TYPE)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, l_listener_close);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, l_listener_close);
        lua_setfield(L, -2, "__close");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}

// A listener without an address yet.  NULL without memory.
static struct listener *start_listener(struct script_state *s, int port, struct task *t)
{
    struct script_host *host = s->host;
    struct listener *l = calloc(1, sizeof(*l));
    struct server_handler handler = {.ctx = l, .on_request = on_request, .on_refused = on_refused};

    if (!l)
        return NULL;
    l->server = server_new(host->scheduler->loop, host->log, &limits, &handler);
    if (!l->server) {
        free(l);
        return NULL;
    }
    l->state = s;
    l->port = port;
    l->handler = LUA_NOREF;
    l->resource.release = release;
    list_append(&t->resources, &l->resource.in_task);
    list_append(&host->listeners, &l->in_host);
    return l;
}

// listener.open(port, everywhere, handler) -> Listener?, error?
static int l_listener_open(lua_State *L)
{
    struct script_state *s = state_of(L);
    lua_Integer port = luaL_checkinteger(L, 1);
    struct listener **at;
    int result;

    luaL_argcheck(L, port > 0 && port < 65536, 1, "not a port");
    luaL_checktype(L, 3, LUA_TFUNCTION);
    l_check_privileged(L, "listen");
    at = lua_newuserdatauv(L, sizeof(*at), 0);
    *at = NULL;
    l_make_metatable(L);
    *at = start_listener(s, (int)port, task_of(L));
    if (!*at)
        return luaL_error(L, "out of memory");
    lua_pushvalue(L, 3);
    (*at)->handler = luaL_ref(L, LUA_REGISTRYINDEX);
    result = listen_on(*at, lua_toboolean(L, 2));
    if (result == 0)
        return 1;
    close_listener(*at);
    *at = NULL;
    return l_push_failure(L, result == UV_EADDRINUSE ? "busy" : "refused", "port %d: %s", (int)port,
                          uv_strerror(result));
}

int luaopen_listener(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", l_listener_open}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
