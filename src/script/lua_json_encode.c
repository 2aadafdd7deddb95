// lua_json_encode.c - json.encode and json.keys, see lua/types/json.lua.

#include <stdlib.h>
#include <string.h>

#include "codec/json_scan.h"
#include "script/lua_json.h"
#include "script/lua_json_parts.h"

struct encoder {
    lua_State *L;
    struct json_work *work;
    struct buf *out;
    const void *array_meta, *object_meta;
    int depth;
};

// Values of an object that stay on the stack with their names; of further members only the names
// do, so that an object may have as many as the stack has slots.
enum { VALUES_KEPT = 256 };

enum kind { KIND_ARRAY, KIND_OBJECT, KIND_ORDERED };

static void l_encode(struct encoder *e);

static void l_fail(struct encoder *e, const char *message)
{
    luaL_error(e->L, "json.encode: %s", message);
}

static void l_check(struct encoder *e, bool written)
{
    if (!written)
        l_fail(e, "text too large");
}

// --- members of an object, in order --------------------------------------------------------------

static int compare_members(const void *a, const void *b)
{
    const struct json_member *x = a, *y = b;
    int order = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static void sort_members(struct json_member *m, size_t n)
{
    if (n > 24) {
        qsort(m, n, sizeof(*m), compare_members);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct json_member moving = m[i];
        size_t to = i;

        for (; to > 0 && compare_members(&moving, &m[to - 1]) < 0; to--)
            m[to] = m[to - 1];
        m[to] = moving;
    }
}

// Adds a member whose name and value are on top of the stack.  The name stays there: a finalizer
// that runs meanwhile could take it from its table.  So does the value while there is space.
// Returns where the name is.
static int l_add_member(struct encoder *e, size_t from)
{
    struct json_work *w = e->work;
    struct json_member *m;

    if (lua_type(e->L, -2) != LUA_TSTRING)
        l_fail(e, "an object's member names must be strings");
    luaL_checkstack(e->L, 8, "json: too many members");
    if (w->member_count == w->member_cap) {
        size_t cap = w->member_cap ? 2 * w->member_cap : 64;
        struct json_member *grown = realloc(w->members, cap * sizeof(*grown));

        if (!grown)
            l_fail(e, "out of memory");
        w->members = grown;
        w->member_cap = cap;
    }
    m = &w->members[w->member_count++];
    m->name = lua_tolstring(e->L, -2, &m->len);
    m->slot = lua_gettop(e->L) - 1;
    m->kept = w->member_count - from <= VALUES_KEPT;
    if (!m->kept)
        lua_pop(e->L, 1);
    return m->slot;
}

// Adds the remembered names that still are members.  Expects the table and its metatable on top of
// the stack and puts a set of these names between them.
static void l_add_remembered(struct encoder *e)
{
    lua_State *L = e->L;
    size_t from = e->work->member_count;
    int seen = lua_gettop(L), table = seen - 1, meta = seen + 1;
    lua_Integer n = (lua_Integer)lua_rawlen(L, seen);

    lua_createtable(L, 0, (int)n);
    lua_insert(L, seen);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, meta, i);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, table) == LUA_TNIL) {
            lua_pop(L, 2);
            continue;
        }
        lua_pushvalue(L, l_add_member(e, from));
        lua_pushboolean(L, true);
        lua_rawset(L, seen);
    }
}

// Adds the members of the table on top of the stack, in order; leaves names, values and more above
// it. With `ordered`, its metatable is above it.
static void l_collect(struct encoder *e, bool ordered)
{
    lua_State *L = e->L;
    int table = lua_gettop(L) - ordered, seen = lua_gettop(L);
    size_t from;

    if (ordered)
        l_add_remembered(e);
    from = e->work->member_count;
    for (lua_pushnil(L); lua_next(L, table);) {
        bool fresh = true;

        if (ordered) {
            lua_pushvalue(L, -2);
            fresh = lua_rawget(L, seen) == LUA_TNIL;
            lua_pop(L, 1);
        }
        if (fresh)
            lua_pushvalue(L, l_add_member(e, from));
        else
            lua_pop(L, 1);
    }
    sort_members(e->work->members + from, e->work->member_count - from);
}

static void l_encode_object(struct encoder *e, bool ordered)
{
    lua_State *L = e->L;
    int table = lua_gettop(L) - ordered;
    size_t from = e->work->member_count, to;

    l_collect(e, ordered);
    to = e->work->member_count;
    l_check(e, buf_putc(e->out, '{'));
    for (size_t i = from; i < to; i++) {
        struct json_member m = e->work->members[i]; // the array moves when it grows

        if (i > from)
            l_check(e, buf_putc(e->out, ','));
        l_check(e, json_quote(e->out, m.name, m.len) && buf_putc(e->out, ':'));
        lua_pushvalue(L, m.kept ? m.slot + 1 : m.slot);
        if (!m.kept)
            lua_rawget(L, table);
        l_encode(e);
        lua_pop(L, 1);
    }
    l_check(e, buf_putc(e->out, '}'));
    e->work->member_count = from;
    lua_settop(L, table);
}

// --- arrays --------------------------------------------------------------------------------------

// Writes the elements as lua_next() gives them, up to one that is out of its order: there may be an
// array all the same.  Returns how many were written; `whole` tells that they are all of the table.
static lua_Integer l_encode_elements(struct encoder *e, bool *whole)
{
    lua_State *L = e->L;
    lua_Integer n = 0;

    *whole = true;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != n + 1) {
            lua_pop(L, 2);
            *whole = false;
            break;
        }
        if (n++ > 0)
            l_check(e, buf_putc(e->out, ','));
        l_encode(e);
    }
    return n;
}

// An array must have the keys 1..n and no other, else something would be lost silently.
static void l_check_sequence(struct encoder *e)
{
    lua_State *L = e->L;
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1), count = 0;

    for (lua_pushnil(L); lua_next(L, -2); count++) {
        lua_Integer key = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;

        lua_pop(L, 1);
        if (key < 1 || key > n)
            l_fail(e, "a table is neither an array nor an object");
    }
    if (count != n)
        l_fail(e, "an array has holes");
}

static void l_encode_array(struct encoder *e)
{
    bool whole;
    lua_Integer done, n;

    l_check(e, buf_putc(e->out, '['));
    done = l_encode_elements(e, &whole);
    if (!whole) {
        l_check_sequence(e);
        n = (lua_Integer)lua_rawlen(e->L, -1);
        for (lua_Integer i = done + 1; i <= n; i++) {
            if (i > 1)
                l_check(e, buf_putc(e->out, ','));
            lua_rawgeti(e->L, -1, i);
            l_encode(e);
            lua_pop(e->L, 1);
        }
    }
    l_check(e, buf_putc(e->out, ']'));
}

// --- any value -----------------------------------------------------------------------------------

// Leaves the metatable of an ordered object on the stack.
static enum kind l_kind(struct encoder *e)
{
    lua_State *L = e->L;
    int table = lua_gettop(L);

    if (lua_getmetatable(L, -1)) {
        const void *meta = lua_topointer(L, -1);

        if (meta != e->array_meta && meta != e->object_meta &&
            lua_rawgetp(L, -1, &json_ordered) != LUA_TNIL) {
            lua_pop(L, 1);
            return KIND_ORDERED;
        }
        lua_settop(L, table);
        if (meta == e->object_meta)
            return KIND_OBJECT;
        if (meta == e->array_meta)
            return KIND_ARRAY;
    }
    return lua_rawlen(L, -1) > 0 ? KIND_ARRAY : KIND_OBJECT;
}

static void l_encode_table(struct encoder *e)
{
    enum kind kind = l_kind(e);

    if (e->depth == ENCODE_DEPTH)
        l_fail(e, "nested too deeply (or in itself)");
    e->depth++;
    luaL_checkstack(e->L, 16, "json.encode");
    if (kind == KIND_ARRAY)
        l_encode_array(e);
    else
        l_encode_object(e, kind == KIND_ORDERED);
    e->depth--;
}

static void l_encode_number(struct encoder *e)
{
    char text[JSON_NUMBER_SIZE];
    size_t n = lua_isinteger(e->L, -1) ? json_integer_format(text, lua_tointeger(e->L, -1))
                                       : json_real_format(text, lua_tonumber(e->L, -1));

    if (n == 0)
        l_fail(e, "NaN and infinity have no JSON form");
    l_check(e, buf_append(e->out, text, n));
}

static void l_encode_userdata(struct encoder *e)
{
    size_t len;
    const char *raw = lua_json_raw(e->L, -1, &len);

    if (!raw)
        l_fail(e, "cannot encode this userdata");
    l_check(e, buf_append(e->out, raw, len));
}

// Encodes the value on top of the stack, which stays there.
static void l_encode(struct encoder *e)
{
    const char *text;
    size_t len;

    switch (lua_type(e->L, -1)) {
    case LUA_TSTRING:
        text = lua_tolstring(e->L, -1, &len);
        l_check(e, json_quote(e->out, text, len));
        return;
    case LUA_TTABLE:
        l_encode_table(e);
        return;
    case LUA_TNUMBER:
        l_encode_number(e);
        return;
    case LUA_TBOOLEAN:
        l_check(e, buf_puts(e->out, lua_toboolean(e->L, -1) ? "true" : "false"));
        return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(e->L, -1))
            l_fail(e, "cannot encode this userdata");
        l_check(e, buf_puts(e->out, "null"));
        return;
    case LUA_TUSERDATA:
        l_encode_userdata(e);
        return;
    default:
        luaL_error(e->L, "json.encode: cannot encode a %s", luaL_typename(e->L, -1));
    }
}

void l_json_encode_value(lua_State *L, struct json_work *w, struct buf *out, int index)
{
    struct encoder e = {.L = L, .work = w, .out = out};

    luaL_checkstack(L, 16, "json.encode");
    lua_pushvalue(L, index);
    l_json_push(L, JSON_ARRAY_META);
    e.array_meta = lua_topointer(L, -1);
    l_json_push(L, JSON_OBJECT_META);
    e.object_meta = lua_topointer(L, -1);
    lua_pop(L, 2);
    l_encode(&e);
    lua_pop(L, 1);
}

// Pushes a string that needs nothing but quotes: most texts of a stream are such.
static bool l_quote_plain(lua_State *L)
{
    char quoted[256];
    size_t len;
    const char *text = lua_tolstring(L, 1, &len);

    if (len > sizeof(quoted) - 2 || json_plain_run(text, text + len) != text + len)
        return false;
    quoted[0] = quoted[len + 1] = '"';
    memcpy(quoted + 1, text, len);
    lua_pushlstring(L, quoted, len + 2);
    return true;
}

// json.encode(value) -> string; raises when a value has no JSON form
int l_json_encode(lua_State *L)
{
    struct json_work *w;

    luaL_checkany(L, 1);
    lua_settop(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING && l_quote_plain(L))
        return 1;
    w = l_json_work(L);
    l_json_encode_value(L, w, &w->text, 1);
    lua_pushlstring(L, w->text.data, w->text.len);
    return 1;
}

// json.keys(object) -> names in the order of encode
int l_json_keys(lua_State *L)
{
    struct encoder e = {.L = L};

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    e.work = l_json_work(L);
    lua_pushvalue(L, 1);
    l_collect(&e, l_kind(&e) == KIND_ORDERED);
    lua_createtable(L, (int)e.work->member_count, 0);
    for (size_t i = 0; i < e.work->member_count; i++) {
        lua_pushvalue(L, e.work->members[i].slot);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}
