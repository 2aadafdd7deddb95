// credentials.h - sets of credentials, with the secrets that scripts never see.
//
// A set is immutable once it is shared, and reference counted.  One comes from the configuration
// and belongs to a generation; others come and go while it runs, see accounts.h.  Scripts get ids
// and public facts; the HTTP client substitutes `{secret}` here in C, for bound hosts only.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "codec/url.h"
#include "config/config.h"

// Where a secret may go.
struct credential_host {
    char *name; // lower case
    int port;
    bool tls; // never without
};

struct credential {
    char *id;         // stable, spec http-api 5.1
    char *provider;   // script name
    char *name;       // routing name
    const char *kind; // "api_key", "oauth", "session", "none": without a secret; static
    char *secret;     // "" for a keyless upstream
    char stamp[13];   // tells one secret from another: 12 hex digits of its SHA-256
    char *label;      // for logs: masked key, or the account's name
    char *proxy;      // NULL: the global one
    char *base_url;   // "" when there is none
    struct credential_host *hosts;
    size_t host_count;
    const struct config_node *entry;  // in the config, which the set keeps alive; NULL: a bare key
    const struct config_node *weight; // of this key of its entry, in the config; NULL: not given
    char *details; // of an account: JSON object of what else scripts may see; NULL
};

struct credential_set {
    struct credential *items; // sorted by id
    size_t count;
    struct config *config; // NULL: not from a configuration
    int refs;              // atomic
};

// What one credential is made from; strings are copied, "" and NULL mean not given.
struct credential_draft {
    const char *id;
    const char *provider, *name, *kind;
    const char *secret, *label, *proxy, *base_url, *details;
    const char *const *hosts; // URLs, NULL at the end; the base URL's host is bound in any case
    const struct config_node *entry, *weight;
};

// NULL without memory.
struct credential_set *credentials_from_config(struct config *config);

// An empty set, to be filled with credentials_add() and sorted with credentials_seal() before
// anybody else sees it.  NULL without memory.
struct credential_set *credentials_new(void);

// False without memory, or when a host is no URL: the set must be thrown away then.
bool credentials_add(struct credential_set *set, const struct credential_draft *draft);
void credentials_seal(struct credential_set *set);

struct credential_set *credentials_ref(struct credential_set *set);
void credentials_unref(struct credential_set *set);

const struct credential *credentials_find(const struct credential_set *set, const char *id);

// True when the secret may be sent to that URL.
bool credential_may_go(const struct credential *c, const struct url *url);
