// lua_json_parts.h - what the files of the Lua module `json` share; internal to them.

#pragma once

#include <lauxlib.h>
#include <lua.h>

#include "codec/json.h"

enum {
    ENCODE_DEPTH = 2 * JSON_DEPTH, // nesting of Lua tables: decoded values in a few of our own
    TEXT_MAX = 256 << 20,          // bytes of an encoded or spliced text
    KEPT_MAX = 256 << 10           // bytes of work memory kept between calls
};

// What a shape holds besides its flags, as user values.
enum {
    SHAPE_KNOWN = 1,  // name -> true, false (raw) or the shape of the member
    SHAPE_RAW,        // names that stay raw wherever they occur
    SHAPE_KEPT,       // names of members of the top level whose values are remembered
    SHAPE_REMEMBERED, // value, text, value, text, …
    SHAPE_VALUES = SHAPE_REMEMBERED
};

// How much a shape remembers before it forgets all.
enum {
    REMEMBERED_MAX = 8,
    REMEMBERED_MIN = 256,         // bytes of a text that is worth it
    REMEMBERED_BYTES = 512 * 1024 // of all texts
};

struct json_shape {
    bool strict, order;
    bool known, raw, kept;   // which user values are set
    int remembered;          // values
    size_t remembered_bytes; // of their texts
};

struct json_member {
    const char *name;
    size_t len;
    int slot;  // where on the stack the name is, which keeps it alive
    bool kept; // the value is on the stack behind it
};

// Work memory of one call, mostly the same for all calls in a state.
struct json_work {
    bool busy;          // between l_json_work() and the end of that call
    struct buf text;    // results of encode and splice
    struct buf scratch; // strings being decoded, values to splice
    struct json_member *members;
    size_t member_count, member_cap;
};

// Pushes empty work memory, which is given back when the calling C function returns or raises.
struct json_work *l_json_work(lua_State *L);

// Push what is registered under one of these marks (all are tables but JSON_WORK).
enum json_mark {
    JSON_WORK,
    JSON_RAW_META,
    JSON_ARRAY_META,
    JSON_OBJECT_META,
    JSON_SHAPE_META,
    JSON_PATTERN_META
};
void l_json_push(lua_State *L, enum json_mark mark);

// In the metatable of an object that remembers its order; the names are in its array part.
extern const char json_ordered;

// Pushes a RawJson; the text must be valid.
void l_json_push_raw(lua_State *L, const char *text, size_t len);

// Like it, with invalid UTF-8 repaired.
void l_json_push_repaired(lua_State *L, struct json_work *w, const char *text, size_t len);

// Pushes the content of a string's slice.
void l_json_push_string(lua_State *L, struct json_work *w, const char *at, size_t len);

// Pushes `nil, err`; `path` may be NULL.
int l_json_failure(lua_State *L, const char *message, size_t offset, const char *path);

// A text argument: a string or a RawJson.
const char *l_json_check_text(lua_State *L, int arg, size_t *len);

// Pushes the shape compiled from the options at `options`, or the shape that stands there.
struct json_shape *l_json_shape_from(lua_State *L, int options);

// When the `len` bytes at `at` begin with a text that the list at `remembered` has, pushes its
// value and gives the text's length.
bool l_json_remembered(lua_State *L, const struct json_shape *shape, int remembered, const char *at,
                       size_t len, size_t *taken);

// Puts the value on top of the stack, decoded from the text, into the list.  What is no table, too
// short or too long is left out.
void l_json_remember(lua_State *L, struct json_shape *shape, int remembered, const char *text,
                     size_t len);

int l_json_decode(lua_State *L);
int l_json_shape(lua_State *L);
int l_json_pattern(lua_State *L);
int l_json_match(lua_State *L);
int l_json_encode(lua_State *L);
int l_json_keys(lua_State *L);
int l_json_peek(lua_State *L);
int l_json_peek_strict(lua_State *L);
int l_json_get(lua_State *L);
int l_json_splice(lua_State *L);
int l_json_splice_all(lua_State *L);

// Appends the value at `index` to `out`; raises when it has no JSON form.
void l_json_encode_value(lua_State *L, struct json_work *w, struct buf *out, int index);
