// store.h - the shared store: what outlives a request and a generation, in memory.
//
// Key/value with expiry, counters, and single flight, shared by all threads.  Values are small
// (strings, numbers, booleans); the number of keys has a maximum: what expires first makes room for
// a new key.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct store;

enum store_type { STORE_NONE, STORE_BOOLEAN, STORE_INTEGER, STORE_NUMBER, STORE_STRING };

struct store_value {
    enum store_type type;
    bool boolean;
    int64_t integer;
    double number;
    const char *text;
    size_t len;
};

// `max_keys`: 0 for 1,000,000.
struct store *store_new(size_t max_keys);
void store_free(struct store *s);

// Sets a value (copied) for `ttl` seconds, 0 for ever.  False without memory.
bool store_set(struct store *s, const char *key, size_t key_len, const struct store_value *value,
               double ttl);

// Reads a value; a string is appended to `text` and value->text points there.  False and STORE_NONE
// when the key is absent or expired, or the string does not fit.  `*ttl` (may be NULL) gets the
// seconds left, 0 for ever.
bool store_get(struct store *s, const char *key, size_t key_len, struct store_value *value,
               struct buf *text, double *ttl);

// Adds to an integer (created as 0 with `ttl`; an existing one keeps its expiry); the new value.
int64_t store_add(struct store *s, const char *key, size_t key_len, int64_t delta, double ttl);

// Sets only when absent; true when this call did it.
bool store_claim(struct store *s, const char *key, size_t key_len, const struct store_value *value,
                 double ttl);

// False when the key was absent or expired.
bool store_delete(struct store *s, const char *key, size_t key_len);

// Appends the live keys that begin with `prefix`, each followed by a NUL.  Returns their number.
size_t store_keys(struct store *s, const char *prefix, size_t prefix_len, struct buf *out);

// Keys held, expired ones not yet swept included.
size_t store_count(struct store *s);
