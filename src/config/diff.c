#include "config/diff.h"

#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 512, VALUE_MAX = 120, DEPTH_MAX = 32 };

struct diff {
    struct buf *out;
    size_t lines, more;
};

static bool is_absent(const struct config_node *node)
{
    return !node || node->type == CONFIG_NULL;
}

static bool is_container(const struct config_node *node)
{
    return node && (node->type == CONFIG_LIST || node->type == CONFIG_MAP);
}

static void put_plain(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_putc(out, (unsigned char)text[i] < ' ' ? ' ' : text[i]);
}

// A text in quotes: one line, not too long, without what a URL should not show.
static void put_text(struct buf *out, const char *text)
{
    const char *url = strstr(text, "://");
    size_t len = strlen(text), shown;

    buf_putc(out, '"');
    if (url) {
        const char *host = url + 3, *at = memrchr(host, '@', strcspn(host, "/?#"));

        put_plain(out, text, (size_t)(host - text));
        buf_puts(out, at ? "***" : "");
        text = at ? at : host;
        len = strlen(text);
    }
    shown = url ? strcspn(text, "?#") : len;
    if (shown > VALUE_MAX)
        shown = VALUE_MAX;
    put_plain(out, text, shown);
    buf_puts(out, shown < len ? "...\"" : "\"");
}

static void put_value(struct buf *out, const struct config_node *node)
{
    if (is_absent(node))
        buf_puts(out, "absent");
    else if (node->type == CONFIG_BOOL)
        buf_puts(out, node->boolean ? "true" : "false");
    else if (node->type == CONFIG_INT)
        buf_printf(out, "%lld", (long long)node->integer);
    else if (node->type == CONFIG_NUMBER)
        buf_printf(out, "%g", node->number);
    else if (node->type == CONFIG_STRING)
        put_text(out, node->text);
    else
        buf_printf(out, "%zu entries", node->count);
}

static bool same_scalar(const struct config_node *a, const struct config_node *b)
{
    if (is_absent(a) || is_absent(b))
        return is_absent(a) && is_absent(b);
    return a->type == b->type && a->boolean == b->boolean && a->integer == b->integer &&
           a->number == b->number && strcmp(a->text, b->text) == 0;
}

static bool begin_line(struct diff *d, const char *path)
{
    if (d->lines == CONFIG_DIFF_LINES) {
        d->more++;
        return false;
    }
    d->lines++;
    buf_printf(d->out, "%s: ", path);
    return true;
}

static bool is_url(const struct config_node *node)
{
    return is_absent(node) || *node->text == '\0' || strstr(node->text, "://");
}

static void put_change(struct diff *d, const char *path, const struct config_node *a,
                       const struct config_node *b, bool secret)
{
    if (!begin_line(d, path))
        return;
    // A proxy is marked as a secret for its password alone.
    if (secret && !(is_url(a) && is_url(b) && strstr(path, "proxy-url"))) {
        buf_puts(d->out, "updated\n");
        return;
    }
    put_value(d->out, a);
    buf_puts(d->out, " -> ");
    put_value(d->out, b);
    buf_putc(d->out, '\n');
}

static void compare(struct diff *d, const char *path, const struct config_node *a,
                    const struct config_node *b, bool secret, int depth);

static void compare_member(struct diff *d, const char *path, const char *name,
                           const struct config_node *a, const struct config_node *b, bool secret,
                           int depth)
{
    char below[PATH_SIZE];

    snprintf(below, sizeof(below), "%s%s%s", path, *path ? "." : "", name);
    compare(d, below, a, b, secret, depth);
}

// The last member of a path is `headers`.
static bool is_headers(const char *path)
{
    size_t len = strlen(path);

    return len >= 7 && strcmp(path + len - 7, "headers") == 0;
}

static void compare_maps(struct diff *d, const char *path, const struct config_node *a,
                         const struct config_node *b, bool secret, int depth)
{
    secret = secret || is_headers(path);
    for (size_t i = 0; a && i < a->count; i++)
        compare_member(d, path, a->names[i], a->items[i], b ? config_member(b, a->names[i]) : NULL,
                       secret, depth);
    for (size_t i = 0; b && i < b->count; i++)
        if (!a || !config_member(a, b->names[i]))
            compare_member(d, path, b->names[i], NULL, b->items[i], secret, depth);
}

static void compare_lists(struct diff *d, const char *path, const struct config_node *a,
                          const struct config_node *b, bool secret, int depth)
{
    size_t before = a ? a->count : 0, after = b ? b->count : 0;
    char below[PATH_SIZE];

    if (before != after && begin_line(d, path))
        buf_printf(d->out, "%zu -> %zu entries\n", before, after);
    for (size_t i = 0; i < before && i < after; i++) {
        snprintf(below, sizeof(below), "%s[%zu]", path, i);
        compare(d, below, a->items[i], b->items[i], secret, depth);
    }
}

// Keys that the schema does not know may hold anything.
static bool is_secret_name(const char *path)
{
    static const char *const words[] = {"secret",  "password", "token",
                                        "api-key", "api_key",  "apikey"};
    const char *name = strrchr(path, '.');

    name = name ? name + 1 : path;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

static void compare(struct diff *d, const char *path, const struct config_node *a,
                    const struct config_node *b, bool secret, int depth)
{
    bool containers = (is_container(a) || is_absent(a)) && (is_container(b) || is_absent(b)) &&
                      (is_container(a) || is_container(b));

    if (depth > DEPTH_MAX)
        return;
    secret = secret || (a && a->secret) || (b && b->secret);
    if (!containers || (is_container(a) && is_container(b) && a->type != b->type)) {
        if (!same_scalar(a, b))
            put_change(d, path, a, b, secret || is_secret_name(path));
        return;
    }
    if (is_absent(a))
        a = NULL;
    if (is_absent(b))
        b = NULL;
    if ((a ? a : b)->type == CONFIG_MAP)
        compare_maps(d, path, a, b, secret, depth + 1);
    else
        compare_lists(d, path, a, b, secret, depth + 1);
}

void config_diff(const struct config *old, const struct config *now, struct buf *out)
{
    struct diff d = {.out = out};

    compare(&d, "", config_root(old), config_root(now), false, 0);
    if (d.more > 0)
        buf_printf(out, "and %zu more\n", d.more);
}
