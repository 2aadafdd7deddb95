// client.h - the userdata behind a script's Client: the client's side of one request.

#pragma once

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "base/buf.h"
#include "net/server.h"
#include "script/exchange.h"
#include "script/task.h"

struct client {
    struct exchange *exchange; // NULL once the request is over
    struct server_request *req;
    struct wait wait;
    struct buf fields; // headers set for the response to come: `Name: value\r\n` lines
};

// Pushes a new userdata for the request.  Raises only without memory.
struct client *l_push_client(lua_State *L, struct exchange *exchange);

// The open client at `index`; raises when the request is over.
struct client *l_check_client(lua_State *L, int index);

// Frees what the userdata holds; its methods raise from now on.
void client_close(struct client *c);
