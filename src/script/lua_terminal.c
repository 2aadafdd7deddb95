// lua_terminal.c - the module `terminal`, see lua/types/login.lua.
//
// Standard input is looked at while a script waits for a line.  It is opened once more for that:
// polling makes it non-blocking, and what we were given is shared with the shell.  A socket cannot
// be opened again: it is set back in the end.

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "script/modules.h"
#include "script/state.h"
#include "script/task.h"

enum { INPUT_MAX = 256 * 1024, PIECE = 4096 };

// What has been read; one a state, anchored in its registry.  `poll` is closed after the userdata
// is gone, so it is a block of its own.
struct input {
    uv_poll_t *poll; // NULL: reading does not wait (a file), or was not needed yet
    int fd;
    int flags; // of standard input, to be set back; -1: they were left alone
    struct wait wait;
    struct buf text;
    bool opened, ended;
};

static const char INPUT_KEY;

// --- reading ---------------------------------------------------------------------------------

// Takes what is there.  Called when reading does not block.
static void take(struct input *in)
{
    char *room = buf_reserve(&in->text, PIECE);
    ssize_t n = room ? read(in->fd, room, PIECE) : 0;

    if (n > 0)
        buf_commit(&in->text, (size_t)n);
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        in->ended = true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct input *in = poll->data;

    (void)events;
    uv_poll_stop(poll);
    if (status < 0)
        in->ended = true;
    else
        take(in);
    task_wake(&in->wait);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

// A descriptor that can be polled; negative for files, where reading does not wait.
static int pollable(int *flags)
{
    struct stat st;
    int fd = -1;

    if (fstat(STDIN_FILENO, &st) < 0)
        return -1;
    if (isatty(STDIN_FILENO))
        fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
        fd = open("/dev/stdin", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && !S_ISREG(st.st_mode)) {
        *flags = fcntl(STDIN_FILENO, F_GETFL);
        fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    }
    return fd;
}

static void open_input(struct input *in, uv_loop_t *loop)
{
    int fd;

    in->opened = true;
    in->fd = STDIN_FILENO;
    in->flags = -1;
    fd = pollable(&in->flags);
    if (fd < 0)
        return;
    in->poll = calloc(1, sizeof(*in->poll));
    if (!in->poll || uv_poll_init(loop, in->poll, fd) < 0) {
        free(in->poll);
        in->poll = NULL;
        close(fd);
        return;
    }
    in->fd = fd;
    in->poll->data = in;
}

static int l_input_gc(lua_State *L)
{
    struct input *in = lua_touserdata(L, 1);

    wait_deinit(&in->wait);
    if (in->poll) {
        uv_close((uv_handle_t *)in->poll, on_closed);
        if (in->flags >= 0)
            fcntl(in->fd, F_SETFL, in->flags);
        close(in->fd);
    }
    in->poll = NULL;
    buf_deinit(&in->text);
    return 0;
}

static struct input *l_input(lua_State *L)
{
    struct input *in;

    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &INPUT_KEY) == LUA_TNIL) {
        lua_pop(L, 1);
        in = lua_newuserdatauv(L, sizeof(*in), 0);
        memset(in, 0, sizeof(*in));
        buf_init(&in->text, INPUT_MAX);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, l_input_gc);
        lua_setfield(L, -2, "__gc");
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &INPUT_KEY);
    }
    in = lua_touserdata(L, -1);
    if (!in->opened)
        open_input(in, state_of(L)->host->scheduler->loop);
    return in;
}

static const char *line_end(const struct input *in)
{
    return in->text.len ? memchr(in->text.data, '\n', in->text.len) : NULL;
}

// Pushes the first line of the input, without its end; false when there is none yet.
static bool l_take_line(lua_State *L, struct input *in)
{
    const char *end = line_end(in);
    size_t len = end ? (size_t)(end - in->text.data) : in->text.len;

    if (!end && (!in->ended || len == 0))
        return false;
    lua_pushlstring(L, in->text.data, len - (len > 0 && in->text.data[len - 1] == '\r'));
    buf_consume(&in->text, len + (end != NULL));
    return true;
}

static int l_line_ready(lua_State *L, int status, lua_KContext ctx)
{
    struct input *in = lua_touserdata(L, 2);
    double deadline = lua_tonumber(L, 1);

    (void)status;
    while (!in->poll && !in->ended && !line_end(in))
        take(in);
    if (l_take_line(L, in))
        return 1;
    if (in->ended)
        return l_push_failure(L, "closed", "the input has ended");
    if (clock_mono() >= deadline) {
        uv_poll_stop(in->poll);
        return l_push_failure(L, "timeout", "no line was typed in time");
    }
    uv_poll_start(in->poll, UV_READABLE, on_readable);
    return l_task_park_until(L, &in->wait, deadline, l_line_ready, ctx);
}

// terminal.line(seconds) -> string?, error?
static int l_terminal_line(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);

    l_check_privileged(L, "use the terminal");
    lua_settop(L, 0);
    lua_pushnumber(L, clock_mono() + seconds);
    l_input(L);
    return l_line_ready(L, LUA_OK, 0);
}

// --- the rest --------------------------------------------------------------------------------

// terminal.write(text)
static int l_terminal_write(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    l_check_privileged(L, "use the terminal");
    fwrite(text, 1, len, stdout);
    fflush(stdout);
    return 0;
}

// terminal.is_interactive() -> boolean
static int l_terminal_is_interactive(lua_State *L)
{
    // Reading in the background would stop the program.
    lua_pushboolean(L, isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp());
    return 1;
}

int luaopen_terminal(lua_State *L)
{
    static const luaL_Reg functions[] = {{"line", l_terminal_line},
                                         {"write", l_terminal_write},
                                         {"is_interactive", l_terminal_is_interactive},
                                         {0}};

    luaL_newlib(L, functions);
    return 1;
}
