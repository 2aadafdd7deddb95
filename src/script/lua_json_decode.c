// lua_json_decode.c - json.decode, see lua/types/json.lua.

#include <stdio.h>
#include <string.h>

#include "codec/json_scan.h"
#include "script/lua_json_parts.h"

enum { LEVEL_SLOTS = 8 }; // of the stack, for one level of nesting

// Where the decoder stands inside one container, for messages.
struct frame {
    bool array;
    const char *name; // of the member, with quotes; NULL before the first
    size_t len;
    size_t index; // of the element; in an object, the number of names noted
};

struct decoder {
    lua_State *L;
    struct json_work *work;
    struct json_scan scan;
    struct json_shape *shape;
    int array_meta; // stack indexes
    int raw_names;  // 0: none
    int kept;       // names of values to remember; behind them those that are; 0: none
    int depth;
    struct frame frames[JSON_DEPTH];
};

static bool l_decode_value(struct decoder *d, int known);

// --- values --------------------------------------------------------------------------------------

static bool l_decode_raw(struct decoder *d)
{
    struct json_scan *s = &d->scan;
    const char *from = s->at;

    s->broken_utf8 = false;
    if (!json_scan_value(s))
        return false;
    if (s->broken_utf8)
        l_json_push_repaired(d->L, d->work, from, (size_t)(s->at - from));
    else
        l_json_push_raw(d->L, from, (size_t)(s->at - from));
    return true;
}

// Takes a string, pushes it.
static bool l_decode_string(struct decoder *d)
{
    const char *from = d->scan.at + 1, *closing = json_short_string(&d->scan);
    struct json_content content;

    if (closing) {
        d->scan.at = closing + 1;
        lua_pushlstring(d->L, from, (size_t)(closing - from));
        return true;
    }
    if (!json_scan_content(&d->scan, &d->work->scratch, &content))
        return d->scan.message ? false : luaL_error(d->L, "json: string too large");
    lua_pushlstring(d->L, content.at, content.len);
    return true;
}

static bool l_decode_number(struct decoder *d)
{
    const char *from = d->scan.at;
    int64_t integer;
    double real;
    bool ignored;

    if (!json_scan_number(&d->scan, &ignored))
        return false;
    switch (json_number_parse(from, (size_t)(d->scan.at - from), &integer, &real)) {
    case JSON_INTEGER:
        lua_pushinteger(d->L, integer);
        return true;
    case JSON_REAL:
        lua_pushnumber(d->L, real);
        return true;
    default:
        return json_scan_fail(&d->scan, from, "number too large");
    }
}

static bool l_decode_literal(struct decoder *d)
{
    struct json_scan *s = &d->scan;

    if (*s->at == 'n') {
        lua_pushlightuserdata(d->L, NULL);
        return json_scan_literal(s, "null", 4);
    }
    lua_pushboolean(d->L, *s->at == 't');
    return *s->at == 't' ? json_scan_literal(s, "true", 4) : json_scan_literal(s, "false", 5);
}

// --- containers ----------------------------------------------------------------------------------

// Makes room on the stack for one level, too: for all levels at once the stack would have to be
// moved at nearly every call, and back at the next collection.
static struct frame *l_open_frame(struct decoder *d, bool array)
{
    struct frame *frame;

    if (d->depth == JSON_DEPTH) {
        json_scan_fail(&d->scan, d->scan.at, "nested too deeply");
        return NULL;
    }
    luaL_checkstack(d->L, LEVEL_SLOTS, "json.decode");
    frame = &d->frames[d->depth++];
    *frame = (struct frame){.array = array};
    return frame;
}

static bool l_decode_array(struct decoder *d, int known)
{
    struct frame *frame = l_open_frame(d, true);
    lua_State *L = d->L;
    bool more;

    if (!frame)
        return false;
    json_open(&d->scan, ']', &more);
    lua_createtable(L, more ? 4 : 0, 0);
    for (; more; frame->index++) {
        if (!l_decode_value(d, known))
            return false;
        lua_rawseti(L, -2, (lua_Integer)frame->index + 1);
        if (!json_next(&d->scan, ']', &more))
            return false;
    }
    lua_pushvalue(L, d->array_meta);
    lua_setmetatable(L, -2);
    d->depth--;
    return true;
}

// Takes `"name" :`, pushes the name.
static bool l_decode_name(struct decoder *d, struct frame *frame)
{
    struct json_scan *s = &d->scan;
    const char *from = s->at;

    if (from == s->end || *from != '"')
        return json_scan_fail(s, from, "expected a member name");
    if (!l_decode_string(d))
        return false;
    frame->name = from;
    frame->len = (size_t)(s->at - from);
    return json_scan_colon(s);
}

// What to do with the member whose name is on top of the stack.  For a shape of its own, pushes it.
enum treatment { KEEP_RAW, DECODE_WHOLE, DECODE_SHAPED };

static enum treatment l_treatment(struct decoder *d, int known)
{
    lua_State *L = d->L;
    int type;

    if (!known && !d->raw_names)
        return DECODE_WHOLE;
    lua_pushvalue(L, -1);
    type = lua_rawget(L, known ? known : d->raw_names);
    if (type == LUA_TNIL && known) {
        lua_pop(L, 1);
        lua_pushliteral(L, "*");
        type = lua_rawget(L, known);
    }
    if (type == LUA_TTABLE)
        return DECODE_SHAPED;
    type = type == LUA_TNIL ? !known : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return type ? DECODE_WHOLE : KEEP_RAW;
}

// The value of the member whose name is on top of the stack, looked at byte by byte.
static bool l_decode_treated(struct decoder *d, int known)
{
    bool ok;

    switch (l_treatment(d, known)) {
    case KEEP_RAW:
        return l_decode_raw(d);
    case DECODE_WHOLE:
        return l_decode_value(d, 0);
    default:
        ok = l_decode_value(d, lua_gettop(d->L));
        if (ok)
            lua_remove(d->L, -2);
        return ok;
    }
}

static bool l_is_kept(struct decoder *d)
{
    bool kept;

    if (!d->kept || d->depth != 1)
        return false;
    lua_pushvalue(d->L, -1);
    kept = lua_rawget(d->L, d->kept) != LUA_TNIL;
    lua_pop(d->L, 1);
    return kept;
}

// The same, but where the shape keeps the member and its bytes came before.
static bool l_decode_member_value(struct decoder *d, int known)
{
    struct json_scan *s = &d->scan;
    const char *from = s->at;
    size_t taken;

    if (!l_is_kept(d))
        return l_decode_treated(d, known);
    if (l_json_remembered(d->L, d->shape, d->kept + 1, from, (size_t)(s->end - from), &taken)) {
        s->at += taken;
        return true;
    }
    if (!l_decode_treated(d, known))
        return false;
    l_json_remember(d->L, d->shape, d->kept + 1, from, (size_t)(s->at - from));
    return true;
}

// Looks at the name on top of the stack: refuses one that is there already, or notes its place.
static bool l_note_name(struct decoder *d, int object, struct frame *frame)
{
    lua_State *L = d->L;
    bool fresh = true;

    if (!d->shape->strict && !d->shape->order)
        return true;
    if (frame->index > 0) {
        lua_pushvalue(L, -1);
        fresh = lua_rawget(L, object) == LUA_TNIL;
        lua_pop(L, 1);
    }
    if (!fresh)
        return !d->shape->strict || json_scan_fail(&d->scan, frame->name, "member given twice");
    frame->index++;
    if (d->shape->order) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, object + 1, (lua_Integer)frame->index);
    }
    return true;
}

static bool l_decode_object(struct decoder *d, int known)
{
    struct frame *frame = l_open_frame(d, false);
    lua_State *L = d->L;
    int object = lua_gettop(L) + 1;
    bool more;

    if (!frame)
        return false;
    json_open(&d->scan, '}', &more);
    lua_createtable(L, 0, more ? 4 : 0);
    if (d->shape->order) {
        lua_createtable(L, 4, 2);
        lua_pushboolean(L, true);
        lua_rawsetp(L, -2, &json_ordered);
    }
    while (more) {
        if (!l_decode_name(d, frame) || !l_note_name(d, object, frame) ||
            !l_decode_member_value(d, known))
            return false;
        lua_rawset(L, object);
        if (!json_next(&d->scan, '}', &more))
            return false;
    }
    if (d->shape->order) {
        lua_pushliteral(L, "json.object");
        lua_setfield(L, -2, "__metatable");
        lua_setmetatable(L, object);
    }
    d->depth--;
    return true;
}

// Pushes the value at the scan's place.  False leaves the stack with anything on it.
static bool l_decode_value(struct decoder *d, int known)
{
    switch (d->scan.at < d->scan.end ? json_type_of(*d->scan.at) : JSON_NONE) {
    case JSON_STRING:
        return l_decode_string(d);
    case JSON_NUMBER:
        return l_decode_number(d);
    case JSON_ARRAY:
        return l_decode_array(d, known);
    case JSON_OBJECT:
        return l_decode_object(d, known);
    case JSON_NONE:
        return json_scan_fail(&d->scan, d->scan.at, "expected a value");
    default:
        return l_decode_literal(d);
    }
}

// --- errors --------------------------------------------------------------------------------------

// The path of the value being decoded, such as `messages[3].content`, cut to fit.
static const char *describe_path(const struct decoder *d, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; i < d->depth && used < size; i++) {
        const struct frame *f = &d->frames[i];
        int n;

        if (!f->array && !f->name)
            break;
        if (!f->array)
            n = snprintf(out + used, size - used, "%s%.*s", used ? "." : "",
                         f->len < 66 ? (int)f->len - 2 : 64, f->name + 1);
        else
            n = snprintf(out + used, size - used, "[%zu]", f->index);
        if (n < 0)
            break;
        used += (size_t)n;
    }
    return out[0] ? out : NULL;
}

// json.decode(text, shape or options) -> value | nil, err
int l_json_decode(lua_State *L)
{
    struct json_shape whole = {0};
    struct decoder d = {.L = L, .shape = &whole};
    char path[256];
    size_t len;
    const char *text = l_json_check_text(L, 1, &len);
    int known = 0;
    bool ok;

    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        d.shape = l_json_shape_from(L, 2); // stays on the stack below everything else
    luaL_checkstack(L, 2 * LEVEL_SLOTS, "json.decode");
    if (d.shape->known) {
        lua_getiuservalue(L, 3, SHAPE_KNOWN);
        known = lua_gettop(L);
    }
    if (d.shape->raw) {
        lua_getiuservalue(L, 3, SHAPE_RAW);
        d.raw_names = lua_gettop(L);
    }
    if (d.shape->kept) {
        lua_getiuservalue(L, 3, SHAPE_KEPT);
        d.kept = lua_gettop(L);
        lua_getiuservalue(L, 3, SHAPE_REMEMBERED);
    }
    l_json_push(L, JSON_ARRAY_META);
    d.array_meta = lua_gettop(L);
    d.work = l_json_work(L);
    json_scan_init(&d.scan, text, len, d.shape->strict ? JSON_STRICT_UTF8 : 0);
    json_scan_space(&d.scan);
    ok = l_decode_value(&d, known) && json_scan_end(&d.scan);
    if (ok)
        return 1;
    return l_json_failure(L, d.scan.message, (size_t)(d.scan.at - text),
                          describe_path(&d, path, sizeof(path)));
}
