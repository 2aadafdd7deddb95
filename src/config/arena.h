// arena.h - memory that is freed all at once: what one config is made of.

#pragma once

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used, size; // of the newest block
};

// Zeroed, aligned for any type; NULL without memory.
void *arena_alloc(struct arena *a, size_t size);

// A copy with a NUL behind it.
char *arena_text(struct arena *a, const char *text, size_t len);

void arena_free(struct arena *a);
