// lua_tokens.c - the module `tokens`, see lua/types/tokens.lua.

#include <lauxlib.h>

#include "codec/tokens.h"
#include "script/modules.h"

// tokens.count(text, family?) -> integer
static int l_count(lua_State *L)
{
    size_t len, name_len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_optlstring(L, 2, "", &name_len);

    lua_pushinteger(L, (lua_Integer)tokens_count(text, len, tokens_family_find(name, name_len)));
    return 1;
}

int luaopen_tokens(lua_State *L)
{
    static const luaL_Reg functions[] = {{"count", l_count}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
