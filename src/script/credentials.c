#include "script/credentials.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *or_empty(const char *s)
{
    return s ? s : "";
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

static bool bind_host(struct credential *c, const char *text)
{
    struct credential_host *more, *host;
    struct url url;

    if (!url_parse(text, strlen(text), &url))
        return false;
    more = realloc(c->hosts, (c->host_count + 1) * sizeof(*more));
    if (!more)
        return false;
    c->hosts = more;
    host = &more[c->host_count];
    host->name = lower(url.host, url.host_len);
    host->port = url.port;
    host->tls = url.scheme_len == 5;
    if (!host->name)
        return false;
    c->host_count++;
    return true;
}

static bool bind_hosts(struct credential *c, const char *const *hosts)
{
    if (*c->base_url && !bind_host(c, c->base_url))
        return false;
    for (size_t i = 0; hosts && hosts[i]; i++)
        if (!bind_host(c, hosts[i]))
            return false;
    return true;
}

static void stamp(struct credential *c)
{
    unsigned char digest[32] = {0};

    EVP_Digest(c->secret, strlen(c->secret), digest, NULL, EVP_sha256(), NULL);
    for (size_t i = 0; i < 6; i++)
        snprintf(c->stamp + 2 * i, 3, "%02x", digest[i]);
}

struct credential_set *credentials_new(void)
{
    struct credential_set *set = calloc(1, sizeof(*set));

    if (set)
        set->refs = 1;
    return set;
}

bool credentials_add(struct credential_set *set, const struct credential_draft *d)
{
    struct credential *more = realloc(set->items, (set->count + 1) * sizeof(*more));
    const char *base = or_empty(d->base_url);
    size_t base_len = strlen(base);
    struct credential *c;

    if (!more)
        return false;
    set->items = more;
    c = &more[set->count++]; // from here on credentials_unref() frees what is there
    *c = (struct credential){.kind = d->kind, .entry = d->entry, .weight = d->weight};
    while (base_len > 0 && base[base_len - 1] == '/')
        base_len--;
    c->id = strdup(d->id);
    c->provider = strdup(d->provider);
    c->name = lower(d->name, strlen(d->name));
    c->secret = strdup(or_empty(d->secret));
    c->label = strdup(or_empty(d->label));
    c->base_url = strndup(base, base_len);
    c->proxy = d->proxy && *d->proxy ? strdup(d->proxy) : NULL;
    c->details = d->details ? strdup(d->details) : NULL;
    if (!c->id || !c->provider || !c->name || !c->secret || !c->label || !c->base_url ||
        (d->proxy && *d->proxy && !c->proxy) || (d->details && !c->details))
        return false;
    stamp(c);
    return bind_hosts(c, d->hosts);
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct credential *)a)->id, ((const struct credential *)b)->id);
}

void credentials_seal(struct credential_set *set)
{
    if (set->count > 1)
        qsort(set->items, set->count, sizeof(*set->items), by_id);
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

static void free_credential(struct credential *c)
{
    forget(c->secret);
    forget(c->proxy);
    free(c->id);
    free(c->provider);
    free(c->name);
    free(c->label);
    free(c->base_url);
    free(c->details);
    for (size_t i = 0; i < c->host_count; i++)
        free(c->hosts[i].name);
    free(c->hosts);
}

void credentials_unref(struct credential_set *set)
{
    if (!set || __atomic_sub_fetch(&set->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < set->count; i++)
        free_credential(&set->items[i]);
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

bool credential_may_go(const struct credential *c, const struct url *url)
{
    bool tls = url->scheme_len == 5;

    for (size_t i = 0; i < c->host_count; i++) {
        const struct credential_host *host = &c->hosts[i];

        if (strlen(host->name) == url->host_len &&
            strncasecmp(host->name, url->host, url->host_len) == 0 && host->port == url->port &&
            (tls || !host->tls))
            return true;
    }
    return false;
}
