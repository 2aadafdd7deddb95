// map.h - hash map from byte strings to pointers.
//
// Keys are copied, values belong to the caller.  Not safe for several threads.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    char *key; // NULL in a free slot; NUL-terminated copy
    size_t key_len;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_entry *slots;
    size_t cap; // power of two, or 0
    size_t count;
    uint64_t seed; // keys come from clients: an unguessable seed keeps chains short
};

void map_init(struct map *m);

// Frees keys and table, not the values.
void map_deinit(struct map *m);

void *map_get(const struct map *m, const char *key, size_t len);

// The entry itself, or NULL.  It may move with the next change; its key stays where it is.
const struct map_entry *map_find(const struct map *m, const char *key, size_t len);

// Sets; `*old` (if not NULL) gets the value that was replaced, or NULL.  False without memory.
bool map_set(struct map *m, const char *key, size_t len, void *value, void **old);

// Removes and returns the value, or NULL.
void *map_remove(struct map *m, const char *key, size_t len);

// Iterates: start with *pos = 0, NULL at the end.  The map must not change meanwhile.
const struct map_entry *map_next(const struct map *m, size_t *pos);
