#include "codec/base64.h"

#include <stdint.h>

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool base64_encode(struct buf *out, const void *bytes, size_t n, bool url)
{
    const char *digits = url ? for_urls : standard;
    const unsigned char *in = bytes;

    for (; n > 0; in += 3) {
        size_t take = n < 3 ? n : 3;
        uint32_t v = (uint32_t)in[0] << 16 | (take > 1 ? (uint32_t)in[1] << 8 : 0) |
                     (take > 2 ? in[2] : 0);
        char quad[4] = {digits[v >> 18], digits[v >> 12 & 63], take > 1 ? digits[v >> 6 & 63] : '=',
                        take > 2 ? digits[v & 63] : '='};

        if (!buf_append(out, quad, url ? take + 1 : 4))
            return false;
        n -= take;
    }
    return true;
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool base64_decode(struct buf *out, const char *text, size_t n)
{
    uint32_t v = 0;
    int bits = 0;

    while (n > 0 && text[n - 1] == '=')
        n--;
    if (n % 4 == 1)
        return false;
    for (size_t i = 0; i < n; i++) {
        int d = digit(text[i]);

        if (d < 0)
            return false;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (!buf_putc(out, (char)(v >> bits)))
                return false;
        }
    }
    return true;
}
