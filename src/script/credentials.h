// credentials.h - the credentials of one generation, with the secrets that scripts never see.
//
// Built from the configuration; immutable and reference counted.  Scripts get an id and public
// facts; the HTTP client substitutes `{secret}` here in C, for bound hosts only.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct credential {
    char *id;       // stable, spec http-api 5.1
    char *provider; // script name
    char *name;     // routing name
    char *secret;   // "" for a keyless upstream
    char *label;    // for logs: masked key, or the name
    char *proxy;    // NULL: the global one
    char *base_url;
    char *host;     // the only host the secret may go to, lower case, and its port
    int port;
    const struct config_node *entry; // in the config, which the set keeps alive; NULL: a bare key
};

struct credential_set {
    struct credential *items; // sorted by id
    size_t count;
    struct config *config;
    int refs; // atomic
};

// NULL without memory.
struct credential_set *credentials_from_config(struct config *config);
struct credential_set *credentials_ref(struct credential_set *set);
void credentials_unref(struct credential_set *set);

const struct credential *credentials_find(const struct credential_set *set, const char *id);
