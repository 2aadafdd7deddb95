// websocket_frames.h - frames as a client writes them, for tests: masked, and broken at will.

#pragma once

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

// Appends a frame: `first` is the first byte (0x81: a whole text message).
static inline void frame_put(struct buf *out, unsigned first, const void *payload, size_t n)
{
    static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
    const unsigned char *from = payload;

    buf_putc(out, (char)first);
    if (n < 126) {
        buf_putc(out, (char)(0x80 | n));
    } else if (n < 65536) {
        buf_putc(out, (char)(0x80 | 126));
        buf_putc(out, (char)(n >> 8));
        buf_putc(out, (char)n);
    } else {
        buf_putc(out, (char)(0x80 | 127));
        for (int shift = 56; shift >= 0; shift -= 8)
            buf_putc(out, (char)((uint64_t)n >> shift));
    }
    buf_append(out, key, 4);
    for (size_t i = 0; i < n; i++)
        buf_putc(out, (char)(from[i] ^ key[i & 3]));
}

static inline void frame_text(struct buf *out, const char *text)
{
    frame_put(out, 0x81, text, strlen(text));
}
