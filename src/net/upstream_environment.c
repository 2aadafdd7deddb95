// What the environment says about certificates, proxies and fixed addresses.

#include "net/upstream_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NO_PROXY_LOCAL "localhost,127.0.0.0/8,::1"

// The variable in lower or upper case, NULL when neither has a value.
static const char *variable(const char *lower, const char *upper)
{
    const char *value = getenv(lower);

    if (!value || !*value)
        value = getenv(upper);
    return value && *value ? value : NULL;
}

static bool copy(char **out, const char *value)
{
    *out = value ? strdup(value) : NULL;
    return !value || *out;
}

// In the environment a proxy may be written without its scheme.
static bool copy_proxy(char **out, const char *value)
{
    struct buf text;

    if (!value || strstr(value, "://"))
        return copy(out, value);
    buf_init(&text, 4096);
    if (buf_printf(&text, "http://%s", value))
        *out = buf_detach(&text, &(size_t){0});
    buf_deinit(&text);
    return *out != NULL;
}

static bool read_no_proxy(struct upstream_environment *env)
{
    const char *value = variable("no_proxy", "NO_PROXY");
    struct buf text;

    if (!value)
        return copy(&env->no_proxy, NO_PROXY_LOCAL);
    if (strcmp(value, "*") == 0)
        return copy(&env->no_proxy, value);
    buf_init(&text, 64 * 1024);
    if (buf_printf(&text, "%s," NO_PROXY_LOCAL, value))
        env->no_proxy = buf_detach(&text, &(size_t){0});
    buf_deinit(&text);
    return env->no_proxy != NULL;
}

// True when an entry has a port behind its address: `host:port:address:port`.
static bool names_port(const char *entry)
{
    const char *address = strchr(entry, ':');

    address = address ? strchr(address + 1, ':') : NULL;
    if (!address)
        return false;
    address++;
    if (*address == '[')
        return strstr(address, "]:") != NULL;
    return strchr(address, ':') && strchr(address, ':') == strrchr(address, ':');
}

static bool add_resolve(struct upstream_environment *env, const char *entry)
{
    bool elsewhere = names_port(entry);
    struct curl_slist **list = elsewhere ? &env->connect_to : &env->resolve;
    // To curl an empty name stands for every host there.
    struct curl_slist *longer =
        curl_slist_append(*list, entry + (elsewhere && strncmp(entry, "*:", 2) == 0));

    if (longer)
        *list = longer;
    return longer != NULL;
}

static bool read_resolve(struct upstream_environment *env)
{
    const char *at = getenv("CLIPROXY_RESOLVE");

    while (at && *at) {
        size_t len = strcspn(at, ",");
        char *entry = strndup(at, len);
        bool added = entry && (!len || add_resolve(env, entry));

        free(entry);
        if (!added)
            return false;
        at += len + (at[len] == ',');
    }
    return true;
}

bool upstream_environment_init(struct upstream_environment *env)
{
    const char *all = variable("all_proxy", "ALL_PROXY");
    const char *http = variable("http_proxy", "HTTP_PROXY");
    const char *https = variable("https_proxy", "HTTPS_PROXY");
    const char *ca = getenv("SSL_CERT_FILE");

    *env = (struct upstream_environment){0};
    return copy(&env->ca_file, ca && *ca ? ca : NULL) &&
           copy_proxy(&env->http_proxy, http ? http : all) &&
           copy_proxy(&env->https_proxy, https ? https : all) && read_no_proxy(env) &&
           read_resolve(env);
}

void upstream_environment_deinit(struct upstream_environment *env)
{
    free(env->ca_file);
    free(env->http_proxy);
    free(env->https_proxy);
    free(env->no_proxy);
    free(env->checked_proxy);
    curl_slist_free_all(env->resolve);
    curl_slist_free_all(env->connect_to);
    *env = (struct upstream_environment){0};
}

static bool scheme_known(const char *text)
{
    static const char *const known[] = {"http://", "https://", "socks5://", "socks5h://"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strncasecmp(text, known[i], strlen(known[i])) == 0)
            return true;
    return false;
}

static bool usable(struct upstream_environment *env, const char *proxy)
{
    CURLU *parsed;
    char *path = NULL, *query = NULL;
    bool good;

    if (env->checked_proxy && strcmp(env->checked_proxy, proxy) == 0)
        return true;
    if (!scheme_known(proxy) || !(parsed = curl_url()))
        return false;
    // A path or query means that a `/`, `?` or `#` in a password was not escaped.
    good = curl_url_set(parsed, CURLUPART_URL, proxy, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
           curl_url_get(parsed, CURLUPART_PATH, &path, 0) == CURLUE_OK && !strcmp(path, "/") &&
           curl_url_get(parsed, CURLUPART_QUERY, &query, 0) != CURLUE_OK;
    curl_free(path);
    curl_free(query);
    curl_url_cleanup(parsed);
    if (good) {
        free(env->checked_proxy);
        env->checked_proxy = strdup(proxy); // only a cache: NULL will do
    }
    return good;
}

bool upstream_environment_proxy(struct upstream_environment *env, const char *url,
                                const char *wanted, const char **proxy, const char **no_proxy)
{
    if (wanted && !*wanted)
        wanted = NULL;
    // Never NULL: curl would then look into the environment itself.
    *no_proxy = "";
    *proxy = "";
    if (wanted && (!strcasecmp(wanted, "direct") || !strcasecmp(wanted, "none")))
        return true;
    if (!wanted) {
        wanted = strncasecmp(url, "https:", 6) == 0 ? env->https_proxy : env->http_proxy;
        if (!wanted)
            return true;
        *no_proxy = env->no_proxy;
    }
    *proxy = wanted;
    return usable(env, wanted);
}
