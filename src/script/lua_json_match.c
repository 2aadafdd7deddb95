// lua_json_match.c - json.pattern and json.match, see lua/types/json.lua.
//
// A pattern is compiled into one array of forms.  The members of an object, and the one element of
// an array, stand next to each other in it.

#include <string.h>

#include "codec/json_scan.h"
#include "script/lua_json_parts.h"

enum { PATTERN_DEPTH = 16, PLACES_MAX = 16 };

enum form_kind { FORM_ANY, FORM_NULL, FORM_VALUE, FORM_EQUAL, FORM_ARRAY, FORM_OBJECT };

struct form {
    enum form_kind kind;
    const char *name; // of the member this is; Lua's strings, kept in the user value
    size_t name_len;
    const char *text; // FORM_EQUAL: what the string has to be
    size_t text_len;
    int place;        // FORM_VALUE: which result it is, from 1
    int first, count; // FORM_ARRAY, FORM_OBJECT: where their parts stand
};

struct pattern {
    int places;
    int used; // forms, the first one is the root
    struct form forms[];
};

// --- compiling -----------------------------------------------------------------------------------

static bool l_is_array(lua_State *L, int index)
{
    bool same;

    if (!lua_getmetatable(L, index))
        return false;
    l_json_push(L, JSON_ARRAY_META);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

// How many forms the value at `index` takes.
static int l_count(lua_State *L, int index, int depth)
{
    int count = 1;

    if (depth > PATTERN_DEPTH)
        luaL_error(L, "json.pattern: nested too deeply");
    if (!lua_istable(L, index))
        return 1;
    luaL_checkstack(L, 4, NULL);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        count += l_count(L, lua_gettop(L), depth + 1);
    return count;
}

// Keeps the string at `index` alive and gives its bytes.
static const char *l_keep(lua_State *L, int index, int kept, size_t *len)
{
    lua_pushvalue(L, index);
    lua_pushboolean(L, true);
    lua_rawset(L, kept);
    return lua_tolstring(L, index, len);
}

static void l_fill(lua_State *L, struct pattern *p, int at, int index, int kept);

static void l_fill_parts(lua_State *L, struct pattern *p, int at, int index, int kept)
{
    bool is_array = l_is_array(L, index);
    int first = p->used, count = 0;

    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        count++;
    if (is_array && (count != 1 || lua_rawlen(L, index) != 1))
        luaL_error(L, "json.pattern: an array has one element");
    p->used += count;
    p->forms[at].kind = is_array ? FORM_ARRAY : FORM_OBJECT;
    p->forms[at].first = first;
    p->forms[at].count = count;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), first++) {
        int value = lua_gettop(L);

        if (!is_array && lua_type(L, value - 1) != LUA_TSTRING)
            luaL_error(L, "json.pattern: member names are strings");
        if (!is_array)
            p->forms[first].name = l_keep(L, value - 1, kept, &p->forms[first].name_len);
        l_fill(L, p, first, value, kept);
    }
}

// Makes the form at `at` of the value at `index`.
static void l_fill(lua_State *L, struct pattern *p, int at, int index, int kept)
{
    struct form *form = &p->forms[at];
    size_t len;
    const char *text;

    luaL_checkstack(L, 8, NULL);
    if (lua_istable(L, index)) {
        l_fill_parts(L, p, at, index, kept);
        return;
    }
    if (lua_isinteger(L, index)) {
        form->kind = FORM_VALUE;
        form->place = (int)lua_tointeger(L, index);
        if (form->place < 1 || form->place > PLACES_MAX)
            luaL_error(L, "json.pattern: places are 1 to %d", PLACES_MAX);
        if (form->place > p->places)
            p->places = form->place;
        return;
    }
    text = lua_type(L, index) == LUA_TSTRING ? l_keep(L, index, kept, &len) : "";
    if (strcmp(text, "any") == 0) {
        form->kind = FORM_ANY;
    } else if (strcmp(text, "null") == 0) {
        form->kind = FORM_NULL;
    } else if (text[0] == '=') {
        form->kind = FORM_EQUAL;
        form->text = text + 1;
        form->text_len = len - 1;
    } else {
        luaL_error(L, "json.pattern: a form is a place, \"any\", \"null\", \"=text\" or a table");
    }
}

// json.pattern(form) -> pattern
int l_json_pattern(lua_State *L)
{
    struct pattern *p;
    int count;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    count = l_count(L, 1, 1);
    p = lua_newuserdatauv(L, sizeof(*p) + (size_t)count * sizeof(p->forms[0]), 1);
    memset(p, 0, sizeof(*p) + (size_t)count * sizeof(p->forms[0]));
    p->used = 1;
    l_json_push(L, JSON_PATTERN_META);
    lua_setmetatable(L, 2);
    lua_newtable(L);
    l_fill(L, p, 0, 1, 3);
    lua_setiuservalue(L, 2, 1);
    return 1;
}

// --- matching ------------------------------------------------------------------------------------

struct matcher {
    lua_State *L;
    const struct pattern *pattern;
    struct json_scan scan;
    int results; // stack index below the first result
};

static bool l_match(struct matcher *m, const struct form *form);

static bool match_equal(struct matcher *m, const struct form *form)
{
    struct json_slice slice = {.type = JSON_STRING, .at = m->scan.at};
    bool plain;

    if (m->scan.at == m->scan.end || *m->scan.at != '"' || !json_scan_string(&m->scan, &plain))
        return false;
    slice.len = (size_t)(m->scan.at - slice.at);
    return json_name_is(&slice, plain, form->text, form->text_len);
}

// Makes the content of a string with escapes the result at `slot`.
static void l_unescape(lua_State *L, const char *at, size_t len, int slot)
{
    struct json_work *work = l_json_work(L);

    l_json_push_string(L, work, at, len);
    lua_replace(L, slot);
    lua_closeslot(L, -1);
    lua_pop(L, 1);
}

// Takes a scalar as a result; null is nil.  What needs more than copying is left to json.decode.
static bool l_match_value(struct matcher *m, const struct form *form)
{
    struct json_scan *s = &m->scan;
    const char *from = s->at;
    bool fine;
    int64_t integer;
    double real;

    switch (s->at < s->end ? json_type_of(*s->at) : JSON_NONE) {
    case JSON_STRING:
        if (!json_scan_string(s, &fine) || s->broken_utf8)
            return false;
        if (!fine) {
            l_unescape(m->L, from, (size_t)(s->at - from), m->results + form->place);
            return true;
        }
        lua_pushlstring(m->L, from + 1, (size_t)(s->at - from) - 2);
        break;
    case JSON_NUMBER:
        if (!json_scan_number(s, &fine) || !fine ||
            json_number_parse(from, (size_t)(s->at - from), &integer, &real) != JSON_INTEGER)
            return false;
        lua_pushinteger(m->L, integer);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        fine = *from == 't';
        if (!json_scan_literal(s, fine ? "true" : "false", fine ? 4 : 5))
            return false;
        lua_pushboolean(m->L, fine);
        break;
    case JSON_NULL:
        if (!json_scan_literal(s, "null", 4))
            return false;
        lua_pushnil(m->L);
        break;
    default:
        return false;
    }
    lua_replace(m->L, m->results + form->place);
    return true;
}

static const struct form *find_member(const struct matcher *m, const struct form *object,
                                      const struct json_slice *name)
{
    const struct form *form = &m->pattern->forms[object->first];
    size_t len = name->len - 2;

    for (int i = 0; i < object->count; i++, form++)
        if (form->name_len == len && memcmp(form->name, name->at + 1, len) == 0)
            return form;
    return NULL;
}

static bool l_match_object(struct matcher *m, const struct form *object)
{
    struct json_scan *s = &m->scan;
    struct json_slice name;
    bool more, plain;

    if (s->at == s->end || *s->at != '{')
        return false;
    for (json_open(s, '}', &more); more;) {
        const struct form *form;

        // Names with escapes are nobody's habit.
        if (!json_scan_name(s, &name, &plain) || !plain)
            return false;
        form = find_member(m, object, &name);
        if (!form || !l_match(m, form) || !json_next(s, '}', &more))
            return false;
    }
    return true;
}

static bool l_match_array(struct matcher *m, const struct form *array)
{
    struct json_scan *s = &m->scan;
    bool more;

    if (s->at == s->end || *s->at != '[')
        return false;
    json_open(s, ']', &more);
    return more && l_match(m, &m->pattern->forms[array->first]) && json_next(s, ']', &more) &&
           !more;
}

static bool l_match(struct matcher *m, const struct form *form)
{
    switch (form->kind) {
    case FORM_ANY:
        return json_scan_value(&m->scan);
    case FORM_NULL:
        return json_scan_literal(&m->scan, "null", 4);
    case FORM_VALUE:
        return l_match_value(m, form);
    case FORM_EQUAL:
        return match_equal(m, form);
    case FORM_ARRAY:
        return l_match_array(m, form);
    default:
        return l_match_object(m, form);
    }
}

// json.match(text, pattern) -> true, values | false
int l_json_match(lua_State *L)
{
    struct matcher m = {.L = L};
    size_t len;
    const char *text = l_json_check_text(L, 1, &len);

    m.pattern = luaL_checkudata(L, 2, "json.pattern");
    luaL_checkstack(L, m.pattern->places + 8, "json.match");
    lua_settop(L, 2);
    lua_pushboolean(L, true);
    m.results = 3;
    lua_settop(L, m.results + m.pattern->places);
    json_scan_init(&m.scan, text, len, 0);
    json_scan_space(&m.scan);
    if (l_match(&m, &m.pattern->forms[0]) && json_scan_end(&m.scan))
        return m.pattern->places + 1;
    lua_pushboolean(L, false);
    return 1;
}
