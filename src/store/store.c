#include "store/store.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"

enum { KEYS_DEFAULT = 1000000, FOR_EVER = -1 };

struct entry {
    struct store_value value; // a string's text stands behind the struct
    double expires;           // clock_mono(), 0 for never
    ptrdiff_t place;          // in the heap, or FOR_EVER
    const char *key;          // the map's copy
    size_t key_len;
};

// The entries that expire are also in a heap, the next to expire first: making room costs a few
// steps, however many keys there are.
struct store {
    pthread_mutex_t lock;
    struct map map;
    struct entry **heap;
    size_t heap_len, heap_cap;
    size_t max_keys;
    size_t cursor; // in the map: where to look for one that may go although it never expires
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
    free(s->heap);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

// --- the heap ----------------------------------------------------------------------------------

static void heap_place(struct store *s, size_t at, struct entry *e)
{
    s->heap[at] = e;
    e->place = (ptrdiff_t)at;
}

// Puts an entry where it belongs, starting from the free place `at`.
static void heap_settle(struct store *s, size_t at, struct entry *e)
{
    while (at > 0 && s->heap[(at - 1) / 2]->expires > e->expires) {
        heap_place(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < s->heap_len && s->heap[child + 1]->expires < s->heap[child]->expires)
            child++;
        if (child >= s->heap_len || s->heap[child]->expires >= e->expires)
            break;
        heap_place(s, at, s->heap[child]);
        at = child;
    }
    heap_place(s, at, e);
}

static bool heap_make_room(struct store *s)
{
    size_t cap = s->heap_cap ? s->heap_cap * 2 : 64;
    struct entry **fresh;

    if (s->heap_len < s->heap_cap)
        return true;
    fresh = realloc(s->heap, cap * sizeof(struct entry *));
    if (!fresh)
        return false;
    s->heap = fresh;
    s->heap_cap = cap;
    return true;
}

static void heap_remove(struct store *s, struct entry *e)
{
    struct entry *last;

    if (e->place == FOR_EVER)
        return;
    last = s->heap[--s->heap_len];
    if (last != e)
        heap_settle(s, (size_t)e->place, last);
    e->place = FOR_EVER;
}

// --- entries -----------------------------------------------------------------------------------

static void remove_entry(struct store *s, struct entry *e)
{
    heap_remove(s, e);
    map_remove(&s->map, e->key, e->key_len);
    free(e);
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
    remove_entry(s, e);
    return NULL;
}

// Removes what has expired, and when there is still no room for one more key, what would expire
// first; of those that never do, any.
static void make_room(struct store *s)
{
    double now = clock_mono();

    while (s->heap_len > 0 && expired(s->heap[0], now))
        remove_entry(s, s->heap[0]);
    while (s->map.count >= s->max_keys) {
        const struct map_entry *m = NULL;

        if (s->heap_len == 0 && !(m = map_next(&s->map, &s->cursor))) {
            s->cursor = 0;
            continue;
        }
        remove_entry(s, m ? m->value : s->heap[0]);
    }
}

static struct entry *make_entry(const struct store_value *value, double ttl)
{
    size_t len = value->type == STORE_STRING ? value->len : 0;
    struct entry *e = malloc(sizeof(*e) + len + 1);

    if (!e)
        return NULL;
    *e = (struct entry){.value = *value, .place = FOR_EVER};
    e->expires = ttl > 0 ? clock_mono() + ttl : 0;
    if (value->type == STORE_STRING) {
        char *text = (char *)(e + 1);

        if (len > 0)
            memcpy(text, value->text, len);
        text[len] = '\0';
        e->value.text = text;
    }
    return e;
}

static bool put(struct store *s, const char *key, size_t key_len, const struct store_value *value,
                double ttl)
{
    struct entry *e = make_entry(value, ttl);
    const struct map_entry *m;
    void *old;

    if (!e)
        return false;
    if (!map_find(&s->map, key, key_len))
        make_room(s);
    if ((e->expires > 0 && !heap_make_room(s)) || !map_set(&s->map, key, key_len, e, &old)) {
        free(e);
        return false;
    }
    if (old)
        heap_remove(s, old);
    free(old);
    m = map_find(&s->map, key, key_len);
    e->key = m->key;
    e->key_len = key_len;
    if (e->expires > 0)
        heap_settle(s, s->heap_len++, e);
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
    size_t at = text ? text->len : 0;
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
        value->text = text->len ? text->data + at : "";
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
    struct entry *e;
    bool found;

    pthread_mutex_lock(&s->lock);
    e = find(s, key, key_len);
    found = e;
    if (e)
        remove_entry(s, e);
    pthread_mutex_unlock(&s->lock);
    return found;
}

size_t store_keys(struct store *s, const char *prefix, size_t prefix_len, struct buf *out)
{
    const struct map_entry *m;
    double now = clock_mono();
    size_t pos = 0, count = 0;

    pthread_mutex_lock(&s->lock);
    while ((m = map_next(&s->map, &pos))) {
        if (m->key_len < prefix_len || memcmp(m->key, prefix, prefix_len) != 0 ||
            expired(m->value, now))
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
