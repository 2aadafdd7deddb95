// pool.h - memory for many small blocks that come and go, of one thread.
//
// Blocks are cut from slabs of one size each and go back to theirs.  One empty slab of each size
// stays, and some more for any size, so that what is collected between two requests does not go to
// the system and back; pool_trim() gives those up.  The caller knows the size of each block, so
// there is nothing around it.  Larger blocks come from malloc.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { POOL_STEP = 16, POOL_MAX = 256, POOL_SPARE_MAX = 64 };

// A slab starts at a multiple of its size, so that a block tells where its slab is.
enum { POOL_SLAB_SIZE = 16 * 1024 };

struct pool_slab {
    struct pool_slab *next, *before; // among the open ones of its size
    void *free;                      // blocks that came back, each with the next in it
    unsigned fresh;                  // offset of what was never given out
    unsigned live;
    unsigned size; // of its blocks
    bool is_open;
};

struct pool {
    struct pool_slab *open[POOL_MAX / POOL_STEP]; // slabs with free blocks, by size
    struct pool_slab *spare;                      // empty ones, of no size yet
    size_t spares;                                // at most POOL_SPARE_MAX
    size_t slabs;                                 // all of them
};

void pool_init(struct pool *p);

// Frees what is left of it; no block may be in use.
void pool_deinit(struct pool *p);

// Frees the spare slabs.
void pool_trim(struct pool *p);

// Like realloc(), with the size the block had: NULL, 0 allocates; size 0 frees and gives NULL.
void *pool_resize(struct pool *p, void *block, size_t old_size, size_t size);

// What pool_take() and pool_give() do when it is not only a block that moves.
void *pool_take_slowly(struct pool *p, size_t size);
void pool_give_slowly(struct pool *p, void *block, size_t size);

static inline struct pool_slab *pool_slab_of(void *block)
{
    return (struct pool_slab *)((uintptr_t)block & ~(uintptr_t)(POOL_SLAB_SIZE - 1));
}

// The two common cases of pool_resize(): a new block, and the end of one.  No size is 0.
static inline void *pool_take(struct pool *p, size_t size)
{
    struct pool_slab *slab = size <= POOL_MAX ? p->open[(size - 1) / POOL_STEP] : NULL;
    void *block = slab ? slab->free : NULL, *next;

    if (!block)
        return pool_take_slowly(p, size);
    memcpy(&next, block, sizeof(next));
    if (!next) // it may be the last one
        return pool_take_slowly(p, size);
    slab->free = next;
    slab->live++;
    return block;
}

static inline void pool_give(struct pool *p, void *block, size_t size)
{
    struct pool_slab *slab = pool_slab_of(block);

    if (size > POOL_MAX || !slab->is_open || slab->live == 1) {
        pool_give_slowly(p, block, size);
        return;
    }
    memcpy(block, &slab->free, sizeof(slab->free));
    slab->free = block;
    slab->live--;
}
