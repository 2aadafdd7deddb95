#include "script/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/atomic.h"

const struct embedded_script *bundle_stock(const char *path)
{
    for (const struct embedded_script *e = embedded_scripts; e->name; e++)
        if (strcmp(e->name, path) == 0)
            return e;
    return NULL;
}

static struct script *find(const struct bundle *b, const char *path)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->scripts[i].name, path) == 0)
            return &b->scripts[i];
    return NULL;
}

const struct script *bundle_find(const struct bundle *b, const char *path)
{
    return find(b, path);
}

const struct script *bundle_module(const struct bundle *b, const char *name)
{
    char path[256];

    if (snprintf(path, sizeof(path), "%s.lua", name) >= (int)sizeof(path))
        return NULL;
    for (char *c = path; c < path + strlen(name); c++)
        if (*c == '.')
            *c = '/';
    return find(b, path);
}

// The script of that name, made when there is none.  NULL without memory.
static struct script *get_or_add(struct bundle *b, const char *name)
{
    struct script *s = find(b, name), *more;

    if (s)
        return s;
    more = realloc(b->scripts, (b->count + 1) * sizeof(*more));
    if (!more)
        return NULL;
    b->scripts = more;
    s = &b->scripts[b->count];
    *s = (struct script){.name = strdup(name)};
    if (!s->name)
        return NULL;
    b->count++;
    return s;
}

// Adds a stock script, whose bytes stay in the binary.
static bool put_stock(struct bundle *b, const struct embedded_script *e)
{
    struct script *s = get_or_add(b, e->name);

    if (!s)
        return false;
    s->source = e->begin;
    s->source_len = (size_t)(e->end - e->begin);
    return true;
}

// Adds a script of the overlay, or puts it in the place of the stock one.
static bool put_overlay(struct bundle *b, const char *name, const char *source, size_t len)
{
    struct script *s = get_or_add(b, name);
    char *copy;

    if (!s)
        return false;
    // A copy that nobody has changed is still the stock script.
    if (s->source && !s->owned && s->source_len == len && memcmp(s->source, source, len) == 0)
        return true;
    copy = malloc(len + 1);
    if (!copy)
        return false;
    memcpy(copy, source, len);
    copy[len] = '\0';
    free(s->owned);
    s->source = s->owned = copy;
    s->source_len = len;
    s->overlay = true;
    return true;
}

static bool is_script(const char *name)
{
    size_t len = strlen(name);

    return name[0] != '.' && len > 4 && strcmp(name + len - 4, ".lua") == 0;
}

static bool read_overlay(struct bundle *b, const char *root, const char *below, int depth,
                         struct buf *error);

// One directory entry of the overlay: a script, a folder, or something else that is left alone.
static bool read_entry(struct bundle *b, const char *root, const char *name, int depth,
                       struct buf *error)
{
    char path[1024];
    struct stat st;
    struct buf source;
    bool ok;
    int result;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    if (stat(path, &st) < 0)
        return true; // gone already; the watcher will tell again
    if (S_ISDIR(st.st_mode))
        return strcmp(name, "types") == 0 || read_overlay(b, root, name, depth + 1, error);
    if (!S_ISREG(st.st_mode) || !is_script(name))
        return true;
    buf_init(&source, BUNDLE_SCRIPT_MAX);
    result = atomic_read(path, &source);
    if (result < 0)
        buf_printf(error, "%s: %s\n", path, strerror(-result));
    ok = result == 0 && b->count < BUNDLE_FILES_MAX &&
         put_overlay(b, name, source.len ? source.data : "", source.len);
    buf_deinit(&source);
    return ok;
}

static bool read_overlay(struct bundle *b, const char *root, const char *below, int depth,
                         struct buf *error)
{
    char path[1024], name[512];
    struct dirent *entry;
    bool ok = true;
    DIR *dir;

    if (depth > 8)
        return true;
    snprintf(path, sizeof(path), "%s/%s", root, below);
    dir = opendir(path);
    if (!dir && errno != ENOENT && errno != ENOTDIR) {
        buf_printf(error, "%s: %s\n", path, strerror(errno));
        return false;
    }
    if (!dir)
        return true;
    while (ok && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s%s%s", below, *below ? "/" : "", entry->d_name);
        ok = read_entry(b, root, name, depth, error);
    }
    closedir(dir);
    return ok;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct script *)a)->name, ((const struct script *)b)->name);
}

static bool hash_all(struct bundle *b)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned len = 0;
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);

    for (size_t i = 0; ok && i < b->count; i++)
        ok = EVP_DigestUpdate(md, b->scripts[i].name, strlen(b->scripts[i].name) + 1) &&
             EVP_DigestUpdate(md, &b->scripts[i].source_len, sizeof(size_t)) &&
             EVP_DigestUpdate(md, b->scripts[i].source, b->scripts[i].source_len);
    ok = ok && EVP_DigestFinal_ex(md, digest, &len);
    EVP_MD_CTX_free(md);
    for (unsigned i = 0; ok && i < len; i++)
        snprintf(b->hash + 2 * i, 3, "%02x", digest[i]);
    return ok;
}

struct bundle *bundle_new(const char *overlay, struct buf *error)
{
    struct bundle *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    b->refs = 1;
    for (const struct embedded_script *e = embedded_scripts; e->name; e++)
        if (!put_stock(b, e))
            goto fail;
    if (overlay && *overlay && !read_overlay(b, overlay, "", 0, error))
        goto fail;
    qsort(b->scripts, b->count, sizeof(*b->scripts), by_name);
    if (!hash_all(b))
        goto fail;
    return b;

fail:
    if (error->len == 0)
        buf_puts(error, "the scripts cannot be read: out of memory, or too many files\n");
    bundle_unref(b);
    return NULL;
}

struct bundle *bundle_ref(struct bundle *b)
{
    __atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
    return b;
}

void bundle_unref(struct bundle *b)
{
    if (!b || __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < b->count; i++) {
        free(b->scripts[i].name);
        free(b->scripts[i].owned);
        free(b->scripts[i].code);
    }
    free(b->scripts);
    free(b);
}

bool bundle_has_overlay(const struct bundle *b)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->scripts[i].overlay)
            return true;
    return false;
}

static int append_code(lua_State *L, const void *bytes, size_t n, void *ud)
{
    (void)L;
    return buf_append(ud, bytes, n) ? 0 : 1;
}

static bool compile(lua_State *L, struct script *s, struct buf *error)
{
    char name[300];
    struct buf code;
    bool ok;

    snprintf(name, sizeof(name), "@%s", s->name);
    if (luaL_loadbufferx(L, s->source, s->source_len, name, "t") != LUA_OK) {
        buf_printf(error, "%s\n", lua_tostring(L, -1));
        lua_settop(L, 0);
        return false;
    }
    buf_init(&code, 4 * BUNDLE_SCRIPT_MAX);
    ok = lua_dump(L, append_code, &code, 0) == 0;
    lua_settop(L, 0);
    if (ok) {
        free(s->code);
        s->code = buf_detach(&code, &s->code_len);
    }
    buf_deinit(&code);
    ok = ok && s->code;
    if (!ok)
        buf_printf(error, "%s: out of memory\n", s->name);
    return ok;
}

bool bundle_compile(struct bundle *b, struct buf *error)
{
    lua_State *L = luaL_newstate();
    bool ok = L;

    for (size_t i = 0; L && i < b->count; i++)
        ok = compile(L, &b->scripts[i], error) && ok;
    if (L)
        lua_close(L);
    b->compiled = ok;
    return ok;
}
