// lua_sse.c - the module `sse`, see lua/types/sse.lua.

#include <lauxlib.h>
#include <string.h>

#include "codec/sse.h"
#include "script/modules.h"
#include "script/state.h"

#define DECODER_TYPE "sse.decoder"

static int l_decoder_gc(lua_State *L)
{
    sse_deinit(luaL_checkudata(L, 1, DECODER_TYPE));
    return 0;
}

// decoder:feed(bytes) -> true?, error?
static int l_feed(lua_State *L)
{
    struct sse *s = luaL_checkudata(L, 1, DECODER_TYPE);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);

    if (!sse_feed(s, bytes, len))
        return l_push_failure(L, "too_large", "an event of the stream is too large");
    lua_pushboolean(L, true);
    return 1;
}

// decoder:next() -> name?, data?
static int l_next(lua_State *L)
{
    struct sse *s = luaL_checkudata(L, 1, DECODER_TYPE);
    struct sse_event event;

    if (!sse_next(s, &event))
        return 0;
    lua_pushlstring(L, event.name, event.name_len);
    lua_pushlstring(L, event.data, event.data_len);
    return 2;
}

// decoder:finish()
static int l_finish(lua_State *L)
{
    sse_end(luaL_checkudata(L, 1, DECODER_TYPE));
    return 0;
}

// sse.decoder(max?) -> decoder
static int l_decoder(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"feed", l_feed}, {"next", l_next}, {"finish", l_finish}, {0}};
    lua_Integer max = luaL_optinteger(L, 1, 0);

    luaL_argcheck(L, max >= 0, 1, "must not be negative");
    sse_init(lua_newuserdatauv(L, sizeof(struct sse), 0), (size_t)max);
    if (luaL_newmetatable(L, DECODER_TYPE)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, l_decoder_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
    return 1;
}

// sse.encode(name?, data) -> string
static int l_encode(lua_State *L)
{
    struct buf *out = &state_of(L)->scratch;
    size_t name_len = 0, len;
    const char *name = luaL_optlstring(L, 1, "", &name_len);
    const char *data = luaL_checklstring(L, 2, &len);

    luaL_argcheck(L, !memchr(name, '\n', name_len) && !memchr(name, '\r', name_len), 1,
                  "a name must be one line");
    buf_clear(out);
    if (!sse_write(out, name, name_len, data, len))
        return luaL_error(L, "the event is too large");
    lua_pushlstring(L, out->data, out->len);
    return 1;
}

int luaopen_sse(lua_State *L)
{
    static const luaL_Reg functions[] = {{"decoder", l_decoder}, {"encode", l_encode}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
