// lua_file.c - the module `file`, see lua/types/runtime.lua.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "script/modules.h"
#include "script/state.h"
#include "script/task.h"
#include "store/atomic.h"

enum operation { READ, WRITE, LIST, REMOVE };

enum { LIST_MAX = 4 * 1024 * 1024 }; // bytes of names

// One file operation in the thread pool.  It outlives the userdata when the task is cancelled
// meanwhile: then nobody waits, and the pool's callback frees it.
struct file_work {
    uv_work_t work;
    struct wait wait;
    struct buf content;
    char *path;
    enum operation operation;
    bool done, abandoned;
    int result; // 0 or negative errno
};

static void free_work(struct file_work *w)
{
    if (w->content.len > 0)
        explicit_bzero(w->content.data, w->content.len); // a token, maybe
    buf_deinit(&w->content);
    free(w->path);
    free(w);
}

// Appends the names of the regular files in a directory, each followed by a NUL.
static int list_files(const char *path, struct buf *names)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    struct stat st;

    if (!directory)
        return -errno;
    while ((entry = readdir(directory))) {
        if (fstatat(dirfd(directory), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            buf_append(names, entry->d_name, strlen(entry->d_name) + 1);
    }
    closedir(directory);
    return names->overflow ? -EFBIG : 0;
}

static void do_work(uv_work_t *work)
{
    struct file_work *w = work->data;

    switch (w->operation) {
    case READ:
        w->result = atomic_read(w->path, &w->content);
        break;
    case WRITE:
        w->result =
            atomic_write(w->path, w->content.len ? w->content.data : "", w->content.len, 0600);
        break;
    case LIST:
        w->result = list_files(w->path, &w->content);
        break;
    case REMOVE:
        w->result = unlink(w->path) < 0 ? -errno : 0;
        break;
    }
}

static void work_done(uv_work_t *work, int status)
{
    struct file_work *w = work->data;

    if (status < 0)
        w->result = status;
    w->done = true;
    if (w->abandoned)
        free_work(w);
    else
        task_wake(&w->wait);
}

static int l_work_close(lua_State *L)
{
    struct file_work **at = luaL_checkudata(L, 1, "file.work");
    struct file_work *w = *at;

    *at = NULL;
    if (!w)
        return 0;
    wait_deinit(&w->wait);
    w->abandoned = true;
    if (w->done)
        free_work(w);
    return 0;
}

static void l_push_names(lua_State *L, const struct buf *names)
{
    const char *at = names->data, *end = at + names->len;
    lua_Integer n = 0;

    lua_newtable(L);
    for (; names->len > 0 && at < end; at += strlen(at) + 1) {
        lua_pushstring(L, at);
        lua_rawseti(L, -2, ++n);
    }
}

// Pushes what a successful operation gives.
static void l_push_result(lua_State *L, const struct file_work *w)
{
    if (w->operation == READ)
        lua_pushlstring(L, w->content.len ? w->content.data : "", w->content.len);
    else if (w->operation == LIST)
        l_push_names(L, &w->content);
    else
        lua_pushboolean(L, true);
}

static int l_work_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct file_work **at = luaL_checkudata(L, -1, "file.work");
    struct file_work *w = *at;
    int results;

    (void)status;
    if (!w->done)
        return l_task_park(L, &w->wait, l_work_ready, ctx);
    if (w->result < 0) {
        results = l_push_failure(L, w->result == -ENOENT ? "not_found" : "io", "%s: %s", w->path,
                                 strerror(-w->result));
    } else {
        l_push_result(L, w);
        results = 1;
    }
    *at = NULL;
    free_work(w);
    return results;
}

// Starts an operation; `content` is what to write, or NULL; `max` the bytes it may hold.
static int l_start_work(lua_State *L, enum operation operation, const char *path, size_t max,
                        const char *content, size_t len)
{
    struct script_state *s = state_of(L);
    struct file_work **at = lua_newuserdatauv(L, sizeof(*at), 0);
    struct file_work *w;

    *at = NULL;
    if (luaL_newmetatable(L, "file.work")) {
        lua_pushcfunction(L, l_work_close);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    if (!s->host)
        return luaL_error(L, "files are not available while scripts are checked");
    w = *at = calloc(1, sizeof(*w));
    if (!w)
        return luaL_error(L, "out of memory");
    buf_init(&w->content, max);
    w->path = strdup(path);
    w->operation = operation;
    w->work.data = w;
    w->done = true; // until it is queued
    if (!w->path || (content && !buf_append(&w->content, content, len)))
        return luaL_error(L, "out of memory");
    if (uv_queue_work(s->host->scheduler->loop, &w->work, do_work, work_done) < 0)
        return luaL_error(L, "the thread pool refuses work");
    w->done = false;
    return l_task_park(L, &w->wait, l_work_ready, 0);
}

// file.read(path, max?) -> string?, error?
static int l_file_read(lua_State *L)
{
    lua_Integer max = luaL_optinteger(L, 2, 8 * 1024 * 1024);

    luaL_argcheck(L, max > 0, 2, "must be positive");
    return l_start_work(L, READ, luaL_checkstring(L, 1), (size_t)max, NULL, 0);
}

// file.write(path, content) -> true?, error?
static int l_file_write(lua_State *L)
{
    size_t len;
    const char *content = luaL_checklstring(L, 2, &len);

    return l_start_work(L, WRITE, luaL_checkstring(L, 1), len, content, len);
}

// file.list(directory) -> string[]?, error?
static int l_file_list(lua_State *L)
{
    return l_start_work(L, LIST, luaL_checkstring(L, 1), LIST_MAX, NULL, 0);
}

// file.remove(path) -> true?, error?
static int l_file_remove(lua_State *L)
{
    return l_start_work(L, REMOVE, luaL_checkstring(L, 1), 1, NULL, 0);
}

// --- locks ---------------------------------------------------------------------------------------

static const char LOCK_TYPE[] = "file.lock";

// Safe to call twice.  The lock goes with the descriptor.
static int l_lock_close(lua_State *L)
{
    int *fd = luaL_checkudata(L, 1, LOCK_TYPE);

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return 0;
}

// file.try_lock(path) -> FileLock?, error?
static int l_file_try_lock(lua_State *L)
{
    static const luaL_Reg methods[] = {{"close", l_lock_close}, {0}};
    const char *path = luaL_checkstring(L, 1);
    int *fd = lua_newuserdatauv(L, sizeof(*fd), 0), failure;

    *fd = -1;
    if (luaL_newmetatable(L, LOCK_TYPE)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, l_lock_close);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, l_lock_close);
        lua_setfield(L, -2, "__close");
    }
    lua_setmetatable(L, -2);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return l_push_failure(L, "io", "%s: %s", path, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return 1;
    // Who waits for a lock tries often: the descriptor must not wait for the collector.
    failure = errno;
    close(*fd);
    *fd = -1;
    return failure == EWOULDBLOCK
               ? l_push_failure(L, "busy", "%s is locked", path)
               : l_push_failure(L, "io", "%s: %s", path, strerror(failure));
}

int luaopen_file(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", l_file_read},         {"write", l_file_write},
                                         {"list", l_file_list},         {"remove", l_file_remove},
                                         {"try_lock", l_file_try_lock}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
