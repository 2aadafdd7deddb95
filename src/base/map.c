#include "base/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// FNV-1a over a random seed, finished by a 64-bit mix: short keys, few of them.
static uint64_t hash_bytes(uint64_t seed, const char *key, size_t len)
{
    uint64_t h = seed ^ 0xcbf29ce484222325u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)key[i]) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

void map_init(struct map *m)
{
    *m = (struct map){0};
    if (getrandom(&m->seed, sizeof(m->seed), GRND_NONBLOCK) < 0)
        m->seed = (uint64_t)(uintptr_t)m;
}

void map_deinit(struct map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        free(m->slots[i].key);
    free(m->slots);
    *m = (struct map){.seed = m->seed};
}

// The slot that holds the key, or the free one where it would go.
static struct map_entry *find(const struct map *m, uint64_t hash, const char *key, size_t len)
{
    size_t i = hash & (m->cap - 1);

    for (;; i = (i + 1) & (m->cap - 1)) {
        struct map_entry *e = &m->slots[i];

        if (!e->key)
            return e;
        if (e->hash == hash && e->key_len == len && memcmp(e->key, key, len) == 0)
            return e;
    }
}

static bool grow(struct map *m)
{
    struct map bigger = *m;

    bigger.cap = m->cap ? m->cap * 2 : 16;
    bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < m->cap; i++) {
        struct map_entry *e = &m->slots[i];

        if (e->key)
            *find(&bigger, e->hash, e->key, e->key_len) = *e;
    }
    free(m->slots);
    *m = bigger;
    return true;
}

const struct map_entry *map_find(const struct map *m, const char *key, size_t len)
{
    const struct map_entry *e;

    if (m->count == 0)
        return NULL;
    e = find(m, hash_bytes(m->seed, key, len), key, len);
    return e->key ? e : NULL;
}

void *map_get(const struct map *m, const char *key, size_t len)
{
    const struct map_entry *e = map_find(m, key, len);

    return e ? e->value : NULL;
}

bool map_set(struct map *m, const char *key, size_t len, void *value, void **old)
{
    uint64_t hash = hash_bytes(m->seed, key, len);
    struct map_entry *e;

    if (old)
        *old = NULL;
    if ((m->count + 1) * 4 > m->cap * 3 && !grow(m))
        return false;
    e = find(m, hash, key, len);
    if (!e->key) {
        char *copy = malloc(len + 1);

        if (!copy)
            return false;
        memcpy(copy, key, len);
        copy[len] = '\0';
        *e = (struct map_entry){.key = copy, .key_len = len, .hash = hash};
        m->count++;
    } else if (old) {
        *old = e->value;
    }
    e->value = value;
    return true;
}

void *map_remove(struct map *m, const char *key, size_t len)
{
    struct map_entry *e;
    size_t hole;
    void *value;

    if (m->count == 0)
        return NULL;
    e = find(m, hash_bytes(m->seed, key, len), key, len);
    if (!e->key)
        return NULL;
    value = e->value;
    free(e->key);
    *e = (struct map_entry){0};
    m->count--;
    // Close the hole: entries behind it that probed over it move up.
    hole = (size_t)(e - m->slots);
    for (size_t i = (hole + 1) & (m->cap - 1); m->slots[i].key; i = (i + 1) & (m->cap - 1)) {
        size_t home = m->slots[i].hash & (m->cap - 1);

        if (((i - home) & (m->cap - 1)) >= ((i - hole) & (m->cap - 1))) {
            m->slots[hole] = m->slots[i];
            m->slots[i] = (struct map_entry){0};
            hole = i;
        }
    }
    return value;
}

const struct map_entry *map_next(const struct map *m, size_t *pos)
{
    while (*pos < m->cap) {
        const struct map_entry *e = &m->slots[(*pos)++];

        if (e->key)
            return e;
    }
    return NULL;
}
