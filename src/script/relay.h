// relay.h - copies an upstream event stream to the client without waking Lua for every event.

#pragma once

#include <lua.h>

// client:relay(response, rules) -> Relay
int l_client_relay(lua_State *L);
