// json_scan.c - see json_scan.h.

#include "codec/json_scan.h"

void json_scan_init(struct json_scan *s, const char *text, size_t len, unsigned flags)
{
    *s = (struct json_scan){.at = text, .end = text + len, .start = text, .flags = flags};
}

bool json_scan_fail(struct json_scan *s, const char *at, const char *message)
{
    s->at = at;
    s->message = message;
    return false;
}

void json_scan_error(const struct json_scan *s, struct json_error *error)
{
    if (error)
        *error = (struct json_error){s->message, (size_t)(s->at - s->start)};
}

enum json_type json_type_of(char first)
{
    switch (first) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return first == '-' || (first >= '0' && first <= '9') ? JSON_NUMBER : JSON_NONE;
    }
}

// --- strings -------------------------------------------------------------------------------------

size_t json_utf8_length(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p), len;
    unsigned char low = 0x80, high = 0xbf;

    if (left < 2 || u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    len = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    // Overlong forms, surrogates and code points above U+10FFFF show in the second byte.
    if (u[0] == 0xe0)
        low = 0xa0;
    else if (u[0] == 0xed)
        high = 0x9f;
    else if (u[0] == 0xf0)
        low = 0x90;
    else if (u[0] == 0xf4)
        high = 0x8f;
    if (len > left || u[1] < low || u[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Four hexadecimal digits, or -1.
static int hex_unit(const char *p, const char *end)
{
    int unit = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);

        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static size_t put_utf8(char *out, int code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

const char json_escapes[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

size_t json_unescape(const char *p, const char *end, char out[4], size_t *used)
{
    int unit;

    if (end - p < 2)
        return 0;
    *used = 2;
    if (p[1] != 'u') {
        out[0] = json_escapes[(unsigned char)p[1]];
        return out[0] ? 1 : 0;
    }
    unit = hex_unit(p + 2, end);
    if (unit < 0)
        return 0;
    *used = 6;
    if (unit < 0xd800 || unit > 0xdfff)
        return put_utf8(out, unit);
    if (unit < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
        int low = hex_unit(p + 8, end);

        if (low >= 0xdc00 && low <= 0xdfff) {
            *used = 12;
            return put_utf8(out, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
        }
    }
    return put_utf8(out, 0xfffd);
}

// Passes over a run of bytes from 0x80 on.
static const char *skip_high(struct json_scan *s, const char *p, bool *plain)
{
    while (p < s->end && (unsigned char)*p >= 0x80) {
        size_t n = json_utf8_length(p, s->end);

        if (n == 0) {
            if (s->flags & JSON_STRICT_UTF8) {
                json_scan_fail(s, p, "invalid UTF-8");
                return NULL;
            }
            s->broken_utf8 = true;
            *plain = false;
            n = 1;
        }
        p += n;
    }
    return p;
}

// Passes over what is most of all strings, plain bytes and escapes of one letter.  Stops at
// anything else, and near the end of the text.
static inline const char *skip_common(const char *p, const char *end, bool *plain)
{
#ifdef __SSE2__
    while (end - p > 16) {
        unsigned found = json_specials(_mm_loadu_si128((const __m128i *)(const void *)p));

        while (found) {
            const char *at = p + __builtin_ctz(found);

            if (*at != '\\' || !json_escapes[(unsigned char)at[1]])
                return at;
            *plain = false;
            // The letter may be among the found ones, or in the next block.
            found &= ~(3u << (at - p));
            if (at - p == 15)
                p++;
        }
        p += 16;
    }
#else
    (void)end, (void)plain;
#endif
    return p;
}

bool json_scan_any_string(struct json_scan *s, bool *plain)
{
    const char *p = s->at + 1;

    *plain = true;
    for (;;) {
        p = skip_common(p, s->end, plain);
        if (p < s->end && *p == '"')
            break;
        p = json_plain_run(p, s->end);
        if (p == s->end)
            return json_scan_fail(s, p, "unterminated string");
        if (*p == '"')
            break;
        if (*p == '\\') {
            *plain = false;
            if (s->end - p < 2)
                return json_scan_fail(s, s->end, "unterminated string");
            if (p[1] == 'u' ? hex_unit(p + 2, s->end) < 0 : !json_escapes[(unsigned char)p[1]])
                return json_scan_fail(s, p, "invalid escape in string");
            p += p[1] == 'u' ? 6 : 2;
        } else if ((unsigned char)*p >= 0x80) {
            p = skip_high(s, p, plain);
            if (!p)
                return false;
        } else {
            return json_scan_fail(s, p, "control character in string");
        }
    }
    s->at = p + 1;
    return true;
}

bool json_scan_colon(struct json_scan *s)
{
    json_scan_space(s);
    if (s->at == s->end || *s->at != ':')
        return json_scan_fail(s, s->at, "expected ':' after a member name");
    s->at++;
    json_scan_space(s);
    return true;
}

bool json_scan_name(struct json_scan *s, struct json_slice *name, bool *plain)
{
    const char *from = s->at;

    if (from == s->end || *from != '"')
        return json_scan_fail(s, from, "expected a member name");
    if (!json_scan_string(s, plain))
        return false;
    *name = (struct json_slice){JSON_STRING, from, (size_t)(s->at - from)};
    return json_scan_colon(s);
}

bool json_name_is(const struct json_slice *slice, bool plain, const char *name, size_t len)
{
    const char *p = slice->at + 1, *end = slice->at + slice->len - 1;

    if (plain)
        return (size_t)(end - p) == len && memcmp(p, name, len) == 0;
    while (p < end) {
        char bytes[4] = {*p};
        size_t used = 1, n = 1;

        if (*p == '\\')
            n = json_unescape(p, end, bytes, &used);
        if (n == 0 || n > len || memcmp(bytes, name, n) != 0)
            return false;
        p += used;
        name += n;
        len -= n;
    }
    return len == 0;
}

// --- other values --------------------------------------------------------------------------------

static bool is_digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

static const char *skip_digits(const char *p, const char *end)
{
    while (is_digit(p, end))
        p++;
    return p;
}

bool json_scan_number(struct json_scan *s, bool *integer)
{
    const char *p = s->at, *end = s->end;

    *integer = true;
    if (*p == '-')
        p++;
    if (!is_digit(p, end))
        return json_scan_fail(s, p, "invalid number");
    if (*p == '0')
        p++;
    else
        p = skip_digits(p, end);
    if (p < end && *p == '.') {
        *integer = false;
        if (!is_digit(++p, end))
            return json_scan_fail(s, p, "invalid number");
        p = skip_digits(p, end);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        *integer = false;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        if (!is_digit(p, end))
            return json_scan_fail(s, p, "invalid number");
        p = skip_digits(p, end);
    }
    s->at = p;
    return true;
}

bool json_scan_literal(struct json_scan *s, const char *word, size_t len)
{
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return json_scan_fail(s, s->at, "expected a value");
    s->at += len;
    return true;
}

bool json_scan_end(struct json_scan *s)
{
    json_scan_space(s);
    return s->at == s->end || json_scan_fail(s, s->at, "trailing bytes after the value");
}

bool json_next(struct json_scan *s, char closer, bool *more)
{
    json_scan_space(s);
    if (s->at == s->end)
        return json_scan_fail(s, s->at, "unexpected end");
    *more = *s->at == ',';
    if (!*more && *s->at != closer)
        return json_scan_fail(s, s->at, "expected ',' or a closing bracket");
    s->at++;
    if (*more)
        json_scan_space(s);
    return true;
}

void json_open(struct json_scan *s, char closer, bool *more)
{
    s->at++;
    json_scan_space(s);
    *more = s->at == s->end || *s->at != closer;
    if (!*more)
        s->at++;
}

static bool scan_scalar(struct json_scan *s)
{
    bool ignored;

    switch (s->at < s->end ? json_type_of(*s->at) : JSON_NONE) {
    case JSON_STRING:
        return json_scan_string(s, &ignored);
    case JSON_NUMBER:
        return json_scan_number(s, &ignored);
    case JSON_TRUE:
        return json_scan_literal(s, "true", 4);
    case JSON_FALSE:
        return json_scan_literal(s, "false", 5);
    case JSON_NULL:
        return json_scan_literal(s, "null", 4);
    default:
        return json_scan_fail(s, s->at, "expected a value");
    }
}

bool json_scan_value(struct json_scan *s)
{
    char closers[JSON_RAW_DEPTH]; // the closing bracket of each open container
    size_t depth = 0;
    struct json_slice name;
    bool plain;

value:
    if (s->at < s->end && (*s->at == '{' || *s->at == '[')) {
        if (depth == JSON_RAW_DEPTH)
            return json_scan_fail(s, s->at, "nested too deeply");
        closers[depth] = *s->at == '{' ? '}' : ']';
        s->at++;
        json_scan_space(s);
        if (s->at < s->end && *s->at == closers[depth]) {
            s->at++;
            goto closed;
        }
        depth++;
        goto item;
    }
    if (!scan_scalar(s))
        return false;

closed:
    if (depth == 0)
        return true;
    json_scan_space(s);
    if (s->at == s->end)
        return json_scan_fail(s, s->at, "unexpected end");
    if (*s->at == closers[depth - 1]) {
        s->at++;
        depth--;
        goto closed;
    }
    if (*s->at != ',')
        return json_scan_fail(s, s->at, "expected ',' or a closing bracket");
    s->at++;
    json_scan_space(s);

item:
    if (closers[depth - 1] == '}' && !json_scan_name(s, &name, &plain))
        return false;
    goto value;
}
