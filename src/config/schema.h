// schema.h - the table of all configuration keys; inside src/config only, and its tests.
//
// One rule a key: type, default, bounds, and whether its value is a secret.  Everything else in
// this folder is driven by it, so a new key is one line here (and one in docs/configuration.md).

#pragma once

#include <stdbool.h>

enum rule_type {
    RULE_BOOL,
    RULE_INT,
    RULE_NUMBER,
    RULE_STRING,
    RULE_ENUM,     // one of `choices`
    RULE_HOST,     // address to bind: IP address, "localhost" or ""
    RULE_URL,      // "" or http(s) with a host
    RULE_PROXY,    // "", direct, none, or http, https, socks5, socks5h with a host
    RULE_ADDRESS,  // IP address or CIDR block
    RULE_DURATION, // "1h30m", "90s" or a number of seconds
    RULE_TIME,     // "" or RFC 3339
    RULE_LISTEN,   // host:port
    RULE_LIST,     // elements follow `member`
    RULE_MAP,      // the members listed in `member`, which ends with a NULL key
    RULE_TABLE,    // any member names, values follow `member`
    RULE_ANY       // kept as the file has it
};

enum {
    RULE_SECRET = 1,       // an API key, or may carry a password
    RULE_RESTART = 2,      // read at start only
    RULE_LEGACY = 4,       // read, translated and removed from the tree
    RULE_OPEN = 8,         // members outside `member` are nothing to warn about
    RULE_ONE_IS_LIST = 16, // a single map stands for a list of one
    RULE_NO_BLANKS = 32,   // blank elements have no effect and are dropped
    RULE_BESIDE_FILE = 64  // a relative path starts at the config file's directory
};

struct config_rule {
    const char *key;
    enum rule_type type;
    const char *fallback; // as written in YAML; NULL: null, or empty for lists, maps and tables
    double min, max;      // RULE_INT, RULE_NUMBER
    const char *choices;  // RULE_ENUM: "a|b|c"
    const struct config_rule *member;
    // An element of this list without the named member has no effect and is dropped.
    const char *needs;
    unsigned flags;
};

// The rule of the document itself, a RULE_MAP.
const struct config_rule *schema_root(void);

// The rule of a member of a RULE_MAP, or NULL.
const struct config_rule *schema_member(const struct config_rule *map, const char *key);

// The rule at a dotted path without list elements, or NULL.
const struct config_rule *schema_at(const char *path);

// The known name nearest to `key` in edit distance, or NULL when none is near.
const char *schema_nearest(const struct config_rule *map, const char *key);

// Calls `visit` for every key; paths read `codex-api-key[].models[].name`, `.*` for free names.
typedef void schema_visit(const char *path, const struct config_rule *rule, void *arg);
void schema_each(schema_visit *visit, void *arg);
