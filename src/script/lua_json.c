// lua_json.c - the Lua module `json`: marks and RawJson.  lua/types/json.lua is its manual;
// decoding, encoding and edits have files of their own.

#include "script/lua_json.h"

#include <stdlib.h>
#include <string.h>

#include "codec/json_scan.h"
#include "script/lua_json_parts.h"

struct raw {
    size_t len;
    char text[]; // with a NUL behind
};

const char json_ordered = 0;

// The addresses of these are the registry's keys.
static const char marks[JSON_PATTERN_META + 1] = {0};

void l_json_push(lua_State *L, enum json_mark mark)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &marks[mark]);
}

// --- work memory ---------------------------------------------------------------------------------

// Ends a call: keeps a little memory for the next one.
static int work_close(lua_State *L)
{
    struct json_work *w = lua_touserdata(L, 1);

    buf_clear(&w->text);
    buf_clear(&w->scratch);
    if (w->text.cap > KEPT_MAX)
        buf_deinit(&w->text);
    if (w->scratch.cap > KEPT_MAX)
        buf_deinit(&w->scratch);
    if (w->member_cap > KEPT_MAX / sizeof(*w->members)) {
        free(w->members);
        w->members = NULL;
        w->member_cap = 0;
    }
    w->member_count = 0;
    w->busy = false;
    return 0;
}

static int work_collect(lua_State *L)
{
    struct json_work *w = lua_touserdata(L, 1);

    buf_deinit(&w->text);
    buf_deinit(&w->scratch);
    free(w->members);
    *w = (struct json_work){0};
    return 0;
}

static struct json_work *l_new_work(lua_State *L)
{
    struct json_work *w = lua_newuserdatauv(L, sizeof(*w), 0);

    *w = (struct json_work){0};
    buf_init(&w->text, TEXT_MAX);
    buf_init(&w->scratch, TEXT_MAX);
    if (luaL_newmetatable(L, "json.work")) {
        lua_pushcfunction(L, work_collect);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, work_close);
        lua_setfield(L, -2, "__close");
    }
    lua_setmetatable(L, -2);
    return w;
}

struct json_work *l_json_work(lua_State *L)
{
    struct json_work *w;

    luaL_checkstack(L, 8, NULL);
    l_json_push(L, JSON_WORK);
    w = lua_touserdata(L, -1);
    // Busy: a finalizer runs in the middle of another call.
    if (w->busy) {
        lua_pop(L, 1);
        w = l_new_work(L);
    }
    lua_toclose(L, -1);
    w->busy = true;
    return w;
}

// --- errors --------------------------------------------------------------------------------------

int l_json_failure(lua_State *L, const char *message, size_t offset, const char *path)
{
    lua_pushnil(L);
    lua_createtable(L, 0, 4);
    lua_pushliteral(L, "json");
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, (lua_Integer)offset);
    lua_setfield(L, -2, "offset");
    lua_pushstring(L, path);
    lua_setfield(L, -2, "path");
    luaL_setmetatable(L, "json.error");
    return 2;
}

static int l_error_tostring(lua_State *L)
{
    lua_settop(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "message");
    lua_getfield(L, 1, "offset");
    lua_getfield(L, 1, "path");
    lua_pushfstring(L, "%s at byte %I", luaL_optstring(L, 2, "?"), luaL_optinteger(L, 3, 0));
    if (!lua_isnil(L, 4))
        lua_pushfstring(L, " (%s)", luaL_checkstring(L, 4)), lua_concat(L, 2);
    return 1;
}

// --- RawJson -------------------------------------------------------------------------------------

void l_json_push_raw(lua_State *L, const char *text, size_t len)
{
    struct raw *raw = lua_newuserdatauv(L, sizeof(*raw) + len + 1, 0);

    raw->len = len;
    memcpy(raw->text, text, len);
    raw->text[len] = '\0';
    l_json_push(L, JSON_RAW_META);
    lua_setmetatable(L, -2);
}

void l_json_push_repaired(lua_State *L, struct json_work *w, const char *text, size_t len)
{
    buf_clear(&w->scratch);
    if (!json_repair(&w->scratch, text, len))
        luaL_error(L, "json: text too large");
    l_json_push_raw(L, w->scratch.data, w->scratch.len);
}

void l_json_push_string(lua_State *L, struct json_work *w, const char *at, size_t len)
{
    buf_clear(&w->scratch);
    if (!json_unquote(&w->scratch, at, len))
        luaL_error(L, "json: string too large");
    lua_pushlstring(L, w->scratch.data, w->scratch.len);
}

const char *lua_json_raw(lua_State *L, int index, size_t *len)
{
    struct raw *raw = lua_touserdata(L, index);
    bool is_raw;

    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return NULL;
    l_json_push(L, JSON_RAW_META);
    is_raw = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (!is_raw)
        return NULL;
    *len = raw->len;
    return raw->text;
}

const char *l_json_check_text(lua_State *L, int arg, size_t *len)
{
    const char *raw = lua_json_raw(L, arg, len);

    return raw ? raw : luaL_checklstring(L, arg, len);
}

// json.raw(text) -> RawJson | nil, err
static int l_raw(lua_State *L)
{
    struct json_work *w;
    struct json_scan s;
    size_t len;
    const char *text = l_json_check_text(L, 1, &len), *from;

    lua_settop(L, 1);
    w = l_json_work(L);
    json_scan_init(&s, text, len, 0);
    json_scan_space(&s);
    from = s.at;
    if (!json_scan_value(&s))
        return l_json_failure(L, s.message, (size_t)(s.at - text), NULL);
    len = (size_t)(s.at - from);
    if (!json_scan_end(&s))
        return l_json_failure(L, s.message, (size_t)(s.at - text), NULL);
    if (s.broken_utf8)
        l_json_push_repaired(L, w, from, len);
    else
        l_json_push_raw(L, from, len);
    return 1;
}

// json.is_raw(value) -> boolean
static int l_is_raw(lua_State *L)
{
    size_t len;

    luaL_checkany(L, 1);
    lua_pushboolean(L, lua_json_raw(L, 1, &len) != NULL);
    return 1;
}

static struct raw *l_check_raw(lua_State *L, int arg)
{
    return luaL_checkudata(L, arg, "json.raw");
}

static int l_raw_tostring(lua_State *L)
{
    struct raw *raw = l_check_raw(L, 1);

    lua_pushlstring(L, raw->text, raw->len);
    return 1;
}

static int l_raw_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)l_check_raw(L, 1)->len);
    return 1;
}

// Two RawJson are equal when their bytes are.
static int l_raw_equal(lua_State *L)
{
    size_t a_len, b_len;
    const char *a = lua_json_raw(L, 1, &a_len), *b = lua_json_raw(L, 2, &b_len);

    lua_pushboolean(L, a && b && a_len == b_len && memcmp(a, b, a_len) == 0);
    return 1;
}

// --- marks ---------------------------------------------------------------------------------------

static int l_mark(lua_State *L, enum json_mark mark)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    l_json_push(L, mark);
    lua_setmetatable(L, 1);
    return 1;
}

// json.array(t?) -> t
static int l_array(lua_State *L)
{
    return l_mark(L, JSON_ARRAY_META);
}

// json.object(t?) -> t
static int l_object(lua_State *L)
{
    return l_mark(L, JSON_OBJECT_META);
}

static bool l_has_meta(lua_State *L, int index, enum json_mark mark)
{
    bool same;

    if (!lua_getmetatable(L, index))
        return false;
    l_json_push(L, mark);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static bool l_is_ordered(lua_State *L, int index)
{
    bool ordered;

    if (!lua_getmetatable(L, index))
        return false;
    ordered = lua_rawgetp(L, -1, &json_ordered) != LUA_TNIL;
    lua_pop(L, 2);
    return ordered;
}

// True for a table that encode writes as an array.
static bool l_table_is_array(lua_State *L, int index)
{
    if (l_has_meta(L, index, JSON_ARRAY_META))
        return true;
    return !l_has_meta(L, index, JSON_OBJECT_META) && !l_is_ordered(L, index) &&
           lua_rawlen(L, index) > 0;
}

// json.is_array(value) -> boolean
static int l_is_array(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, lua_istable(L, 1) && l_table_is_array(L, 1));
    return 1;
}

static const char *type_name(enum json_type type)
{
    static const char *const names[] = {NULL,     "null",   "boolean", "boolean",
                                        "number", "string", "array",   "object"};

    return names[type];
}

// json.type(value) -> name | nil
static int l_type(lua_State *L)
{
    size_t len;
    const char *raw;

    lua_settop(L, 1);
    switch (lua_type(L, 1)) {
    case LUA_TLIGHTUSERDATA:
        lua_pushstring(L, lua_touserdata(L, 1) ? NULL : "null");
        return 1;
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING:
        lua_pushstring(L, luaL_typename(L, 1));
        return 1;
    case LUA_TTABLE:
        lua_pushstring(L, l_table_is_array(L, 1) ? "array" : "object");
        return 1;
    case LUA_TUSERDATA:
        raw = lua_json_raw(L, 1, &len);
        lua_pushstring(L, raw ? type_name(json_type_of(raw[0])) : NULL);
        return 1;
    default:
        lua_pushnil(L);
        return 1;
    }
}

// --- the module ----------------------------------------------------------------------------------

static void l_make_meta(lua_State *L, const char *name, const luaL_Reg *methods, const char *key)
{
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, methods, 0);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    if (key)
        lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    else
        lua_pop(L, 1);
}

int luaopen_json(lua_State *L)
{
    static const luaL_Reg none[] = {{0}};
    static const luaL_Reg raw[] = {
        {"__tostring", l_raw_tostring}, {"__len", l_raw_len}, {"__eq", l_raw_equal}, {0}};
    static const luaL_Reg error[] = {{"__tostring", l_error_tostring}, {0}};
    static const luaL_Reg functions[] = {{"array", l_array},
                                         {"object", l_object},
                                         {"is_array", l_is_array},
                                         {"raw", l_raw},
                                         {"is_raw", l_is_raw},
                                         {"type", l_type},
                                         {"decode", l_json_decode},
                                         {"shape", l_json_shape},
                                         {"pattern", l_json_pattern},
                                         {"match", l_json_match},
                                         {"encode", l_json_encode},
                                         {"keys", l_json_keys},
                                         {"peek", l_json_peek},
                                         {"peek_strict", l_json_peek_strict},
                                         {"get", l_json_get},
                                         {"splice", l_json_splice},
                                         {"splice_all", l_json_splice_all},
                                         {0}};

    // A second opening must not take the work memory from under a running call.
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &marks[JSON_WORK]) == LUA_TNIL)
        l_new_work(L), lua_rawsetp(L, LUA_REGISTRYINDEX, &marks[JSON_WORK]);
    l_make_meta(L, "json.raw", raw, &marks[JSON_RAW_META]);
    l_make_meta(L, "json.array", none, &marks[JSON_ARRAY_META]);
    l_make_meta(L, "json.object", none, &marks[JSON_OBJECT_META]);
    l_make_meta(L, "json.shape", none, &marks[JSON_SHAPE_META]);
    l_make_meta(L, "json.pattern", none, &marks[JSON_PATTERN_META]);
    l_make_meta(L, "json.error", error, NULL);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
