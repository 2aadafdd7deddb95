// json_scan.h - the validating scanner under json.h; internal to the codecs and their binding.
//
// A scan walks one complete text.  Functions advance `at`; on failure they return false with
// `message` set and `at` on the offending byte.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "codec/json.h"

struct json_scan {
    const char *at;
    const char *end;
    const char *start;
    unsigned flags;      // JSON_STRICT_UTF8
    bool broken_utf8;    // invalid UTF-8 was passed over (never with JSON_STRICT_UTF8)
    const char *message; // why it failed, static text
};

void json_scan_init(struct json_scan *s, const char *text, size_t len, unsigned flags);

// Any value, `at` on its first byte; nesting up to JSON_RAW_DEPTH.
bool json_scan_value(struct json_scan *s);

// Does what json_scan_string() below does, for strings of any length.
bool json_scan_any_string(struct json_scan *s, bool *plain);

// A string's content: the bytes between the quotes, or decoded in a buffer.
struct json_content {
    const char *at;
    size_t len;
};

// Takes a string as json_scan_string() does and gives its content as json_unquote() does, in one
// pass.  `scratch` is overwritten when there is something to decode.  False without a message when
// it is too small.
bool json_scan_content(struct json_scan *s, struct buf *scratch, struct json_content *content);

// A number, `at` on its first byte.  `*integer`: written without fraction and exponent.
bool json_scan_number(struct json_scan *s, bool *integer);

bool json_scan_literal(struct json_scan *s, const char *word, size_t len);

// Requires that nothing but white space follows.
bool json_scan_end(struct json_scan *s);

// Takes `"name" :` and leaves `at` on the first byte of the value (or at the end of the text).
bool json_scan_name(struct json_scan *s, struct json_slice *name, bool *plain);

// Its second half: takes the colon behind a name.
bool json_scan_colon(struct json_scan *s);

// Walking a container: json_open() steps over the opening bracket, json_next() over what follows a
// child; `*more` says that another child comes, else `at` stands behind the container.
//     for (json_open(s, ']', &more); more;)
//         if (!json_scan_value(s) || !json_next(s, ']', &more))
//             return false;
void json_open(struct json_scan *s, char closer, bool *more);
bool json_next(struct json_scan *s, char closer, bool *more);

// True when a name as it stands in the text (with quotes) says `name`, escapes considered.
bool json_name_is(const struct json_slice *slice, bool plain, const char *name, size_t len);

// The type that a value starting with this byte must have; JSON_NONE for none.
enum json_type json_type_of(char first);

// Length of the well-formed UTF-8 sequence at `p` (2 to 4), 0 when there is none.
size_t json_utf8_length(const char *p, const char *end);

// What a letter behind a backslash stands for; 0 for those that mean nothing alone.
extern const char json_escapes[256];

// Decodes the escape at `p` (on the backslash) into `out`.  `*used` gets the bytes read.  Returns
// the bytes written, 0 when malformed.
size_t json_unescape(const char *p, const char *end, char out[4], size_t *used);

bool json_scan_fail(struct json_scan *s, const char *at, const char *message);

void json_scan_error(const struct json_scan *s, struct json_error *error);

static inline void json_scan_space(struct json_scan *s)
{
    const char *p = s->at;

    while (p < s->end && (unsigned char)*p <= ' ') {
        // Indentation comes in long runs of blanks.
        while (s->end - p >= 8 && memcmp(p, "        ", 8) == 0)
            p += 8;
        if (p == s->end || (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t'))
            break;
        p++;
    }
    s->at = p;
}

#ifdef __SSE2__
// Which of 16 bytes are not plain string content: a quote, a backslash, a control character or
// anything that is not ASCII.  One bit a byte.
static inline unsigned json_specials(__m128i v)
{
    // Signed comparison: bytes from 0x80 are negative, so they are "below blank" too.
    __m128i hit = _mm_or_si128(
        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))),
        _mm_cmplt_epi8(v, _mm_set1_epi8(' ')));

    return (unsigned)_mm_movemask_epi8(hit);
}

// The last `n` bytes of a text, less than 16, with zeros behind: those are specials, so that a run
// ends there without a look at each byte.
static inline __m128i json_load_rest(const char *p, size_t n)
{
    uint64_t low = 0, high = 0;

    // The second of two loads may take some bytes again, but no byte outside.
    if (n >= 8) {
        memcpy(&low, p, 8);
        memcpy(&high, p + n - 8, 8);
        high = high >> 8 >> 8 * (15 - n);
    } else if (n >= 4) {
        uint32_t first, last;

        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        low = first | (uint64_t)last << 8 * (n - 4);
    } else if (n > 0) {
        low = (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << 8 * (n / 2) |
              (uint64_t)(unsigned char)p[n - 1] << 8 * (n - 1);
    }
    return _mm_set_epi64x((long long)high, (long long)low);
}
#endif

// The first byte at or after `p` that is not plain string content; `end` if there is none.
static inline const char *json_plain_run(const char *p, const char *end)
{
#ifdef __SSE2__
    while (end - p >= 16) {
        unsigned found = json_specials(_mm_loadu_si128((const __m128i *)(const void *)p));

        if (found)
            return p + __builtin_ctz(found);
        p += 16;
    }
    return p + __builtin_ctz(json_specials(json_load_rest(p, (size_t)(end - p))));
#else
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;

    while (end - p >= 8) {
        uint64_t w, quote, backslash;

        memcpy(&w, p, 8);
        quote = w ^ ones * '"';
        backslash = w ^ ones * '\\';
        if ((w | ((w - ones * ' ') & ~w) | ((quote - ones) & ~quote) |
             ((backslash - ones) & ~backslash)) &
            highs)
            break;
        p += 8;
    }
    while (p < end && (unsigned char)*p >= ' ' && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
#endif
}

// The closing quote of a short and plain string, NULL for others.
static inline const char *json_short_string(const struct json_scan *s)
{
#ifdef __SSE2__
    const char *p = s->at + 1;

    if (s->end - p >= 16) {
        unsigned found = json_specials(_mm_loadu_si128((const __m128i *)(const void *)p));

        if (found && p[__builtin_ctz(found)] == '"')
            return p + __builtin_ctz(found);
    }
#else
    (void)s;
#endif
    return NULL;
}

// A string, `at` on its opening quote.  `*plain` is true when it has neither escapes nor broken
// UTF-8, so that the bytes between the quotes are its content.
static inline bool json_scan_string(struct json_scan *s, bool *plain)
{
    const char *closing = json_short_string(s);

    if (!closing)
        return json_scan_any_string(s, plain);
    *plain = true;
    s->at = closing + 1;
    return true;
}
