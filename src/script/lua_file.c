// lua_file.c - the module `file`, see lua/types/runtime.lua.

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "script/modules.h"
#include "script/state.h"
#include "script/task.h"
#include "store/atomic.h"

// One file operation in the thread pool.  It outlives the userdata when the task is cancelled
// meanwhile: then nobody waits, and the pool's callback frees it.
struct file_work {
    uv_work_t work;
    struct wait wait;
    struct buf content;
    char *path;
    bool write, done, abandoned;
    int result; // 0 or negative errno
};

static void free_work(struct file_work *w)
{
    buf_deinit(&w->content);
    free(w->path);
    free(w);
}

static void do_work(uv_work_t *work)
{
    struct file_work *w = work->data;

    if (w->write)
        w->result = atomic_write(w->path, w->content.len ? w->content.data : "", w->content.len,
                                 0600);
    else
        w->result = atomic_read(w->path, &w->content);
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
    } else if (w->write) {
        lua_pushboolean(L, true);
        results = 1;
    } else {
        lua_pushlstring(L, w->content.len ? w->content.data : "", w->content.len);
        results = 1;
    }
    *at = NULL;
    free_work(w);
    return results;
}

// Starts the operation; `content` is what to write, or NULL.
static int l_start_work(lua_State *L, const char *path, size_t max, const char *content,
                        size_t len)
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
    w->write = content;
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
    return l_start_work(L, luaL_checkstring(L, 1), (size_t)max, NULL, 0);
}

// file.write(path, content) -> true?, error?
static int l_file_write(lua_State *L)
{
    size_t len;
    const char *content = luaL_checklstring(L, 2, &len);

    return l_start_work(L, luaL_checkstring(L, 1), len, content, len);
}

int luaopen_file(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", l_file_read}, {"write", l_file_write}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
