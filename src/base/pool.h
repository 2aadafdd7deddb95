// pool.h - memory for many small blocks that come and go, of one thread.
//
// Blocks are cut from slabs of one size each and go back to theirs.  One empty slab of each size
// stays, and some more for any size, so that what is collected between two requests does not go to
// the system and back; pool_trim() gives those up.  The caller knows the size of each block, so
// there is nothing around it.  Larger blocks come from malloc.

#pragma once

#include <stddef.h>

enum { POOL_STEP = 16, POOL_MAX = 256, POOL_SPARE_MAX = 64 };

struct pool_slab;

struct pool {
    struct pool_slab *open[POOL_MAX / POOL_STEP]; // slabs with free blocks, by size
    struct pool_slab *spare; // empty ones, of no size yet
    size_t spares;           // at most POOL_SPARE_MAX
    size_t slabs;            // all of them
};

void pool_init(struct pool *p);

// Frees what is left of it; no block may be in use.
void pool_deinit(struct pool *p);

// Frees the spare slabs.
void pool_trim(struct pool *p);

// Like realloc(), with the size the block had: NULL, 0 allocates; size 0 frees and gives NULL.
void *pool_resize(struct pool *p, void *block, size_t old_size, size_t size);
