#include "config/schema.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

// The tables read better one key a line.
// clang-format off

// Each table ends with a rule without key.
#define END                                                                                        \
    {                                                                                              \
        .key = NULL                                                                                \
    }
#define BOOL(name, value) {.key = name, .type = RULE_BOOL, .fallback = value}
#define INT(name, value, low, high)                                                                \
    {.key = name, .type = RULE_INT, .fallback = value, .min = low, .max = high}
#define STRING(name, value) {.key = name, .type = RULE_STRING, .fallback = value}
#define SECRET(name) {.key = name, .type = RULE_STRING, .fallback = "", .flags = RULE_SECRET}
#define PROXY(name) {.key = name, .type = RULE_PROXY, .fallback = "", .flags = RULE_SECRET}
#define MAP(name, members) {.key = name, .type = RULE_MAP, .member = members}
#define LIST(name, element) {.key = name, .type = RULE_LIST, .member = element}
#define TABLE(name, element) {.key = name, .type = RULE_TABLE, .member = element}
#define ANY(name) {.key = name, .type = RULE_ANY}

static const struct config_rule text = STRING("", "");
static const struct config_rule any = ANY("");
static const struct config_rule any_list = LIST("", &any);
static const struct config_rule text_list = LIST("", &text);
static const struct config_rule secret_text = SECRET("");
static const struct config_rule address = {.key = "", .type = RULE_ADDRESS, .fallback = ""};

#define SECRETS(name)                                                                              \
    {.key = name, .type = RULE_LIST, .member = &secret_text, .flags = RULE_NO_BLANKS}

static const struct config_rule thinking_members[] = {LIST("levels", &text), END};

static const struct config_rule model_members[] = {
    STRING("name", ""),
    STRING("alias", ""),
    STRING("display-name", ""),
    BOOL("force-mapping", "false"),
    INT("max-context-length", "0", 0, 1e9),
    BOOL("image", "false"),
    LIST("input-modalities", &text),
    LIST("output-modalities", &text),
    BOOL("is-compat", "false"),
    BOOL("test-model", NULL),
    {.key = "thinking", .type = RULE_MAP, .member = thinking_members, .flags = RULE_OPEN},
    END,
};
static const struct config_rule model = MAP("", model_members);

// What every entry of a key list may say.  Left out, request-retry and disable-cooling follow
// the top level.
#define ENTRY_MEMBERS                                                                              \
    STRING("prefix", ""), INT("priority", "0", -1e6, 1e6), INT("weight", "1", -1e6, 1e6),          \
        TABLE("headers", &text), LIST("models", &model), LIST("excluded-models", &text),           \
        BOOL("disabled", "false"), BOOL("disable-cooling", NULL),                                  \
        INT("request-retry", NULL, 0, 100), LIST("request-scoped-errors", &any)
#define URL(name) {.key = name, .type = RULE_URL, .fallback = ""}

static const struct config_rule key_members[] = {
    SECRET("api-key"), URL("base-url"), PROXY("proxy-url"), ENTRY_MEMBERS, END,
};
static const struct config_rule key_entry = MAP("", key_members);

static const struct config_rule codex_members[] = {
    SECRET("api-key"),
    URL("base-url"),
    PROXY("proxy-url"),
    ENTRY_MEMBERS,
    BOOL("websockets", "false"),
    BOOL("alpha-search", "false"),
    END,
};
static const struct config_rule codex_entry = MAP("", codex_members);

static const struct config_rule claude_members[] = {
    SECRET("api-key"),
    URL("base-url"),
    PROXY("proxy-url"),
    ENTRY_MEMBERS,
    BOOL("rebuild-mid-system-message", "false"),
    END,
};
static const struct config_rule claude_entry = MAP("", claude_members);

static const struct config_rule api_key_entry_members[] = {
    SECRET("api-key"), PROXY("proxy-url"), INT("weight", "1", -1e6, 1e6), END,
};
static const struct config_rule api_key_entry = MAP("", api_key_entry_members);

static const struct config_rule compatibility_members[] = {
    STRING("name", ""),
    URL("base-url"),
    LIST("api-key-entries", &api_key_entry),
    SECRETS("api-keys"),
    ENTRY_MEMBERS,
    BOOL("stream-usage", "true"),
    BOOL("support-prompt-cache-key", "false"),
    END,
};
static const struct config_rule compatibility_entry = MAP("", compatibility_members);

static const struct config_rule remote_management[] = {
    BOOL("allow-remote", "false"),
    SECRET("secret-key"),
    BOOL("disable-control-panel", "false"),
    BOOL("disable-auto-update-panel", "false"),
    STRING("panel-github-repository", ""),
    END,
};

static const struct config_rule quota_exceeded[] = {
    BOOL("switch-project", "true"),
    BOOL("switch-preview-model", "true"),
    BOOL("antigravity-credits", "false"),
    END,
};

static const struct config_rule tls[] = {
    {.key = "enable", .type = RULE_BOOL, .fallback = "false", .flags = RULE_RESTART},
    STRING("cert", ""),
    STRING("key", ""),
    END,
};

static const struct config_rule pprof[] = {
    BOOL("enable", "false"),
    {.key = "addr", .type = RULE_LISTEN, .fallback = "127.0.0.1:8316"},
    END,
};

static const struct config_rule routing[] = {
    {.key = "strategy",
     .type = RULE_ENUM,
     .fallback = "round-robin",
     .choices = "round-robin|weighted-round-robin|fill-first"},
    BOOL("session-affinity", "true"),
    {.key = "session-affinity-ttl", .type = RULE_DURATION, .fallback = "1h"},
    END,
};

static const struct config_rule streaming[] = {
    INT("keepalive-seconds", "15", 0, 3600),
    INT("bootstrap-retries", "0", 0, 100),
    END,
};

static const struct config_rule codex[] = {
    BOOL("stream-bootstrap-buffering", "false"),
    BOOL("optimize-multi-agent-v2", "false"),
    ANY("live-media-relay"),
    END,
};

static const struct config_rule xai[] = {BOOL("inject-x-search", "false"), END};

static const struct config_rule oauth_alias_members[] = {
    STRING("name", ""),
    STRING("alias", ""),
    BOOL("fork", "false"),
    BOOL("force-mapping", "false"),
    STRING("display-name", ""),
    END,
};
static const struct config_rule oauth_alias = MAP("", oauth_alias_members);
static const struct config_rule oauth_alias_list = LIST("", &oauth_alias);

static const struct config_rule payload[] = {
    LIST("default", &any),      LIST("default-raw", &any), LIST("override", &any),
    LIST("override-raw", &any), LIST("filter", &any),      END,
};

static const struct config_rule limits[] = {
    INT("body-mib", "64", 1, 1024),
    INT("header-seconds", "30", 1, 3600),
    INT("idle-seconds", "120", 1, 86400),
    INT("drain-seconds", "30", 0, 3600),
    END,
};

static const struct config_rule timeouts[] = {
    INT("connect", "30", 1, 3600),
    INT("first-byte", "600", 1, 86400),
    INT("idle", "600", 1, 86400),
    END,
};

static const struct config_rule scripts[] = {
    INT("memory-mib", "512", 8, 65536),
    INT("slice-ms", "10", 1, 10000),
    INT("hard-limit-ms", "2000", 10, 600000),
    BOOL("auto-rollback", "true"),
    END,
};

static const struct config_rule key_policy_members[] = {
    SECRET("api-key"),
    STRING("name", ""),
    LIST("models", &text),
    INT("requests-per-minute", "0", 0, 1e9),
    INT("tokens-per-minute", "0", 0, 1e12),
    {.key = "daily-budget", .type = RULE_NUMBER, .fallback = "0", .max = 1e9},
    {.key = "expires", .type = RULE_TIME, .fallback = ""},
    END,
};
static const struct config_rule key_policy = {.key = "", .type = RULE_MAP,
                                              .member = key_policy_members};

static const struct config_rule recorder[] = {
    INT("exchanges", "50", 0, 10000),
    INT("mib", "16", 0, 4096),
    END,
};

static const struct config_rule auth_provider_members[] = {
    STRING("name", ""), STRING("type", ""), SECRETS("api-keys"), ANY("config"), END,
};
static const struct config_rule auth_provider = MAP("", auth_provider_members);
static const struct config_rule auth[] = {LIST("providers", &auth_provider), END};

#define KEY_LIST(name, element, member_needed)                                                     \
    {.key = name,                                                                                  \
     .type = RULE_LIST,                                                                            \
     .member = element,                                                                            \
     .needs = member_needed,                                                                       \
     .flags = RULE_ONE_IS_LIST}

// README order, then later keys, then our own.
static const struct config_rule root_members[] = {
    {.key = "port", .type = RULE_INT, .fallback = "8317", .max = 65535, .flags = RULE_RESTART},
    STRING("auth-dir", "~/.cli-proxy-api"),
    PROXY("proxy-url"),
    INT("request-retry", "0", 0, 100),
    MAP("remote-management", remote_management),
    MAP("quota-exceeded", quota_exceeded),
    BOOL("debug", "false"),
    BOOL("logging-to-file", "true"),
    BOOL("usage-statistics-enabled", "true"),
    SECRETS("api-keys"),
    SECRETS("generative-language-api-key"),
    KEY_LIST("codex-api-key", &codex_entry, "base-url"),
    KEY_LIST("claude-api-key", &claude_entry, "api-key"),
    KEY_LIST("openai-compatibility", &compatibility_entry, "base-url"),

    BOOL("request-log", "false"),
    BOOL("disable-cooling", "false"),
    BOOL("ws-auth", "true"),
    {.key = "auth", .type = RULE_MAP, .member = auth, .flags = RULE_LEGACY},

    // Its default is the environment's CLIPROXY_HOST when that is set.
    {.key = "host", .type = RULE_HOST, .fallback = "localhost", .flags = RULE_RESTART},
    MAP("tls", tls),
    MAP("pprof", pprof),
    BOOL("commercial-mode", "false"),
    INT("logs-max-total-size-mb", "200", 0, 1e9),
    INT("error-logs-max-files", "10", 0, 1e6),
    INT("redis-usage-queue-retention-seconds", "60", 0, 3600),
    BOOL("force-model-prefix", "false"),
    BOOL("passthrough-headers", "false"),
    INT("max-retry-credentials", "0", 0, 10000),
    INT("max-retry-interval", "30", 0, 86400),
    BOOL("save-cooldown-status", "false"),
    INT("transient-error-cooldown-seconds", "0", -1, 86400),
    INT("auth-auto-refresh-workers", "16", 1, 256),
    MAP("routing", routing),
    MAP("streaming", streaming),
    INT("nonstream-keepalive-interval", "0", 0, 3600),
    {.key = "disable-image-generation",
     .type = RULE_ENUM,
     .fallback = "false",
     .choices = "false|true|chat|passthrough"},
    STRING("gpt-image-2-base-model", ""),
    {.key = "video-result-auth-cache-ttl", .type = RULE_DURATION, .fallback = "3h"},
    MAP("codex", codex),
    MAP("xai", xai),
    KEY_LIST("gemini-api-key", &key_entry, "api-key"),
    KEY_LIST("interactions-api-key", &key_entry, "api-key"),
    KEY_LIST("vertex-api-key", &key_entry, "api-key"),
    KEY_LIST("xai-api-key", &key_entry, "api-key"),
    TABLE("oauth-model-alias", &oauth_alias_list),
    TABLE("oauth-excluded-models", &text_list),
    TABLE("oauth-request-scoped-errors", &any_list),
    MAP("payload", payload),
    ANY("plugins"),

    {.key = "workers", .type = RULE_INT, .fallback = "0", .max = 256, .flags = RULE_RESTART},
    {.key = "scripts-dir", .type = RULE_STRING, .fallback = "lua", .flags = RULE_BESIDE_FILE},
    BOOL("mock", NULL),
    MAP("limits", limits),
    MAP("timeouts", timeouts),
    MAP("scripts", scripts),
    LIST("trusted-proxies", &address),
    {.key = "key-policies", .type = RULE_LIST, .member = &key_policy, .needs = "api-key"},
    INT("usage-retention-days", "90", 0, 36500),
    MAP("recorder", recorder),
    {.key = "claude-oauth-clients",
     .type = RULE_ENUM,
     .fallback = "any",
     .choices = "any|claude-code-only"},
    BOOL("cluster", "false"),
    END,
};
static const struct config_rule root = MAP("", root_members);

// clang-format on

const struct config_rule *schema_root(void)
{
    return &root;
}

static const struct config_rule *member_n(const struct config_rule *map, const char *key, size_t n)
{
    for (const struct config_rule *r = map->member; r->key; r++) {
        if (strlen(r->key) == n && memcmp(r->key, key, n) == 0)
            return r;
    }
    return NULL;
}

const struct config_rule *schema_member(const struct config_rule *map, const char *key)
{
    return member_n(map, key, strlen(key));
}

const struct config_rule *schema_at(const char *path)
{
    const struct config_rule *rule = &root;

    while (rule && rule->type == RULE_MAP) {
        size_t n = strcspn(path, ".");

        rule = member_n(rule, path, n);
        if (path[n] == '\0')
            return rule;
        path += n + 1;
    }
    return NULL;
}

#define NAME_MAX_COMPARED 48

// Levenshtein, one row at a time.
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_COMPARED + 1];
    size_t width = strlen(b);

    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            size_t best = corner + (a[i] == b[j] ? 0 : 1);

            corner = row[j + 1];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (corner + 1 < best)
                best = corner + 1;
            row[j + 1] = best;
        }
    }
    return row[width];
}

const char *schema_nearest(const struct config_rule *map, const char *key)
{
    size_t len = strnlen(key, NAME_MAX_COMPARED + 1);
    size_t nearest = len / 3 > 2 ? len / 3 : 2;
    const char *found = NULL;

    if (len > NAME_MAX_COMPARED)
        return NULL;
    for (const struct config_rule *r = map->member; r->key; r++) {
        size_t distance;

        if (strlen(r->key) > NAME_MAX_COMPARED)
            continue;
        distance = edit_distance(key, r->key);
        if (distance < nearest + (found ? 0 : 1) && distance < len) {
            nearest = distance;
            found = r->key;
        }
    }
    return found;
}

static void visit_members(const char *prefix, const struct config_rule *rule, schema_visit *visit,
                          void *arg)
{
    char path[160];

    if (rule->type == RULE_LIST || rule->type == RULE_TABLE) {
        snprintf(path, sizeof(path), "%s%s", prefix, rule->type == RULE_LIST ? "[]" : ".*");
        visit_members(path, rule->member, visit, arg);
        return;
    }
    if (rule->type != RULE_MAP)
        return;
    for (const struct config_rule *r = rule->member; r->key; r++) {
        snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", r->key);
        visit(path, r, arg);
        visit_members(path, r, visit, arg);
    }
}

void schema_each(schema_visit *visit, void *arg)
{
    visit_members("", &root, visit, arg);
}
