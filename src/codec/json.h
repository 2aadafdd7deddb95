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

// Finds the value at a path (the first one where a name is given twice).  Stops as soon as it is
// found: the rest is not checked.  JSON_NONE
// when there is none or the text is malformed before it.
struct json_slice json_find(const char *text, size_t len, const struct json_step *path,
                            size_t steps);

// Appends the decoded content of a string slice (quotes and escapes undone, a lone surrogate
// becomes U+FFFD).  False when it is not a valid string.
bool json_unquote(struct buf *out, const char *at, size_t len);

// Appends text as a JSON string with quotes.  Invalid UTF-8 becomes U+FFFD; nothing but the
// characters that must be is escaped.
bool json_quote(struct buf *out, const char *text, size_t len);

// Appends text with invalid UTF-8 replaced by U+FFFD, all else as it is.
bool json_repair(struct buf *out, const char *text, size_t len);

enum json_number { JSON_TOO_LARGE, JSON_INTEGER, JSON_REAL };

#define JSON_NUMBER_SIZE 32 // room for any formatted number

// Reads a number's slice: an integer when it has neither fraction nor exponent and fits 64 bits
// ("-0" is a float, it would lose its sign), else a float.  JSON_TOO_LARGE beyond the floats (or
// without memory).
enum json_number json_number_parse(const char *at, size_t len, int64_t *integer, double *real);

// Write a number without a NUL and return its length.  A float is written as short as reads back
// the same, without a fraction when it has none (1.0 is `1`, 1e21 is `1e+21`); 0 for NaN and
// infinity.
size_t json_integer_format(char out[JSON_NUMBER_SIZE], int64_t value);
size_t json_real_format(char out[JSON_NUMBER_SIZE], double value);

// Writes `text` to `out` with the value at `path` replaced by `raw` (inserted when the last step
// is missing and its parent exists: a new member or, one behind the last, a new element; removed
// with its comma when `raw` is NULL, which does nothing when it is not there).  All other bytes
// stay.  The whole text is checked, `raw` is not.  No steps replace the whole value.  False when
// the text is malformed, the parent is missing, or a name of the path is given twice in its object.
bool json_splice(struct buf *out, const char *text, size_t len, const struct json_step *path,
                 size_t steps, const char *raw, size_t raw_len, struct json_error *error);
