#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
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

char *buf_reserve(struct buf *b, size_t n)
{
    // One byte more than asked for, so that buf_cstr() never has to allocate.
    if (n > b->max - b->len)
        goto refuse;
    if (!b->data || b->start + b->len + n + 1 > b->cap) {
        char *base = b->data ? b->data - b->start : NULL;

        if (base && b->start >= b->cap / 2 && b->len + n + 1 <= b->cap) {
            memmove(base, b->data, b->len);
        } else {
            size_t cap = b->cap ? b->cap : 64;
            char *fresh;

            while (cap < b->len + n + 1)
                cap *= 2;
            fresh = b->start ? malloc(cap) : realloc(base, cap);
            if (!fresh)
                goto refuse;
            if (b->start) {
                memcpy(fresh, b->data, b->len);
                free(base);
            }
            base = fresh;
            b->cap = cap;
        }
        b->data = base;
        b->start = 0;
    }
    return b->data + b->len;

refuse:
    b->overflow = true;
    return NULL;
}

void buf_commit(struct buf *b, size_t n)
{
    assert(b->start + b->len + n < b->cap);
    b->len += n;
}

bool buf_append(struct buf *b, const void *bytes, size_t n)
{
    char *to;

    if (n == 0)
        return true;
    to = buf_reserve(b, n);
    if (!to)
        return false;
    memcpy(to, bytes, n);
    b->len += n;
    return true;
}

bool buf_puts(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

bool buf_putc(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}

bool buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    char *to;
    int n;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0)
        return false;
    to = buf_reserve(b, (size_t)n + 1);
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
