// modules.h - the C modules that scripts can require.  Each is documented in lua/types.

#pragma once

#include <lua.h>

int luaopen_accounts(lua_State *L);
int luaopen_browser(lua_State *L);
int luaopen_config(lua_State *L);
int luaopen_credentials(lua_State *L);
int luaopen_crypto(lua_State *L);
int luaopen_file(lua_State *L);
int luaopen_http(lua_State *L);
int luaopen_json(lua_State *L);
int luaopen_keeper(lua_State *L);
int luaopen_listener(lua_State *L);
int luaopen_log(lua_State *L);
int luaopen_sse(lua_State *L);
int luaopen_store(lua_State *L);
int luaopen_task(lua_State *L);
int luaopen_terminal(lua_State *L);
int luaopen_timer(lua_State *L);
int luaopen_tokens(lua_State *L);
int luaopen_ws(lua_State *L);

struct config_node;

// Pushes a node of the configuration as plain values; nil for a secret.  `depth` is 0.
void l_push_node(lua_State *L, const struct config_node *node, int depth);

// The open function of a module, or NULL.
lua_CFunction modules_find(const char *name);
