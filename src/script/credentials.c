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

// What one credential is made from.  Strings are the configuration's; "" means not given.
struct draft {
    const char *kind;     // begins the id
    const char *provider; // script name
    const char *name;     // routing name
    const char *key;
    const char *base; // default applied
    const char *proxy;
    const char *const *parts; // of the id, NULL at the end
    const struct config_node *entry;
};

static bool add(struct credential_set *set, const struct draft *d)
{
    struct credential *more = realloc(set->items, (set->count + 1) * sizeof(*more));
    struct credential *c;
    size_t base_len = strlen(d->base);
    char mask[32];

    if (!more)
        return false;
    set->items = more;
    c = &more[set->count];
    *c = (struct credential){.entry = d->entry};
    while (base_len > 0 && d->base[base_len - 1] == '/')
        base_len--;
    c->name = lower(d->name, strlen(d->name));
    c->base_url = strndup(d->base, base_len);
    c->provider = strdup(d->provider);
    c->secret = strdup(d->key);
    c->proxy = *d->proxy ? strdup(d->proxy) : NULL;
    c->label = strdup(*d->key ? log_mask(d->key, strlen(d->key), mask, sizeof(mask)) : "no key");
    c->id = make_id(set, d->kind, d->parts);
    set->count++; // from here on credentials_unref() frees what is there
    return c->name && c->base_url && c->provider && c->secret && c->label && c->id &&
           (!*d->proxy || c->proxy) && bind_host(c);
}

static bool is_url(const char *s)
{
    struct url url;

    return url_parse(s, strlen(s), &url);
}

static bool is_off(const struct config_node *entry)
{
    const struct config_node *off = config_member(entry, "disabled");

    return off && off->type == CONFIG_BOOL && off->boolean;
}

// --- openai-compatibility ------------------------------------------------------------------------

static bool add_compatible(struct credential_set *set, const struct config_node *entry,
                           const char *key, const char *proxy)
{
    const char *base = text(entry, "base-url");
    const char *name = *text(entry, "name") ? text(entry, "name") : "openai-compatibility";
    const char *parts[] = {key, base, proxy, NULL};
    struct draft draft = {.provider = "openai_compatibility",
                          .name = name,
                          .key = key,
                          .base = base,
                          .proxy = proxy,
                          .parts = parts,
                          .entry = entry};
    char *plain = lower(name, strlen(name));
    char kind[300];

    if (!plain)
        return false;
    snprintf(kind, sizeof(kind), "openai-compatibility:%s", plain);
    free(plain);
    draft.kind = kind;
    return add(set, &draft);
}

static bool add_compatible_entry(struct credential_set *set, const struct config_node *entry)
{
    const struct config_node *entries = list(entry, "api-key-entries");
    const struct config_node *keys = list(entry, "api-keys");

    // The configuration has warned about an entry that cannot work.
    if (is_off(entry) || !is_url(text(entry, "base-url")))
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

// --- lists of keys -------------------------------------------------------------------------------

#define GOOGLE "https://generativelanguage.googleapis.com"

// Lists whose entries are one key each: maps, or the bare key.
static const struct key_list {
    const char *list;
    const char *kind;
    const char *provider;
    const char *base; // default; "": an entry without its own cannot work
    bool base_in_id;
} key_lists[] = {
    {"gemini-api-key", "gemini:apikey", "gemini", GOOGLE, false},
    {"generative-language-api-key", "gemini:apikey", "gemini", GOOGLE, false},
    {"claude-api-key", "claude:apikey", "claude", "https://api.anthropic.com", true},
    {"codex-api-key", "codex:apikey", "codex", "", true},
};

static bool add_key(struct credential_set *set, const struct key_list *from,
                    const struct config_node *entry)
{
    bool bare = entry->type == CONFIG_STRING;
    const char *key = bare ? entry->text : text(entry, "api-key");
    const char *own = bare ? "" : text(entry, "base-url");
    const char *parts[] = {key, from->base_in_id ? own : NULL, NULL};
    struct draft draft = {.kind = from->kind,
                          .provider = from->provider,
                          .name = from->provider,
                          .key = key,
                          .base = *own ? own : from->base,
                          .proxy = bare ? "" : text(entry, "proxy-url"),
                          .parts = parts,
                          .entry = bare ? NULL : entry};

    // An address of one's own may do without a key.
    if ((!*key && *from->base) || !is_url(draft.base) || (!bare && is_off(entry)))
        return true;
    return add(set, &draft);
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct credential *)a)->id, ((const struct credential *)b)->id);
}

static bool add_all(struct credential_set *set)
{
    const struct config_node *entries = config_at(set->config, "openai-compatibility");

    for (size_t i = 0; entries && entries->type == CONFIG_LIST && i < entries->count; i++)
        if (!add_compatible_entry(set, entries->items[i]))
            return false;
    for (size_t k = 0; k < sizeof(key_lists) / sizeof(*key_lists); k++) {
        entries = config_at(set->config, key_lists[k].list);
        for (size_t i = 0; entries && entries->type == CONFIG_LIST && i < entries->count; i++)
            if (!add_key(set, &key_lists[k], entries->items[i]))
                return false;
    }
    return true;
}

struct credential_set *credentials_from_config(struct config *config)
{
    struct credential_set *set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    set->refs = 1;
    set->config = config_ref(config);
    if (!add_all(set)) {
        credentials_unref(set);
        return NULL;
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
