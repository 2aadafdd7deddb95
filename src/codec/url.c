#include "codec/url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// A decimal port, 0 for an empty text; -1 when it is none.
static int read_port(const char *text, size_t len)
{
    int port = 0;

    if (len > 5)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]))
            return -1;
        port = port * 10 + text[i] - '0';
    }
    return port <= 65535 && (port > 0 || len == 0) ? port : -1;
}

// What may stand in a name or IPv4 address; bytes above ASCII are names in other alphabets.
static bool is_host(const char *text, size_t len)
{
    static const char delimiters[] = "/?#@[]\\:%<>\"^`{|}\x7f";

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || strchr(delimiters, text[i]))
            return false;
    return len > 0;
}

// What may stand in brackets: an IPv6 address, perhaps with a zone.
static bool is_address(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && (!text[i] || !strchr(":.%-_~", text[i])))
            return false;
    return memchr(text, ':', len);
}

bool url_split_host(const char *text, size_t len, const char **host, size_t *host_len, int *port)
{
    const char *end = text + len, *colon;

    *port = 0;
    if (len > 0 && *text == '[') {
        const char *close = memchr(text, ']', len);

        if (!close || !is_address(text + 1, (size_t)(close - text - 1)))
            return false;
        *host = text + 1;
        *host_len = (size_t)(close - text - 1);
        colon = close + 1;
        if (colon == end)
            return true;
        if (*colon != ':')
            return false;
    } else {
        colon = memchr(text, ':', len);
        *host = text;
        *host_len = colon ? (size_t)(colon - text) : len;
        if (!is_host(text, *host_len))
            return false;
        if (!colon)
            return true;
    }
    *port = read_port(colon + 1, (size_t)(end - colon - 1));
    return *port >= 0;
}

bool url_parse(const char *text, size_t len, struct url *out)
{
    const char *end = text + len, *at, *stop, *userinfo;

    *out = (struct url){0};
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return false;
    at = memmem(text, len, "://", 3);
    if (!at || at == text || !isalpha((unsigned char)*text))
        return false;
    out->scheme = text;
    out->scheme_len = (size_t)(at - text);
    for (size_t i = 0; i < out->scheme_len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("+-.", text[i]))
            return false;
    at += 3;
    stop = at;
    while (stop < end && *stop != '/' && *stop != '?' && *stop != '#')
        stop++;
    userinfo = memrchr(at, '@', (size_t)(stop - at));
    if (userinfo) {
        out->userinfo = true;
        at = userinfo + 1;
    }
    if (!url_split_host(at, (size_t)(stop - at), &out->host, &out->host_len, &out->port))
        return false;
    if (out->port == 0 && out->scheme_len == 4 && strncasecmp(text, "http", 4) == 0)
        out->port = 80;
    else if (out->port == 0 && out->scheme_len == 5 && strncasecmp(text, "https", 5) == 0)
        out->port = 443;
    out->path = stop;
    out->path_len = (size_t)(end - stop);
    return true;
}

bool url_host_is_loopback(const char *host, size_t len)
{
    int parts = 0, value = -1;

    if (len > 1 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len == 9 && strncasecmp(host, "localhost", 9) == 0)
        return true;
    if (len == 3 && memcmp(host, "::1", 3) == 0)
        return true;
    if (len < 4 || memcmp(host, "127.", 4) != 0)
        return false;
    for (size_t i = 0; i < len; i++) { // the rest must be an IPv4 address, not a name
        if (host[i] == '.') {
            if (value < 0)
                return false;
            value = -1;
            parts++;
        } else if (isdigit((unsigned char)host[i])) {
            if (value == 0) // some read a leading zero as octal
                return false;
            value = (value < 0 ? 0 : value) * 10 + host[i] - '0';
            if (value > 255)
                return false;
        } else {
            return false;
        }
    }
    return parts == 3 && value >= 0;
}

bool url_decode(struct buf *out, const char *text, size_t len, bool plus)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
            c = (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (!buf_putc(out, c))
            return false;
    }
    return true;
}

bool url_encode(struct buf *out, const char *text, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
        bool plain = isalnum(c) || (c && strchr("-._~", c));

        if (!(plain ? buf_putc(out, (char)c) : buf_append(out, escaped, 3)))
            return false;
    }
    return true;
}

bool url_query(struct buf *out, const char *query, size_t len, const char *name)
{
    const char *end = query + len;
    bool found = false;

    while (query < end && !found) {
        const char *stop = memchr(query, '&', (size_t)(end - query));
        const char *equals;
        struct buf key;

        if (!stop)
            stop = end;
        equals = memchr(query, '=', (size_t)(stop - query));
        buf_init(&key, 4096);
        url_decode(&key, query, (size_t)((equals ? equals : stop) - query), true);
        found = key.len == strlen(name) && memcmp(key.len ? key.data : "", name, key.len) == 0;
        buf_deinit(&key);
        if (found && equals)
            return url_decode(out, equals + 1, (size_t)(stop - equals - 1), true);
        query = stop + 1;
    }
    return found;
}
