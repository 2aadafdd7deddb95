// json.h - JSON for payloads in transit: scanning, splicing, deterministic encoding.
//
// Works on complete texts.  Nothing here builds a tree: the Lua binding (src/script/lua_json.c)
// and the relay are made of json_scan() and friends.  Limits and rules: spec translation 0.3.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define JSON_DEPTH 64      // nesting of decoded values
#define JSON_RAW_DEPTH 512 // nesting inside raw values

enum json_type {
    JSON_NONE, // absent
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

// One value inside a text: where it stands.
struct json_slice {
    enum json_type type;
    const char *at;
    size_t len; // a string's slice includes its quotes
};

struct json_error {
    const char *message; // static text
    size_t offset;       // in bytes
};

// What json_skip() and json_check() demand.
enum {
    JSON_STRICT_UTF8 = 1, // invalid UTF-8 is an error (text from clients)
    JSON_UNIQUE = 2       // a peeked name given twice is an error (text from clients)
};

// Checks that the whole text is one JSON value.  False fills `error`.
bool json_check(const char *text, size_t len, unsigned flags, struct json_error *error);

// Reads several top-level members of an object in one pass over the text, which is checked whole.
// `out[i]` gets the slice of `names[i]`, JSON_NONE when absent.  False fills `error` (not JSON, not
// an object, or with JSON_UNIQUE a wanted name given twice).
bool json_members(const char *text, size_t len, const char *const *names, size_t count,
                  struct json_slice *out, unsigned flags, struct json_error *error);

// One step of a path: a member name, or with `name` NULL an element index from 0.
struct json_step {
    const char *name;
    size_t name_len;
    size_t index;
};

// Finds the value at a path.  Stops as soon as it is found: the rest is not checked.  JSON_NONE
// when there is none or the text is malformed before it.
struct json_slice json_find(const char *text, size_t len, const struct json_step *path,
                            size_t steps);

// Appends the decoded content of a string slice (quotes and escapes undone, a lone surrogate
// becomes U+FFFD).  False when it is not a valid string.
bool json_unquote(struct buf *out, const char *at, size_t len);

// Appends text as a JSON string with quotes.  Invalid UTF-8 becomes U+FFFD; nothing but the
// characters that must be is escaped.
bool json_quote(struct buf *out, const char *text, size_t len);

// Writes `text` to `out` with the value at `path` replaced by `raw` (inserted when the last step
// is missing and its parent exists; removed with its comma when `raw` is NULL).  All other bytes
// stay.  False when the text is malformed or the parent is missing.
bool json_splice(struct buf *out, const char *text, size_t len, const struct json_step *path,
                 size_t steps, const char *raw, size_t raw_len, struct json_error *error);
