// Every change of a root leads to the same thing after the debounce time: all its watches are made
// anew from what is on disk, then the root is reported.  So a directory that was replaced (even by
// one with the same inode number) is watched again, and nothing that happens meanwhile is lost:
// new watches are made before old ones go, and the report comes last.
//
// Above a root, directories are watched for one name only: the way to the root where it is
// missing, leads through a symbolic link (container platforms switch those), or is its last step.

#include "net/watcher.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"

#define DIRECTORIES_MAX 1000
#define DEPTH_MAX 16
#define PATH_BYTES 4096

struct root {
    struct list link;
    struct watcher *watcher;
    char *given, *path; // as the user names it, and absolute
    bool recursive;
    bool changed;
    struct list places;
};

// One watched directory.
struct place {
    struct list link; // unlinked while its handle closes
    uv_fs_event_t event;
    struct root *root; // NULL while its handle closes
    struct watcher *watcher;
    char *name; // the only entry of interest, or NULL
    dev_t device;
    ino_t inode;
};

struct watcher {
    uv_loop_t *loop;
    struct log *log;
    double debounce;
    void (*on_change)(void *ctx, const char *path);
    void *ctx;
    uv_timer_t timer;
    struct list roots;
    size_t places, handles;
    bool stopped;
    bool limit_told;
};

// --- one directory ---

static void on_place_closed(uv_handle_t *handle)
{
    struct place *p = handle->data;

    p->watcher->handles--;
    free(p->name);
    free(p);
}

static void place_close(struct place *p)
{
    list_remove(&p->link);
    p->root = NULL;
    p->watcher->places--;
    uv_close((uv_handle_t *)&p->event, on_place_closed);
}

static void on_timer(uv_timer_t *timer);

static void root_touch(struct root *root)
{
    struct watcher *w = root->watcher;

    root->changed = true;
    // Not restarted by further changes, so that a busy directory is reported as well.
    if (!uv_is_active((uv_handle_t *)&w->timer))
        uv_timer_start(&w->timer, on_timer, (uint64_t)(w->debounce * 1000), 0);
}

static void on_event(uv_fs_event_t *event, const char *file, int events, int status)
{
    struct place *p = event->data;

    (void)events;
    (void)status;
    if (p->root && (!p->name || !file || strcmp(p->name, file) == 0))
        root_touch(p->root);
}

static bool place_limit(struct watcher *w)
{
    if (w->places < DIRECTORIES_MAX)
        return false;
    if (!w->limit_told)
        log_warn(w->log, "more than %d directories to watch; some are not", DIRECTORIES_MAX);
    w->limit_told = true;
    return true;
}

// Watches `path`.  `name` (`name_len` bytes, may be NULL) restricts it to one entry.
static int place_open(struct root *root, struct list *places, const char *path, const char *name,
                      size_t name_len, const struct stat *info)
{
    struct watcher *w = root->watcher;
    struct place *p = calloc(1, sizeof(*p));
    int rc;

    if (!p || (name && !(p->name = strndup(name, name_len)))) {
        free(p);
        return UV_ENOMEM;
    }
    p->watcher = w;
    p->root = root;
    if (info) {
        p->device = info->st_dev;
        p->inode = info->st_ino;
    }
    uv_fs_event_init(w->loop, &p->event);
    p->event.data = p;
    w->handles++;
    w->places++;
    list_append(places, &p->link);
    rc = uv_fs_event_start(&p->event, on_event, path, 0);
    if (rc < 0)
        place_close(p);
    return rc;
}

// --- a tree ---

static bool seen(const struct list *places, const struct stat *info)
{
    list_each(it, following, places) {
        const struct place *p = list_entry(it, struct place, link);

        if (!p->name && p->device == info->st_dev && p->inode == info->st_ino)
            return true;
    }
    return false;
}

static int scan(struct root *root, struct list *places, const char *path, int depth)
{
    struct stat info;
    struct dirent *entry;
    DIR *dir;
    int rc;

    // Symbolic links are followed; one that leads back is seen already.
    if (stat(path, &info) < 0)
        return uv_translate_sys_error(errno);
    if (!S_ISDIR(info.st_mode))
        return UV_ENOTDIR;
    if (seen(places, &info) || place_limit(root->watcher))
        return 0;
    rc = place_open(root, places, path, NULL, 0, &info);
    if (rc < 0 || !root->recursive || depth >= DEPTH_MAX || !(dir = opendir(path)))
        return rc;
    while ((entry = readdir(dir))) {
        char below[PATH_BYTES];
        bool maybe = entry->d_type == DT_DIR || entry->d_type == DT_LNK ||
                     entry->d_type == DT_UNKNOWN;

        if (!maybe || !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (snprintf(below, sizeof(below), "%s/%s", path, entry->d_name) < (int)sizeof(below))
            scan(root, places, below, depth + 1);
    }
    closedir(dir);
    return 0;
}

// Watches the way to the root.
static int scan_above(struct root *root, struct list *places)
{
    const char *at = root->path;
    int rc = 0;

    while (*at == '/' && rc >= 0) {
        const char *name = at + 1;
        size_t len = strcspn(name, "/");
        char parent[PATH_BYTES], step[PATH_BYTES];
        struct stat info;
        bool there;

        if (!len)
            break;
        snprintf(parent, sizeof(parent), "%.*s", at == root->path ? 1 : (int)(at - root->path),
                 root->path);
        snprintf(step, sizeof(step), "%.*s", (int)(name + len - root->path), root->path);
        there = stat(step, &info) == 0;
        if (!there || name[len] == '\0' || (lstat(step, &info) == 0 && S_ISLNK(info.st_mode)))
            rc = place_limit(root->watcher) ? 0
                                            : place_open(root, places, parent, name, len, NULL);
        // A parent that we may not read does not stand in the way of a root that is there.
        if (rc == UV_EACCES && there)
            rc = 0;
        if (!there)
            break;
        at = name + len;
    }
    return rc;
}

static int root_scan(struct root *root)
{
    struct list fresh, *node;
    int above, rc;

    list_init(&fresh);
    above = scan_above(root, &fresh);
    rc = scan(root, &fresh, root->path, 0);
    while ((node = list_shift(&root->places)))
        place_close(list_entry(node, struct place, link));
    list_splice(&root->places, &fresh);
    if (rc == UV_ENOENT || rc == UV_ENOTDIR)
        rc = above;
    return rc;
}

static void root_free(struct root *root)
{
    struct list *node;

    if (!root)
        return;
    while ((node = list_shift(&root->places)))
        place_close(list_entry(node, struct place, link));
    list_remove(&root->link);
    free(root->given);
    free(root->path);
    free(root);
}

static void on_timer(uv_timer_t *timer)
{
    struct watcher *w = timer->data;
    bool more = true;

    // From the start after each report: on_change may add and remove roots.
    while (more) {
        more = false;
        list_each(it, following, &w->roots) {
            struct root *root = list_entry(it, struct root, link);
            char given[PATH_BYTES];
            int rc;

            if (!root->changed)
                continue;
            root->changed = false;
            rc = root_scan(root);
            if (rc < 0)
                log_warn(w->log, "cannot watch %s: %s", root->given, uv_strerror(rc));
            snprintf(given, sizeof(given), "%s", root->given);
            w->on_change(w->ctx, given);
            more = !w->stopped;
            break;
        }
    }
}

// --- life ---

struct watcher *watcher_new(uv_loop_t *loop, struct log *log, double debounce,
                            void (*on_change)(void *ctx, const char *path), void *ctx)
{
    struct watcher *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->loop = loop;
    w->log = log;
    w->debounce = debounce > 0 ? debounce : 0.2;
    w->on_change = on_change;
    w->ctx = ctx;
    list_init(&w->roots);
    uv_timer_init(loop, &w->timer);
    w->timer.data = w;
    w->handles = 1;
    return w;
}

// The absolute form of `path` without a slash at its end.
static char *absolute(const char *path)
{
    char here[PATH_BYTES], full[PATH_BYTES];
    int n;

    while (path[0] == '.' && path[1] == '/')
        path += 2;
    if (*path == '/')
        n = snprintf(full, sizeof(full), "%s", path);
    else if (!getcwd(here, sizeof(here)))
        return NULL;
    else
        n = snprintf(full, sizeof(full), "%s/%s", here, strcmp(path, ".") ? path : "");
    if (n <= 0 || n >= (int)sizeof(full))
        return NULL;
    while (n > 1 && full[n - 1] == '/')
        full[--n] = '\0';
    return strdup(full);
}

int watcher_add(struct watcher *w, const char *path, bool recursive)
{
    struct root *root;
    int rc;

    if (w->stopped || !*path || strlen(path) >= PATH_BYTES)
        return UV_EINVAL;
    root = calloc(1, sizeof(*root));
    if (!root)
        return UV_ENOMEM;
    list_init(&root->link);
    list_init(&root->places);
    root->watcher = w;
    root->recursive = recursive;
    root->given = strdup(path);
    root->path = absolute(path);
    rc = root->given && root->path ? root_scan(root) : UV_ENOMEM;
    if (rc < 0) {
        root_free(root);
        return rc;
    }
    list_append(&w->roots, &root->link);
    return 0;
}

void watcher_remove(struct watcher *w, const char *path)
{
    list_each(it, following, &w->roots) {
        struct root *root = list_entry(it, struct root, link);

        if (strcmp(root->given, path) == 0)
            root_free(root);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct watcher *w = handle->data;

    w->handles--;
}

void watcher_stop(struct watcher *w)
{
    struct list *node;

    if (w->stopped)
        return;
    w->stopped = true;
    while ((node = list_shift(&w->roots)))
        root_free(list_entry(node, struct root, link));
    uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

bool watcher_closed(const struct watcher *w)
{
    return w->handles == 0;
}

void watcher_free(struct watcher *w)
{
    free(w);
}
