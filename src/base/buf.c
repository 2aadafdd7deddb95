#include "base/buf.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRINT_FIRST = 128 }; // bytes

#define MAX_LARGEST (SIZE_MAX / 8) // sums of sizes cannot overflow

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max < MAX_LARGEST ? max : MAX_LARGEST};
}

void buf_deinit(struct buf *b)
{
    if (b->data)
        free(b->data - b->start);
    buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
    if (b->data)
        b->data -= b->start;
    b->start = 0;
    b->len = 0;
    b->overflow = false;
}

// Makes the memory hold `need` bytes from `data` on.  False without memory.
static bool grow(struct buf *b, size_t need)
{
    char *base = b->data ? b->data - b->start : NULL, *fresh;
    size_t cap = b->cap ? b->cap : 64;

    // Moving what is left to the front is cheap once more than that was consumed.  Else a larger
    // buffer makes such moves rare, until it is as large as the maximum asks for.
    if (base && need <= cap && (b->start >= b->len || cap > b->max)) {
        memmove(base, b->data, b->len);
        fresh = base;
    } else {
        while (cap < need || (cap < b->start + need && cap <= b->max))
            cap *= 2;
        fresh = b->start ? malloc(cap) : realloc(base, cap);
        if (!fresh)
            return false;
        if (b->start) {
            memcpy(fresh, b->data, b->len);
            free(base);
        }
        b->cap = cap;
    }
    b->data = fresh;
    b->start = 0;
    return true;
}

char *buf_reserve_more(struct buf *b, size_t n)
{
    if (n <= b->max - b->len && grow(b, b->len + n + 1))
        return b->data + b->len;
    b->overflow = true;
    return NULL;
}

void buf_commit(struct buf *b, size_t n)
{
    assert(b->start + b->len + n < b->cap);
    b->len += n;
}

bool buf_vprintf(struct buf *b, const char *format, va_list args)
{
    // Most texts are short: the first try has room for them.
    size_t room = b->max - b->len < PRINT_FIRST ? b->max - b->len : PRINT_FIRST;
    va_list again;
    char *to;
    int n;

    to = buf_reserve(b, room);
    if (!to)
        return false;
    va_copy(again, args);
    n = vsnprintf(to, room + 1, format, again);
    va_end(again);
    if (n < 0)
        return false;
    if ((size_t)n <= room) {
        b->len += (size_t)n;
        return true;
    }
    to = buf_reserve(b, (size_t)n);
    if (!to)
        return false;
    vsnprintf(to, (size_t)n + 1, format, args);
    b->len += (size_t)n;
    return true;
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    bool ok;

    va_start(args, format);
    ok = buf_vprintf(b, format, args);
    va_end(args);
    return ok;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->len);
    b->len -= n;
    if (!b->data)
        return;
    if (b->len == 0) {
        b->data -= b->start;
        b->start = 0;
        return;
    }
    b->data += n;
    b->start += n;
}

const char *buf_cstr(struct buf *b)
{
    char *end = buf_reserve(b, 0);

    if (!end)
        return NULL;
    *end = '\0';
    return b->data;
}

char *buf_detach(struct buf *b, size_t *len)
{
    char *base;

    if (!buf_cstr(b))
        return NULL;
    base = b->data - b->start;
    if (b->start)
        memmove(base, b->data, b->len + 1);
    if (len)
        *len = b->len;
    *b = (struct buf){.max = b->max};
    return base;
}
