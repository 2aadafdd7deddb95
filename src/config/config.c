#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/validate.h"

#define FILE_MAX (8u << 20)
#define REPORT_MAX (64u << 10)

struct config {
    atomic_uint refs;
    struct arena arena;
    const char *path;
    struct config_node *root;
};

void config_report_init(struct config_report *report)
{
    buf_init(&report->errors, REPORT_MAX);
    buf_init(&report->warnings, REPORT_MAX);
}

void config_report_deinit(struct config_report *report)
{
    buf_deinit(&report->errors);
    buf_deinit(&report->warnings);
}

static struct config_node *member(const struct config_node *map, const char *name, size_t len)
{
    if (map->type != CONFIG_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (strncmp(map->names[i], name, len) == 0 && map->names[i][len] == '\0')
            return map->items[i];
    }
    return NULL;
}

static void remove_member(struct config_node *map, const char *name)
{
    size_t kept = 0;

    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->names[i], name) == 0)
            continue;
        map->names[kept] = map->names[i];
        map->items[kept++] = map->items[i];
    }
    map->count = kept;
}

// The keys of the first `auth.providers` entry of type config-api-key, or NULL.
static struct config_node *legacy_keys(const struct config_node *root)
{
    const struct config_node *auth = config_member(root, "auth");
    const struct config_node *providers = auth ? config_member(auth, "providers") : NULL;

    for (size_t i = 0; providers && i < providers->count; i++) {
        struct config_node *provider = providers->items[i];

        if (strcmp(config_member(provider, "type")->text, "config-api-key") == 0)
            return member(provider, "api-keys", strlen("api-keys"));
    }
    return NULL;
}

// Old files keep client keys under `auth.providers`.  Readers see `api-keys` only.
static void settle_legacy(struct config_node *root)
{
    struct config_node *keys = legacy_keys(root);

    for (size_t i = 0; keys && i < root->count; i++) {
        if (strcmp(root->names[i], "api-keys") == 0 && root->items[i]->count == 0)
            root->items[i] = keys;
    }
    remove_member(root, "auth");
}

static bool read_document(struct config *c, const char *text, size_t len,
                          struct config_report *report)
{
    struct arena scratch = {0};
    struct yaml_value *tree;
    bool ok = yaml_tree_read(&scratch, c->path, text, len, &report->errors, &tree) != YAML_BROKEN;

    if (ok)
        c->root = validate_tree(&c->arena, c->path, tree, report);
    arena_free(&scratch);
    if (!c->root)
        return false;
    settle_legacy(c->root);
    return true;
}

struct config *config_parse(const char *name, const char *text, size_t len,
                            struct config_report *report)
{
    struct config *c = calloc(1, sizeof(*c));

    if (!c)
        goto no_memory;
    atomic_init(&c->refs, 1);
    c->path = arena_text(&c->arena, name, strlen(name));
    if (!c->path)
        goto no_memory;
    if (len > FILE_MAX) {
        buf_printf(&report->errors, "%s:1: larger than 8 MiB\n", name);
        goto fail;
    }
    if (!read_document(c, text, len, report))
        goto fail;
    return c;

no_memory:
    buf_printf(&report->errors, "%s:1: out of memory\n", name);
fail:
    config_unref(c);
    return NULL;
}

// The whole file, or false with errno; EFBIG beyond the limit.
static bool read_file(const char *path, struct buf *out)
{
    // A FIFO must not hold the start up.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    ssize_t n = -1;
    int error;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        do {
            char *to = buf_reserve(out, 16384);

            if (!to) {
                errno = out->len + 16384 > out->max ? EFBIG : ENOMEM;
                n = -1;
                break;
            }
            n = read(fd, to, 16384);
            if (n > 0)
                buf_commit(out, (size_t)n);
        } while (n > 0 || (n < 0 && errno == EINTR));
    } else {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    }
    error = errno;
    close(fd);
    errno = error;
    return n == 0;
}

struct config *config_load(const char *path, struct config_report *report, bool *missing)
{
    struct config *c = NULL;
    struct buf text;
    bool ok;

    buf_init(&text, FILE_MAX + 32768);
    ok = read_file(path, &text);
    if (missing)
        *missing = !ok && (errno == ENOENT || errno == ENOTDIR);
    if (ok)
        c = config_parse(path, text.len > 0 ? text.data : "", text.len, report);
    else
        buf_printf(&report->errors, "%s: %s\n", path, strerror(errno));
    buf_deinit(&text);
    return c;
}

struct config *config_ref(struct config *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void config_unref(struct config *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    arena_free(&c->arena);
    free(c);
}

const char *config_path(const struct config *c)
{
    return c->path;
}

const struct config_node *config_root(const struct config *c)
{
    return c->root;
}

const struct config_node *config_member(const struct config_node *map, const char *name)
{
    return member(map, name, strlen(name));
}

const struct config_node *config_at(const struct config *c, const char *path)
{
    const struct config_node *node = c->root;

    while (node) {
        size_t n = strcspn(path, ".");

        node = member(node, path, n);
        if (path[n] == '\0')
            break;
        path += n + 1;
    }
    return node;
}

bool config_bool(const struct config *c, const char *path)
{
    const struct config_node *node = config_at(c, path);

    return node && node->boolean;
}

int64_t config_int(const struct config *c, const char *path)
{
    const struct config_node *node = config_at(c, path);

    return node ? node->integer : 0;
}

double config_number(const struct config *c, const char *path)
{
    const struct config_node *node = config_at(c, path);

    return node ? node->number : 0;
}

const char *config_string(const struct config *c, const char *path)
{
    const struct config_node *node = config_at(c, path);

    return node ? node->text : "";
}

bool config_is_set(const struct config *c, const char *path)
{
    const struct config_node *node = config_at(c, path);

    return node && node->line > 0;
}

static char *join(const char *head, size_t head_len, const char *separator, const char *tail)
{
    size_t size = head_len + strlen(separator) + strlen(tail) + 1;
    char *out = malloc(size);

    if (!out)
        return NULL;
    memcpy(out, head, head_len);
    strcpy(out + head_len, separator);
    strcat(out + head_len, tail);
    return out;
}

// `rest` is what follows `~`, empty or starting with a separator.
static char *in_home(const char *rest)
{
    const char *home = getenv("HOME");
    char scratch[4096];
    struct passwd entry, *found = NULL;

    if ((!home || !*home) && getpwuid_r(getuid(), &entry, scratch, sizeof(scratch), &found) == 0 &&
        found)
        home = found->pw_dir;
    if (!home || !*home)
        home = "/";
    rest += strspn(rest, "/\\");
    return join(home, strlen(home), *rest ? "/" : "", rest);
}

char *config_expand_path(const struct config *c, const char *key)
{
    const struct config_rule *rule = schema_at(key);
    const char *text = config_string(c, key);
    const char *slash = strrchr(c->path, '/');

    if (text[0] == '~' && strchr("/\\", text[1]))
        return in_home(text + 1);
    if (rule && rule->flags & RULE_BESIDE_FILE && text[0] && text[0] != '/' && slash)
        return join(c->path, (size_t)(slash - c->path), "/", text);
    return join(text, strlen(text), "", "");
}
