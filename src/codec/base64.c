#include "codec/base64.h"

#include <stdint.h>

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool base64_encode(struct buf *out, const void *bytes, size_t n, bool url)
{
    const char *digits = url ? for_urls : standard;
    const unsigned char *in = bytes;
    size_t rest = n % 3, written = n / 3 * 4 + (rest == 0 ? 0 : url ? rest + 1 : 4), i = 0;
    char *to = n < SIZE_MAX / 2 ? buf_reserve(out, written) : NULL;

    if (!to)
        return false;
    for (; i + 3 <= n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];

        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = digits[v >> 6 & 63];
        *to++ = digits[v & 63];
    }
    if (rest > 0) {
        uint32_t v = (uint32_t)in[i] << 16 | (rest > 1 ? (uint32_t)in[i + 1] << 8 : 0);

        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        if (rest > 1)
            *to++ = digits[v >> 6 & 63];
        for (size_t k = rest; !url && k < 3; k++)
            *to++ = '=';
    }
    buf_commit(out, written);
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
    size_t written = 0;
    char *to;

    for (int padding = 0; padding < 2 && n > 0 && text[n - 1] == '='; padding++)
        n--;
    to = n % 4 == 1 ? NULL : buf_reserve(out, n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0));
    if (!to)
        return false;
    for (size_t i = 0; i < n; i++) {
        int d = digit(text[i]);

        if (d < 0)
            return false;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            to[written++] = (char)(v >> bits);
        }
    }
    buf_commit(out, written);
    return true;
}
