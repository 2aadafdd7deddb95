// Credentials of the configuration: its lists of keys and its openai-compatibility entries.

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "script/credentials.h"

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

// What one credential of the configuration is made from; "" means not given.
struct draft {
    const char *kind;     // begins the id
    const char *provider; // script name
    const char *name;     // routing name
    const char *key;
    const char *base; // default applied
    const char *proxy;
    const char *const *parts; // of the id, NULL at the end
    const char *details;      // JSON for scripts, or NULL
    const struct config_node *entry;
    const struct config_node *weight; // of the key itself, NULL when it gives none
};

static bool add(struct credential_set *set, const struct draft *d)
{
    char mask[32];
    char *id = make_id(set, d->kind, d->parts);
    struct credential_draft draft = {
        .id = id,
        .provider = d->provider,
        .name = d->name,
        .kind = *d->key ? "api_key" : "none",
        .secret = d->key,
        .label = *d->key ? log_mask(d->key, strlen(d->key), mask, sizeof(mask)) : "no key",
        .proxy = d->proxy,
        .base_url = d->base,
        .details = d->details,
        .entry = d->entry,
        .weight = d->weight};
    bool ok = id && credentials_add(set, &draft);

    free(id);
    return ok;
}

static bool is_url(const char *s)
{
    struct url url;

    return url_parse(s, strlen(s), &url);
}

// --- openai-compatibility ------------------------------------------------------------------------

// `openai-compatibility:<name>`, the name as it is routed by.
static void name_kind(const char *name, char *kind, size_t size)
{
    size_t len = strlen(name);
    int start;

    while (len > 0 && isspace((unsigned char)*name))
        name++, len--;
    while (len > 0 && isspace((unsigned char)name[len - 1]))
        len--;
    start = snprintf(kind, size, "openai-compatibility:");
    snprintf(kind + start, size - (size_t)start, "%.*s", (int)len, name);
    for (char *c = kind + start; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

// What the file says; a default is nothing.
static const struct config_node *given(const struct config_node *map, const char *name)
{
    const struct config_node *node = map ? config_member(map, name) : NULL;

    return node && node->line > 0 ? node : NULL;
}

// `key_entry`: the element of api-key-entries, or NULL.
static bool add_compatible(struct credential_set *set, const struct config_node *entry,
                           const char *key, const struct config_node *key_entry)
{
    const char *proxy = key_entry ? text(key_entry, "proxy-url") : "";
    const char *base = text(entry, "base-url");
    const char *name = *text(entry, "name") ? text(entry, "name") : "openai-compatibility";
    const char *parts[] = {key, base, proxy, NULL};
    struct draft draft = {.provider = "openai_compatibility",
                          .name = name,
                          .key = key,
                          .base = base,
                          .proxy = proxy,
                          .parts = parts,
                          .entry = entry,
                          .weight = given(key_entry, "weight")};
    char kind[300];

    name_kind(name, kind, sizeof(kind));
    draft.kind = kind;
    return add(set, &draft);
}

static bool add_compatible_entry(struct credential_set *set, const struct config_node *entry)
{
    const struct config_node *entries = list(entry, "api-key-entries");
    const struct config_node *keys = list(entry, "api-keys");

    // The configuration has warned about an entry that cannot work.
    if (!is_url(text(entry, "base-url")))
        return true;
    if (entries) {
        for (size_t i = 0; i < entries->count; i++)
            if (!add_compatible(set, entry, text(entries->items[i], "api-key"), entries->items[i]))
                return false;
        return true;
    }
    if (keys) {
        for (size_t i = 0; i < keys->count; i++)
            if (!add_compatible(set, entry, keys->items[i]->text, NULL))
                return false;
        return true;
    }
    return add_compatible(set, entry, "", NULL); // a local server without keys
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
    const char *token; // how the token of a login begins, which may stand in a key's place; or NULL
} key_lists[] = {
    {"gemini-api-key", "gemini:apikey", "gemini", GOOGLE, false, NULL},
    {"generative-language-api-key", "gemini:apikey", "gemini", GOOGLE, false, NULL},
    {"claude-api-key", "claude:apikey", "claude", "https://api.anthropic.com", true, "sk-ant-oat"},
    {"codex-api-key", "codex:apikey", "codex", "", true, NULL},
};

static bool is_token(const struct key_list *from, const char *key)
{
    return from->token && strncmp(key, from->token, strlen(from->token)) == 0;
}

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
                          .details = is_token(from, key) ? "{\"facts\":{\"is_oauth\":true}}" : NULL,
                          .entry = bare ? NULL : entry};

    // An address of one's own may do without a key.
    if ((!*key && *from->base) || !is_url(draft.base))
        return true;
    return add(set, &draft);
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
    struct credential_set *set = credentials_new();

    if (!set)
        return NULL;
    set->config = config_ref(config);
    if (!add_all(set)) {
        credentials_unref(set);
        return NULL;
    }
    credentials_seal(set);
    return set;
}
