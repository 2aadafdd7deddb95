// buf.h - a growable byte buffer with a maximum, cheap to consume from the front.
//
// Every buffer states its maximum when it is made; growing past it fails and sets `overflow`, so
// a caller may check once after several appends.  The bytes are not terminated by NUL unless
// buf_cstr() is asked for them.

#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct buf {
    char *data;    // first unread byte; NULL while nothing was ever stored
    size_t len;    // unread bytes
    size_t start;  // bytes already consumed in front of `data`
    size_t cap;    // allocated bytes, `start` included
    size_t max;    // largest `len`
    bool overflow; // an append was refused, or memory ran out
};

// Makes an empty buffer that holds at most `max` bytes.  Allocates nothing.
void buf_init(struct buf *b, size_t max);

// Frees the memory; the buffer is empty and usable afterwards.
void buf_deinit(struct buf *b);

// Forgets the content and the overflow mark, keeps the memory.
void buf_clear(struct buf *b);

// What buf_reserve() does when the memory at hand is not enough.
char *buf_reserve_more(struct buf *b, size_t n);

// Makes room for `n` more bytes and returns where they go, or NULL.  Follow with buf_commit().
static inline char *buf_reserve(struct buf *b, size_t n)
{
    // One byte more than asked for: for the NUL of buf_cstr() and of vsnprintf().
    if (n <= b->max - b->len && b->data && b->start + b->len + n < b->cap)
        return b->data + b->len;
    return buf_reserve_more(b, n);
}

void buf_commit(struct buf *b, size_t n);

// Appends; false when that would exceed the maximum (nothing is appended then).
static inline bool buf_append(struct buf *b, const void *bytes, size_t n)
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

static inline bool buf_puts(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

static inline bool buf_putc(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}

bool buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *b, const char *format, va_list args);

// Drops `n` bytes from the front.
void buf_consume(struct buf *b, size_t n);

// The content as a C string that stays valid until the next change, or NULL without memory.
const char *buf_cstr(struct buf *b);

// Hands the memory to the caller (free()); `*len` gets the length, a NUL follows the bytes.
char *buf_detach(struct buf *b, size_t *len);
