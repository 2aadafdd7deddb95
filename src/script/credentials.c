#include "script/credentials.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "codec/url.h"

static const char *text(const struct config_node *map, const char *name)
{
    const struct config_node *node = config_member(map, name);

    return node && node->type == CONFIG_STRING ? node->text : "";
}

static const struct config_node *list(const struct config_node *map, const char *name)
{
    const struct config_node *node = config_member(map, name);

    return node && node->type == CONFIG_LIST && node->count > 0 ? node : NULL;
}

// A copy in lower case, without surrounding blanks.
static char *lower(const char *s, size_t len)
{
    char *copy;

    while (len > 0 && isspace((unsigned char)*s))
        s++, len--;
    while (len > 0 && isspace((unsigned char)s[len - 1]))
        len--;
    copy = strndup(s, len);
    for (char *c = copy; c && *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

static const struct credential *with_id(const struct credential_set *set, const char *id)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].id && strcmp(set->items[i].id, id) == 0)
            return &set->items[i];
    return NULL;
}

// `<kind>:<first 12 hex digits of SHA-256 over kind and parts, separated by NUL>`, with -1, -2, ...
// for the second, third, ... of the same parts.
static char *make_id(const struct credential_set *set, const char *kind, const char *const *parts)
{
    unsigned char digest[32];
    char hex[13], *id = NULL;
    struct buf all;

    buf_init(&all, 64 * 1024);
    buf_puts(&all, kind);
    for (size_t i = 0; parts[i]; i++) {
        buf_putc(&all, '\0');
        buf_puts(&all, parts[i]);
    }
    if (all.overflow || !EVP_Digest(all.data, all.len, digest, NULL, EVP_sha256(), NULL))
        goto out;
    for (size_t i = 0; i < 6; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    buf_clear(&all);
    buf_printf(&all, "%s:%s", kind, hex);
    for (int n = 1; with_id(set, buf_cstr(&all) ? all.data : ""); n++) {
        buf_clear(&all);
        buf_printf(&all, "%s:%s-%d", kind, hex, n);
    }
    id = buf_detach(&all, NULL);
out:
    buf_deinit(&all);
    return id;
}

// Where the secret may go: the host and port of the base URL.
static bool bind_host(struct credential *c)
{
    struct url url;

    if (!url_parse(c->base_url, strlen(c->base_url), &url))
        return false;
    c->host = lower(url.host, url.host_len);
    c->port = url.port;
    return c->host;
}

// Adds one key of an openai-compatibility entry.
static bool add_compatible(struct credential_set *set, const struct config_node *entry,
                           const char *key, const char *proxy)
{
    struct credential *more = realloc(set->items, (set->count + 1) * sizeof(*more));
    const char *base = text(entry, "base-url"), *name = text(entry, "name");
    const char *parts[] = {key, base, proxy, NULL};
    char kind[300], mask[32];
    struct credential *c;
    size_t base_len = strlen(base);

    if (!more)
        return false;
    set->items = more;
    c = &more[set->count];
    *c = (struct credential){.entry = entry};
    while (base_len > 0 && base[base_len - 1] == '/')
        base_len--;
    c->name = lower(*name ? name : "openai-compatibility", strlen(*name ? name : "openai-compatibility"));
    c->base_url = strndup(base, base_len);
    c->provider = strdup("openai_compatibility");
    c->secret = strdup(key);
    c->proxy = *proxy ? strdup(proxy) : NULL;
    c->label = strdup(*key ? log_mask(key, strlen(key), mask, sizeof(mask)) : "no key");
    snprintf(kind, sizeof(kind), "openai-compatibility:%s", c->name ? c->name : "");
    c->id = make_id(set, kind, parts);
    set->count++; // from here on credentials_unref() frees what is there
    return c->name && c->base_url && c->provider && c->secret && c->label && c->id &&
           (!*proxy || c->proxy) && bind_host(c);
}

static bool add_entry(struct credential_set *set, const struct config_node *entry)
{
    const struct config_node *entries = list(entry, "api-key-entries");
    const struct config_node *keys = list(entry, "api-keys");
    const struct config_node *off = config_member(entry, "disabled");
    struct url url;

    if (off && off->type == CONFIG_BOOL && off->boolean)
        return true;
    // The configuration has warned about an entry that cannot work.
    if (!url_parse(text(entry, "base-url"), strlen(text(entry, "base-url")), &url))
        return true;
    if (entries) {
        for (size_t i = 0; i < entries->count; i++)
            if (!add_compatible(set, entry, text(entries->items[i], "api-key"),
                                text(entries->items[i], "proxy-url")))
                return false;
        return true;
    }
    if (keys) {
        for (size_t i = 0; i < keys->count; i++)
            if (!add_compatible(set, entry, keys->items[i]->text, ""))
                return false;
        return true;
    }
    return add_compatible(set, entry, "", ""); // a local server without keys
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct credential *)a)->id, ((const struct credential *)b)->id);
}

struct credential_set *credentials_from_config(struct config *config)
{
    const struct config_node *entries = config_at(config, "openai-compatibility");
    struct credential_set *set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    set->refs = 1;
    set->config = config_ref(config);
    for (size_t i = 0; entries && entries->type == CONFIG_LIST && i < entries->count; i++) {
        if (!add_entry(set, entries->items[i])) {
            credentials_unref(set);
            return NULL;
        }
    }
    if (set->count > 1)
        qsort(set->items, set->count, sizeof(*set->items), by_id);
    return set;
}

struct credential_set *credentials_ref(struct credential_set *set)
{
    __atomic_add_fetch(&set->refs, 1, __ATOMIC_RELAXED);
    return set;
}

static void forget(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void credentials_unref(struct credential_set *set)
{
    if (!set || __atomic_sub_fetch(&set->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < set->count; i++) {
        struct credential *c = &set->items[i];

        forget(c->secret);
        forget(c->proxy);
        free(c->id);
        free(c->provider);
        free(c->name);
        free(c->label);
        free(c->base_url);
        free(c->host);
    }
    free(set->items);
    config_unref(set->config);
    free(set);
}

const struct credential *credentials_find(const struct credential_set *set, const char *id)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(id, set->items[middle].id);

        if (order == 0)
            return &set->items[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
