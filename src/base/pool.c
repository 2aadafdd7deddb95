#include "base/pool.h"

#include <stdlib.h>

enum { SLAB_HEAD = 64 };

_Static_assert(sizeof(struct pool_slab) <= SLAB_HEAD, "the head of a slab");

void pool_init(struct pool *p)
{
    *p = (struct pool){0};
}

static struct pool_slab **place_of(struct pool *p, unsigned size)
{
    return &p->open[size / POOL_STEP - 1];
}

static void link_slab(struct pool *p, struct pool_slab *slab)
{
    struct pool_slab **first = place_of(p, slab->size);

    slab->before = NULL;
    slab->next = *first;
    if (*first)
        (*first)->before = slab;
    *first = slab;
    slab->is_open = true;
}

static void unlink_slab(struct pool *p, struct pool_slab *slab)
{
    if (slab->before)
        slab->before->next = slab->next;
    else
        *place_of(p, slab->size) = slab->next;
    if (slab->next)
        slab->next->before = slab->before;
    slab->is_open = false;
}

static void free_slab(struct pool *p, struct pool_slab *slab)
{
    free(slab);
    p->slabs--;
}

void pool_trim(struct pool *p)
{
    while (p->spare) {
        struct pool_slab *slab = p->spare;

        p->spare = slab->next;
        free_slab(p, slab);
    }
    p->spares = 0;
}

void pool_deinit(struct pool *p)
{
    pool_trim(p);
    for (size_t i = 0; i < sizeof(p->open) / sizeof(p->open[0]); i++) {
        while (p->open[i]) {
            struct pool_slab *slab = p->open[i];

            unlink_slab(p, slab);
            free_slab(p, slab);
        }
    }
}

// Takes an empty slab out of use.
static void drop_slab(struct pool *p, struct pool_slab *slab)
{
    unlink_slab(p, slab);
    if (p->spares == POOL_SPARE_MAX) {
        free_slab(p, slab);
        return;
    }
    slab->next = p->spare;
    p->spare = slab;
    p->spares++;
}

static struct pool_slab *new_slab(struct pool *p, unsigned size)
{
    struct pool_slab *slab = p->spare;

    if (slab) {
        p->spare = slab->next;
        p->spares--;
    } else {
        slab = aligned_alloc(POOL_SLAB_SIZE, POOL_SLAB_SIZE);
        if (!slab)
            return NULL;
        p->slabs++;
    }
    *slab = (struct pool_slab){.fresh = SLAB_HEAD, .size = size};
    link_slab(p, slab);
    return slab;
}

static unsigned rounded(size_t size)
{
    return (unsigned)((size + POOL_STEP - 1) / POOL_STEP * POOL_STEP);
}

static void *take(struct pool *p, size_t wanted)
{
    unsigned size = rounded(wanted);
    struct pool_slab *slab = *place_of(p, size);
    void *block;

    if (!slab && !(slab = new_slab(p, size)))
        return NULL;
    block = slab->free;
    if (block) {
        memcpy(&slab->free, block, sizeof(slab->free));
    } else {
        block = (char *)slab + slab->fresh;
        slab->fresh += size;
    }
    slab->live++;
    if (!slab->free && slab->fresh + size > POOL_SLAB_SIZE)
        unlink_slab(p, slab);
    return block;
}

static void give_back(struct pool *p, void *block)
{
    struct pool_slab *slab = pool_slab_of(block);

    memcpy(block, &slab->free, sizeof(slab->free));
    slab->free = block;
    slab->live--;
    if (!slab->is_open)
        link_slab(p, slab);
    // One stays, so that a single block on the edge does not go to the system and back.
    if (slab->live == 0 && (slab->next || slab->before))
        drop_slab(p, slab);
}

void *pool_take_slowly(struct pool *p, size_t size)
{
    return size <= POOL_MAX ? take(p, size) : malloc(size);
}

void pool_give_slowly(struct pool *p, void *block, size_t size)
{
    if (size <= POOL_MAX)
        give_back(p, block);
    else
        free(block);
}

void *pool_resize(struct pool *p, void *block, size_t old_size, size_t size)
{
    void *fresh;

    if (!block || old_size == 0)
        return size == 0 ? NULL : pool_take(p, size);
    if (size == 0) {
        pool_give(p, block, old_size);
        return NULL;
    }
    if (old_size > POOL_MAX && size > POOL_MAX)
        return realloc(block, size);
    if (old_size <= POOL_MAX && size <= POOL_MAX && rounded(old_size) == rounded(size))
        return block;
    fresh = pool_take(p, size);
    if (!fresh)
        return NULL;
    memcpy(fresh, block, old_size < size ? old_size : size);
    pool_give(p, block, old_size);
    return fresh;
}
