// lua_json_edit.c - json.peek, get and splice: reading and editing inside a text without decoding
// it, see lua/types/json.lua.

#include "script/lua_json_parts.h"

enum { PEEK_MAX = 32 };

// --- reading inside a text -----------------------------------------------------------------------

// Pushes what peek and get return for a slice.
static void l_push_slice(lua_State *L, struct json_work *w, const struct json_slice *slice)
{
    int64_t integer;
    double real;

    switch (slice->type) {
    case JSON_NONE:
        lua_pushnil(L);
        return;
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        return;
    case JSON_FALSE:
    case JSON_TRUE:
        lua_pushboolean(L, slice->type == JSON_TRUE);
        return;
    case JSON_NUMBER:
        switch (json_number_parse(slice->at, slice->len, &integer, &real)) {
        case JSON_INTEGER:
            lua_pushinteger(L, integer);
            return;
        case JSON_REAL:
            lua_pushnumber(L, real);
            return;
        default:
            l_json_push_raw(L, slice->at, slice->len);
            return;
        }
    case JSON_STRING:
        l_json_push_string(L, w, slice->at, slice->len);
        return;
    default:
        l_json_push_repaired(L, w, slice->at, slice->len);
    }
}

// Shared by the two forms of peek: `true` and one value for each name, or `false, err`.
static int l_peek_with(lua_State *L, unsigned flags)
{
    const char *names[PEEK_MAX];
    struct json_slice found[PEEK_MAX];
    struct json_error error;
    struct json_work *w;
    size_t len;
    const char *text = l_json_check_text(L, 1, &len);
    int count = lua_gettop(L) - 1;

    luaL_argcheck(L, count <= PEEK_MAX, PEEK_MAX + 1, "too many names");
    luaL_checkstack(L, count + 8, "json.peek");
    for (int i = 0; i < count; i++)
        names[i] = luaL_checkstring(L, i + 2);
    w = l_json_work(L);
    if (!json_members(text, len, names, (size_t)count, found, flags, &error)) {
        l_json_failure(L, error.message, error.offset, NULL);
        lua_pushboolean(L, false);
        lua_replace(L, -3);
        return 2;
    }
    lua_pushboolean(L, true);
    for (int i = 0; i < count; i++)
        l_push_slice(L, w, &found[i]);
    return count + 1;
}

// json.peek(text, name, ...) -> true, value, ... | false, err
int l_json_peek(lua_State *L)
{
    return l_peek_with(L, 0);
}

// json.peek_strict(text, name, ...) -> true, value, ... | false, err
//
// For text from clients: invalid UTF-8 and a wanted name given twice are errors.
int l_json_peek_strict(lua_State *L)
{
    return l_peek_with(L, JSON_STRICT_UTF8 | JSON_UNIQUE);
}

// Reads the path at `arg`: a name, or a list of names and indexes from 1.  The strings stay alive
// with the list.
static size_t l_check_path(lua_State *L, int arg, struct json_step path[JSON_DEPTH])
{
    size_t steps;

    if (lua_type(L, arg) == LUA_TSTRING) {
        path[0].name = lua_tolstring(L, arg, &path[0].name_len);
        return 1;
    }
    luaL_checktype(L, arg, LUA_TTABLE);
    steps = lua_rawlen(L, arg);
    luaL_argcheck(L, steps <= JSON_DEPTH, arg, "path too long");
    for (size_t i = 0; i < steps; i++) {
        path[i] = (struct json_step){0};
        if (lua_rawgeti(L, arg, (lua_Integer)i + 1) == LUA_TSTRING) {
            path[i].name = lua_tolstring(L, -1, &path[i].name_len);
        } else {
            luaL_argcheck(L, lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1, arg,
                          "a path holds names and indexes from 1");
            path[i].index = (size_t)lua_tointeger(L, -1) - 1;
        }
        lua_pop(L, 1);
    }
    return steps;
}

// json.get(text, path) -> value; nil when there is none
int l_json_get(lua_State *L)
{
    struct json_step path[JSON_DEPTH];
    struct json_slice slice;
    size_t len, steps;
    const char *text = l_json_check_text(L, 1, &len);

    lua_settop(L, 2);
    steps = l_check_path(L, 2, path);
    slice = json_find(text, len, path, steps);
    l_push_slice(L, l_json_work(L), &slice);
    return 1;
}

// --- splice --------------------------------------------------------------------------------------

// Writes the text at index 1 to `w->text` with one edit: the path at `path_index`, the value at
// `value_index`.  Returns false with `nil, err` pushed.
static bool l_splice_once(lua_State *L, struct json_work *w, const char *text, size_t len,
                          int path_index, int value_index)
{
    struct json_step path[JSON_DEPTH];
    struct json_error error;
    size_t steps = l_check_path(L, path_index, path);
    const char *raw = NULL;

    buf_clear(&w->scratch);
    buf_clear(&w->text);
    if (!lua_isnil(L, value_index)) {
        l_json_encode_value(L, w, &w->scratch, value_index);
        raw = w->scratch.data;
    }
    if (json_splice(&w->text, text, len, path, steps, raw, w->scratch.len, &error))
        return true;
    l_json_failure(L, error.message, error.offset, NULL);
    return false;
}

// Pushes the spliced text as what the original was: RawJson or string.
static void l_push_like_first(lua_State *L, const struct json_work *w)
{
    if (lua_type(L, 1) == LUA_TSTRING)
        lua_pushlstring(L, w->text.data, w->text.len);
    else
        l_json_push_raw(L, w->text.data, w->text.len);
}

// json.splice(text, path, value) -> text | nil, err; a value nil removes
int l_json_splice(lua_State *L)
{
    struct json_work *w;
    size_t len;
    const char *text = l_json_check_text(L, 1, &len);
    bool ok;

    lua_settop(L, 3);
    w = l_json_work(L);
    ok = l_splice_once(L, w, text, len, 2, 3);
    if (ok)
        l_push_like_first(L, w);
    return ok ? 1 : 2;
}

// json.splice_all(text, edits) -> text | nil, err; an edit is {path, value}, applied in turn
int l_json_splice_all(lua_State *L)
{
    struct json_work *w;
    lua_Integer count;
    bool ok = true;

    l_json_check_text(L, 1, &(size_t){0});
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    count = (lua_Integer)lua_rawlen(L, 2);
    w = l_json_work(L);
    for (lua_Integer i = 1; i <= count && ok; i++) {
        size_t len;
        const char *text = l_json_check_text(L, 1, &len);

        luaL_argcheck(L, lua_rawgeti(L, 2, i) == LUA_TTABLE, 2, "an edit is {path, value}");
        lua_rawgeti(L, 4, 1);
        lua_rawgeti(L, 4, 2);
        ok = l_splice_once(L, w, text, len, 5, 6);
        if (ok) {
            l_push_like_first(L, w);
            lua_replace(L, 1);
            lua_settop(L, 3);
        }
    }
    if (ok)
        lua_pushvalue(L, 1);
    return ok ? 1 : 2;
}
