// json_text.c - strings and numbers, from and to their text, see json.h.

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json_scan.h"

#define REPLACEMENT "\xef\xbf\xbd" // U+FFFD

// --- strings -------------------------------------------------------------------------------------

// Decodes what stands at `p`, which is not a plain run.  The room for its at most 4 bytes is there.
static const char *unquote_special(struct buf *out, const char *p, const char *end)
{
    char bytes[4];
    size_t n, used;

    if (*p == '\\') {
        n = json_unescape(p, end, bytes, &used);
        if (n == 0)
            return NULL;
    } else if ((unsigned char)*p >= 0x80) {
        n = used = json_utf8_length(p, end);
        if (n == 0)
            used = 1, n = 3;
        memcpy(bytes, used == 1 ? REPLACEMENT : p, n);
    } else {
        return NULL;
    }
    return buf_append(out, bytes, n) ? p + used : NULL;
}

bool json_unquote(struct buf *out, const char *at, size_t len)
{
    const char *p = at + 1, *end = at + len - 1;

    if (len < 2 || *at != '"' || *end != '"' || !buf_reserve(out, len))
        return false;
    while (p < end) {
        const char *run = json_plain_run(p, end);

        if (!buf_append(out, p, (size_t)(run - p)))
            return false;
        if (run == end)
            break;
        p = unquote_special(out, run, end);
        if (!p)
            return false;
    }
    return true;
}

// The escaped form of a byte that may not stand in a string; its length.
static size_t escape(char *out, char c)
{
    static const char short_forms[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    out[0] = '\\';
    for (const char *p = short_forms; *p; p += 2)
        if (*p == c) {
            out[1] = p[1];
            return 2;
        }
    memcpy(out + 1, "u00", 3);
    out[4] = c & 0x10 ? '1' : '0';
    out[5] = "0123456789abcdef"[c & 0xf];
    return 6;
}

static bool quote_special(struct buf *out, const char **at, const char *end)
{
    const char *p = *at;
    char bytes[6];
    size_t n;

    if ((unsigned char)*p < 0x80) {
        *at = p + 1;
        return buf_append(out, bytes, escape(bytes, *p));
    }
    // A whole run of well-formed sequences is copied at once.
    while (p < end && (unsigned char)*p >= 0x80 && (n = json_utf8_length(p, end)) > 0)
        p += n;
    if (p > *at) {
        const char *from = *at;

        *at = p;
        return buf_append(out, from, (size_t)(p - from));
    }
    *at = p + 1;
    return buf_append(out, REPLACEMENT, 3);
}

bool json_quote(struct buf *out, const char *text, size_t len)
{
    const char *p = text, *end = text + len;

    if (len > SIZE_MAX - 2 || !buf_reserve(out, len + 2))
        return false;
    buf_putc(out, '"');
    while (p < end) {
        const char *run = json_plain_run(p, end);

        if (!buf_append(out, p, (size_t)(run - p)))
            return false;
        for (p = run; p < end && (*p == '"' || *p == '\\' || (unsigned char)*p < ' ' ||
                                  (unsigned char)*p >= 0x80);)
            if (!quote_special(out, &p, end))
                return false;
    }
    return buf_putc(out, '"');
}

bool json_repair(struct buf *out, const char *text, size_t len)
{
    const char *p = text, *end = text + len;

    while (p < end) {
        const char *from = p;
        size_t n = 1;

        while (p < end && ((unsigned char)*p < 0x80 || (n = json_utf8_length(p, end)) > 0)) {
            p += n;
            n = 1;
        }
        if (!buf_append(out, from, (size_t)(p - from)))
            return false;
        if (p < end) {
            p++;
            if (!buf_append(out, REPLACEMENT, 3))
                return false;
        }
    }
    return true;
}

// --- numbers -------------------------------------------------------------------------------------

static bool parse_integer(const char *p, const char *end, int64_t *out)
{
    bool negative = *p == '-';
    uint64_t value = 0, limit = negative ? UINT64_C(1) << 63 : INT64_MAX;

    p += negative;
    if (end - p > 19)
        return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    // An integer has no negative zero; as a float it survives.
    if (value > limit || (negative && value == 0))
        return false;
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static bool parse_real(const char *at, size_t len, double *out)
{
    char local[64], *copy = len < sizeof(local) ? local : malloc(len + 1);

    if (!copy)
        return false;
    memcpy(copy, at, len);
    copy[len] = '\0';
    *out = strtod(copy, NULL);
    if (copy != local)
        free(copy);
    return isfinite(*out);
}

enum json_number json_number_parse(const char *at, size_t len, int64_t *integer, double *real)
{
    if (len == 0)
        return JSON_TOO_LARGE;
    if (parse_integer(at, at + len, integer))
        return JSON_INTEGER;
    return parse_real(at, len, real) ? JSON_REAL : JSON_TOO_LARGE;
}

size_t json_integer_format(char out[JSON_NUMBER_SIZE], int64_t value)
{
    char digits[20];
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t n = 0, len = 0;

    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        out[len++] = '-';
    while (n)
        out[len++] = digits[--n];
    return len;
}

size_t json_real_format(char out[JSON_NUMBER_SIZE], double value)
{
    int n = 0;

    if (!isfinite(value))
        return 0;
    // Exact up to 2^53, and upstreams that want an integer take it.
    if (fabs(value) < 9007199254740992.0 && value == (double)(int64_t)value &&
        !(value == 0 && signbit(value)))
        return json_integer_format(out, (int64_t)value);
    // Fifteen digits may be too many only for denormal numbers.
    for (int precision = fabs(value) < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        n = snprintf(out, JSON_NUMBER_SIZE, "%.*g", precision, value);
        if (strtod(out, NULL) == value)
            break;
    }
    // Only when the embedding program has chosen another locale.
    for (int i = 0; i < n; i++)
        if (out[i] == ',')
            out[i] = '.';
    return (size_t)n;
}
