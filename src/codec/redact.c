#include "codec/redact.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "codec/url.h"

enum { SCHEME_MAX = 16 };

static bool holds_any(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(text, *words))
            return true;
    return false;
}

static bool is_secret_parameter(const char *name, bool callback)
{
    static const char *const words[] = {"api-key", "apikey", "api_key", "token", "secret", NULL};
    char bare[256];
    size_t len = strlen(name);

    if (len > 2 && strcmp(name + len - 2, "[]") == 0)
        len -= 2;
    if (len >= sizeof(bare))
        return true;
    memcpy(bare, name, len);
    bare[len] = '\0';
    if (strcasecmp(bare, "key") == 0 || holds_any(bare, words))
        return true;
    return callback && (strcasecmp(bare, "code") == 0 || strcasecmp(bare, "state") == 0);
}

static void append_plain(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_putc(out, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i]);
}

static void append_parameter(struct buf *out, const char *at, const char *stop, bool callback)
{
    const char *equals = memchr(at, '=', (size_t)(stop - at));
    struct buf name, value;
    char mask[32];

    if (!equals) {
        append_plain(out, at, (size_t)(stop - at));
        return;
    }
    buf_init(&name, 4096);
    buf_init(&value, 64 * 1024);
    url_decode(&name, at, (size_t)(equals - at), true);
    append_plain(out, at, (size_t)(equals - at + 1));
    if (name.overflow || !buf_cstr(&name) || strlen(name.data) != name.len ||
        is_secret_parameter(name.data, callback)) {
        url_decode(&value, equals + 1, (size_t)(stop - equals - 1), true);
        log_mask(value.len ? value.data : "", value.len, mask, sizeof(mask));
        append_plain(out, mask, strlen(mask));
    } else {
        append_plain(out, equals + 1, (size_t)(stop - equals - 1));
    }
    buf_deinit(&name);
    buf_deinit(&value);
}

void redact_target(struct buf *out, const char *target)
{
    const char *query = strchr(target, '?');
    size_t path_len = query ? (size_t)(query - target) : strlen(target);
    bool callback = memmem(target, path_len, "callback", 8);

    append_plain(out, target, path_len);
    if (!query)
        return;
    buf_putc(out, '?');
    for (const char *at = query + 1; *at;) {
        const char *stop = at + strcspn(at, "&");

        append_parameter(out, at, stop, callback);
        if (*stop == '&')
            buf_putc(out, '&');
        at = *stop ? stop + 1 : stop;
    }
}

bool redact_is_secret(const char *name)
{
    static const char *const words[] = {"authorization", "api-key", "apikey",         "token",
                                        "secret",        "cookie",  "management-key", NULL};

    return holds_any(name, words);
}

void redact_field(struct buf *out, const char *name, const char *value)
{
    const char *space = strchr(value, ' ');
    char mask[32];

    if (!redact_is_secret(name)) {
        append_plain(out, value, strlen(value));
        return;
    }
    // A scheme is no secret; a key in its place is longer than any.
    if (strcasestr(name, "authorization") && space && space - value <= SCHEME_MAX) {
        append_plain(out, value, (size_t)(space - value + 1));
        value = space + 1;
    }
    log_mask(value, strlen(value), mask, sizeof(mask));
    append_plain(out, mask, strlen(mask));
}
