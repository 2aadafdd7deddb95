#include "config/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 8000

struct arena_block {
    struct arena_block *next;
    alignas(max_align_t) char bytes[];
};

void *arena_alloc(struct arena *a, size_t size)
{
    void *p;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (!a->blocks || size > a->size - a->used) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct arena_block *block = calloc(1, sizeof(*block) + room);

        if (!block)
            return NULL;
        block->next = a->blocks;
        a->blocks = block;
        a->used = 0;
        a->size = room;
    }
    p = a->blocks->bytes + a->used;
    a->used += size;
    return p;
}

char *arena_text(struct arena *a, const char *text, size_t len)
{
    char *copy = arena_alloc(a, len + 1);

    if (copy && len > 0)
        memcpy(copy, text, len);
    return copy;
}

void arena_free(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *block = a->blocks;

        a->blocks = block->next;
        free(block);
    }
    *a = (struct arena){0};
}
