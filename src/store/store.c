#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"

enum { KEYS_DEFAULT = 1000000, SWEEP_EVERY = 4096 };

struct entry {
    struct store_value value; // a string's text stands behind the struct
    double expires;           // clock_mono(), 0 for never
};

struct store {
    pthread_mutex_t lock;
    struct map map;
    size_t max_keys;
    size_t writes; // since the last sweep
};

struct store *store_new(size_t max_keys)
{
    struct store *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    map_init(&s->map);
    s->max_keys = max_keys ? max_keys : KEYS_DEFAULT;
    return s;
}

void store_free(struct store *s)
{
    const struct map_entry *e;
    size_t pos = 0;

    if (!s)
        return;
    while ((e = map_next(&s->map, &pos)))
        free(e->value);
    map_deinit(&s->map);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static bool expired(const struct entry *e, double now)
{
    return e->expires > 0 && e->expires <= now;
}

// The live entry of a key, or NULL.  An expired one is removed on the way.
static struct entry *find(struct store *s, const char *key, size_t len)
{
    struct entry *e = map_get(&s->map, key, len);

    if (!e || !expired(e, clock_mono()))
        return e;
    free(map_remove(&s->map, key, len));
    return NULL;
}

// The key that expires first; of those that never do, any.
static const struct map_entry *next_to_go(const struct store *s)
{
    const struct map_entry *m, *first = NULL;
    size_t pos = 0;

    while ((m = map_next(&s->map, &pos))) {
        const struct entry *e = m->value, *best = first ? first->value : NULL;

        if (!best || (e->expires > 0 && (best->expires == 0 || e->expires < best->expires)))
            first = m;
    }
    return first;
}

static void remove_entry(struct store *s, const struct map_entry *m)
{
    struct entry *e = m->value;

    map_remove(&s->map, m->key, m->key_len);
    free(e);
}

// Removes what has expired; when that is nothing and the store is full, what would expire first.
static void sweep(struct store *s)
{
    const struct map_entry *m;
    size_t pos = 0, before = s->map.count;

    s->writes = 0;
    while ((m = map_next(&s->map, &pos))) {
        if (!expired(m->value, clock_mono()))
            continue;
        remove_entry(s, m);
        pos--; // another entry may have moved into the hole
    }
    if (s->map.count == before && before >= s->max_keys && (m = next_to_go(s)))
        remove_entry(s, m);
}

static bool put(struct store *s, const char *key, size_t key_len, const struct store_value *value,
                double ttl)
{
    size_t len = value->type == STORE_STRING ? value->len : 0;
    struct entry *e = malloc(sizeof(*e) + len + 1);
    void *old;

    if (!e)
        return false;
    e->value = *value;
    e->expires = ttl > 0 ? clock_mono() + ttl : 0;
    if (value->type == STORE_STRING) {
        char *text = (char *)(e + 1);

        memcpy(text, value->text, len);
        text[len] = '\0';
        e->value.text = text;
    }
    if (s->map.count >= s->max_keys || ++s->writes >= SWEEP_EVERY)
        sweep(s);
    if (!map_set(&s->map, key, key_len, e, &old)) {
        free(e);
        return false;
    }
    free(old);
    return true;
}

bool store_set(struct store *s, const char *key, size_t key_len, const struct store_value *value,
               double ttl)
{
    bool ok;

    pthread_mutex_lock(&s->lock);
    ok = put(s, key, key_len, value, ttl);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

bool store_get(struct store *s, const char *key, size_t key_len, struct store_value *value,
               struct buf *text, double *ttl)
{
    const struct entry *e;
    bool found;

    *value = (struct store_value){0};
    pthread_mutex_lock(&s->lock);
    e = find(s, key, key_len);
    found = e;
    if (e) {
        *value = e->value;
        if (ttl)
            *ttl = e->expires > 0 ? e->expires - clock_mono() : 0;
        if (e->value.type == STORE_STRING)
            found = buf_append(text, e->value.text, e->value.len);
    }
    pthread_mutex_unlock(&s->lock);
    if (found && value->type == STORE_STRING)
        value->text = text->len ? text->data : "";
    if (!found)
        *value = (struct store_value){0};
    return found;
}

int64_t store_add(struct store *s, const char *key, size_t key_len, int64_t delta, double ttl)
{
    struct store_value value = {.type = STORE_INTEGER, .integer = delta};
    struct entry *e;

    pthread_mutex_lock(&s->lock);
    e = find(s, key, key_len);
    if (e && e->value.type == STORE_INTEGER) {
        e->value.integer = (int64_t)((uint64_t)e->value.integer + (uint64_t)delta);
        value.integer = e->value.integer;
    } else {
        put(s, key, key_len, &value, ttl);
    }
    pthread_mutex_unlock(&s->lock);
    return value.integer;
}

bool store_claim(struct store *s, const char *key, size_t key_len, const struct store_value *value,
                 double ttl)
{
    bool claimed;

    pthread_mutex_lock(&s->lock);
    claimed = !find(s, key, key_len) && put(s, key, key_len, value, ttl);
    pthread_mutex_unlock(&s->lock);
    return claimed;
}

bool store_delete(struct store *s, const char *key, size_t key_len)
{
    void *old;

    pthread_mutex_lock(&s->lock);
    old = map_remove(&s->map, key, key_len);
    pthread_mutex_unlock(&s->lock);
    free(old);
    return old;
}

size_t store_keys(struct store *s, const char *prefix, size_t prefix_len, struct buf *out)
{
    const struct map_entry *m;
    size_t pos = 0, count = 0;

    pthread_mutex_lock(&s->lock);
    while ((m = map_next(&s->map, &pos))) {
        if (m->key_len < prefix_len || memcmp(m->key, prefix, prefix_len) != 0 ||
            expired(m->value, clock_mono()))
            continue;
        if (!buf_append(out, m->key, m->key_len + 1))
            break;
        count++;
    }
    pthread_mutex_unlock(&s->lock);
    return count;
}

size_t store_count(struct store *s)
{
    size_t n;

    pthread_mutex_lock(&s->lock);
    n = s->map.count;
    pthread_mutex_unlock(&s->lock);
    return n;
}
