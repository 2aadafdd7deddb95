#include "app/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "net/tls.h"

enum { WORKERS_MAX = 64 };

struct server_limits settings_limits(const struct config *config)
{
    return (struct server_limits){
        .head_bytes = 1024 * 1024,
        .body_bytes = (size_t)config_int(config, "limits.body-mib") << 20,
        .head_seconds = config_number(config, "limits.header-seconds"),
        .body_seconds = 60,
        .idle_seconds = config_number(config, "limits.idle-seconds"),
        .write_seconds = 600,
        .output_high = 64 * 1024,
    };
}

size_t settings_workers(const struct config *config)
{
    int64_t n = config_int(config, "workers");

    if (n <= 0)
        n = uv_available_parallelism();
    return n > WORKERS_MAX ? WORKERS_MAX : (size_t)n;
}

// The directory of a path, "." when it has none.
static void directory_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(out, size, ".");
    else
        snprintf(out, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

void settings_base(const struct config *config, char *out, size_t size)
{
    const char *writable = getenv("WRITABLE_PATH");

    if (!writable || !*writable)
        writable = getenv("writable_path");
    if (writable && *writable)
        snprintf(out, size, "%s", writable);
    else
        directory_of(config_path(config), out, size);
}

bool settings_log(const struct config *config, struct log *log)
{
    struct log_options options = {
        .level = config_bool(config, "debug") ? LOG_DEBUG : LOG_INFO,
        .directory_max_bytes = (size_t)config_int(config, "logs-max-total-size-mb") << 20,
    };
    char base[1024], directory[1100], fallback[1100];
    char *auth;
    bool ok;

    if (!config_bool(config, "logging-to-file"))
        return log_configure(log, &options);
    settings_base(config, base, sizeof(base));
    snprintf(directory, sizeof(directory), "%s/logs", base);
    auth = config_expand_path(config, "auth-dir");
    snprintf(fallback, sizeof(fallback), "%s/logs", auth ? auth : ".");
    free(auth);
    options.directory = directory;
    options.fallback = fallback;
    ok = log_configure(log, &options);
    return ok;
}

bool settings_tls(const struct config *config, SSL_CTX **tls, struct buf *error)
{
    char *cert, *key, message[512] = "";

    *tls = NULL;
    if (!config_bool(config, "tls.enable"))
        return true;
    cert = config_expand_path(config, "tls.cert");
    key = config_expand_path(config, "tls.key");
    if (cert && key && (!*cert || !*key))
        snprintf(message, sizeof(message), "tls.enable needs tls.cert and tls.key");
    else if (cert && key)
        *tls = tls_context_new(cert, key, message, sizeof(message));
    free(cert);
    free(key);
    if (!*tls)
        buf_printf(error, "tls: %s", *message ? message : "out of memory");
    return *tls;
}

static size_t count_entries(const struct config *config, const char *list)
{
    const struct config_node *node = config_at(config, list);

    return node && node->type == CONFIG_LIST ? node->count : 0;
}

void settings_summary(const struct config *config, size_t files, char *line, size_t size)
{
    size_t google = count_entries(config, "generative-language-api-key") +
                    count_entries(config, "gemini-api-key");
    size_t claude = count_entries(config, "claude-api-key");
    size_t codex = count_entries(config, "codex-api-key");
    size_t compatible = count_entries(config, "openai-compatibility");

    snprintf(line, size,
             "server clients and configuration updated: %zu clients (%zu auth files + %zu GL API keys "
             "+ %zu Claude API keys + %zu Codex keys + %zu OpenAI-compat)",
             files + google + claude + codex + compatible, files, google, claude, codex, compatible);
}

// What tells one version of a file from another, mixed into one number.
static uint64_t mix_file(uint64_t seen, const char *path)
{
    struct stat st;
    uint64_t facts[4] = {0};

    if (path && stat(path, &st) == 0) {
        facts[0] = st.st_ino;
        facts[1] = (uint64_t)st.st_size;
        facts[2] = (uint64_t)st.st_mtim.tv_sec;
        facts[3] = (uint64_t)st.st_mtim.tv_nsec;
    }
    for (size_t i = 0; i < 4; i++)
        seen = (seen ^ facts[i]) * 0x9e3779b97f4a7c15u;
    return seen;
}

uint64_t settings_files(const struct config *config, const char *path)
{
    char *cert = config_expand_path(config, "tls.cert"), *key = config_expand_path(config, "tls.key");
    uint64_t seen = mix_file(mix_file(mix_file(1, path), cert), key);

    free(cert);
    free(key);
    return seen;
}
