// json_text.c - strings and numbers, from and to their text, see json.h.

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json_scan.h"

#define REPLACEMENT "\xef\xbf\xbd" // U+FFFD

// --- strings -------------------------------------------------------------------------------------

// Where the next bytes go.  The buffer itself is told only when it has to grow and at the end.
// Lives in registers: nothing that is not inlined takes its address.
struct writer {
    struct buf *out;
    char *to, *limit;
};

// A writer at the end of a buffer, with the room that is there; `to` is NULL for an empty buffer.
static inline struct writer writer_of(struct buf *out)
{
    size_t room = out->cap - out->start;
    struct writer w = {out, NULL, NULL};

    // One byte less, for the NUL of buf_cstr().
    if (out->data) {
        w.to = out->data + out->len;
        w.limit = out->data + (room - 1 < out->max ? room - 1 : out->max);
    }
    return w;
}

// The writer with room for `n` more bytes; `to` is NULL when there is none.
static struct writer grown(struct writer w, size_t n)
{
    struct buf *out = w.out;

    if (w.to)
        out->len = (size_t)(w.to - out->data);
    return buf_reserve(out, n) ? writer_of(out) : (struct writer){out, NULL, NULL};
}

static inline bool make_room(struct writer *w, size_t n)
{
    if ((size_t)(w->limit - w->to) < n)
        *w = grown(*w, n);
    return w->to != NULL;
}

static inline void put(struct writer *w, const char *bytes, size_t n)
{
    memcpy(w->to, bytes, n);
    w->to += n;
}

static inline void finish(const struct writer *w)
{
    w->out->len = (size_t)(w->to - w->out->data);
}

// Room that put_plain() needs beyond what it copies.
#define SLACK 16

// Copies the plain run at `p`; up to SLACK bytes behind it are written too, and count for nothing.
static inline const char *put_plain(struct writer *w, const char *p, const char *end)
{
#ifdef __SSE2__
    unsigned n = SLACK;

    while (n == SLACK) {
        size_t left = (size_t)(end - p);
        __m128i v = left >= SLACK ? _mm_loadu_si128((const __m128i *)(const void *)p)
                                  : json_load_rest(p, left);

        // One bit more than there are bytes: a block without specials ends behind them.
        n = (unsigned)__builtin_ctz(json_specials(v) | 1u << SLACK);
        _mm_storeu_si128((__m128i *)(void *)w->to, v);
        w->to += n;
        p += n;
    }
    return p;
#else
    const char *run = json_plain_run(p, end);

    put(w, p, (size_t)(run - p));
    return run;
#endif
}

// Decodes what stands at `p`, which is not a plain run.  Only a replacement is longer than what it
// stands for, so only there may the room run out.
static inline const char *unquote_special(struct writer *w, const char *p, const char *end)
{
    char bytes[4];
    size_t n, used;

    if (*p == '\\') {
        char simple = end - p >= 2 ? json_escapes[(unsigned char)p[1]] : 0;

        if (simple) {
            *w->to++ = simple;
            return p + 2;
        }
        n = json_unescape(p, end, bytes, &used);
        if (n == 0)
            return NULL;
        put(w, bytes, n);
        return p + used;
    }
    if ((unsigned char)*p < 0x80)
        return NULL;
    n = json_utf8_length(p, end);
    if (n == 0) {
        if (!make_room(w, (size_t)(end - p) + 3 + SLACK))
            return NULL;
        put(w, REPLACEMENT, 3);
        return p + 1;
    }
    put(w, p, n);
    return p + n;
}

bool json_unquote(struct buf *out, const char *at, size_t len)
{
    struct writer w = writer_of(out);
    const char *p = at + 1, *end = at + len - 1;

    if (len < 2 || *at != '"' || *end != '"' || !make_room(&w, len + SLACK))
        return false;
    while ((p = put_plain(&w, p, end)) < end) {
        p = unquote_special(&w, p, end);
        if (!p)
            return false;
    }
    finish(&w);
    return true;
}

// Decodes what stands at `p` and is not ASCII.  NULL when it has to be valid and is not.
static inline const char *decode_high(struct json_scan *s, struct writer *w, const char *p)
{
    size_t n = json_utf8_length(p, s->end);

    if (n > 0) {
        put(w, p, n);
        return p + n;
    }
    if (s->flags & JSON_STRICT_UTF8)
        return NULL;
    s->broken_utf8 = true;
    put(w, REPLACEMENT, 3);
    return p + 1;
}

// Decodes on from `p` up to the closing quote and returns where that is; NULL when there is none,
// when something before it is malformed, or (with `w->to` NULL) when the room runs out.
static const char *decode_rest(struct json_scan *s, struct writer *w, const char *p)
{
    enum { SPECIAL_MAX = 4 };

    while (p && make_room(w, SPECIAL_MAX + SLACK + 1)) {
        size_t room = (size_t)(w->limit - w->to) - SPECIAL_MAX - SLACK;
        const char *stop = (size_t)(s->end - p) > room ? p + room : s->end;

        p = put_plain(w, p, stop);
        if (p == s->end)
            return NULL;
        if (p == stop)
            continue;
        if (*p == '"')
            return p;
        p = (unsigned char)*p < 0x80 ? unquote_special(w, p, s->end) : decode_high(s, w, p);
    }
    return NULL;
}

bool json_scan_content(struct json_scan *s, struct buf *scratch, struct json_content *content)
{
    const char *from = s->at + 1, *p = json_plain_run(from, s->end), *closing;
    struct writer w;
    bool plain;
    size_t n;

    // Valid UTF-8 needs no decoding either.
    while (p < s->end && (unsigned char)*p >= 0x80 && (n = json_utf8_length(p, s->end)) > 0)
        p = json_plain_run(p + n, s->end);
    if (p < s->end && *p == '"') {
        *content = (struct json_content){from, (size_t)(p - from)};
        s->at = p + 1;
        return true;
    }
    buf_clear(scratch);
    w = writer_of(scratch);
    if (!make_room(&w, (size_t)(p - from) + SLACK))
        return false;
    put(&w, from, (size_t)(p - from));
    closing = decode_rest(s, &w, p);
    if (!closing) // another look says why
        return w.to && json_scan_string(s, &plain);
    finish(&w);
    *content = (struct json_content){scratch->data, scratch->len};
    s->at = closing + 1;
    return true;
}

// Writes the escaped form of a byte that may not stand in a string.
static inline void escape(struct writer *w, char c)
{
    static const char letters[128] = {
        ['\n'] = 'n', ['"'] = '"',  ['\\'] = '\\', ['\t'] = 't',
        ['\r'] = 'r', ['\b'] = 'b', ['\f'] = 'f',
    };
    char letter = letters[(unsigned char)c];

    *w->to++ = '\\';
    if (letter) {
        *w->to++ = letter;
        return;
    }
    put(w, c & 0x10 ? "u001" : "u000", 4);
    *w->to++ = "0123456789abcdef"[c & 0xf];
}

// Writes what stands at `p`, which is not a plain run.
static inline const char *quote_special(struct writer *w, const char *p, const char *end)
{
    const char *from = p;
    size_t n;

    if (!make_room(w, (size_t)(end - p) + 8 + SLACK))
        return NULL;
    if ((unsigned char)*p < 0x80) {
        escape(w, *p);
        return p + 1;
    }
    while (p < end && (unsigned char)*p >= 0x80 && (n = json_utf8_length(p, end)) > 0)
        p += n;
    if (p == from) {
        put(w, REPLACEMENT, 3);
        return p + 1;
    }
    put(w, from, (size_t)(p - from));
    return p;
}

bool json_quote(struct buf *out, const char *text, size_t len)
{
    struct writer w = writer_of(out);
    const char *p = text, *end = text + len;

    if (len > SIZE_MAX / 2 || !make_room(&w, len + 2 + SLACK))
        return false;
    put(&w, "\"", 1);
    while ((p = put_plain(&w, p, end)) < end) {
        p = quote_special(&w, p, end);
        if (!p)
            return false;
    }
    put(&w, "\"", 1);
    finish(&w);
    return true;
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
