// lua_browser.c - the module `browser`, see lua/types/login.lua.
//
// The browser is a process of its own that outlives us: it is started by a child that ends at once.
// No shell is involved; the address is one argument.

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codec/url.h"
#include "script/modules.h"
#include "script/state.h"

#ifdef __APPLE__
static const char *const candidates[] = {"open"};
#else
static const char *const candidates[] = {"xdg-open", "x-www-browser", "www-browser",
                                         "firefox",  "chromium",      "google-chrome"};
#endif

// Looks for a program in the directories of PATH; `out` gets its path.
static bool find_program(const char *name, char *out, size_t size)
{
    const char *at = getenv("PATH");

    while (at && *at) {
        size_t len = strcspn(at, ":");

        // An empty entry means the working directory, where nothing is looked for.
        if (len > 0 && snprintf(out, size, "%.*s/%s", (int)len, at, name) < (int)size &&
            access(out, X_OK) == 0)
            return true;
        at += len + (at[len] == ':');
    }
    return false;
}

// In the child: nothing but system calls.
static void become(const char *path, const char *name, const char *url)
{
    char *const arguments[] = {(char *)name, (char *)url, NULL};
    int null = open("/dev/null", O_RDWR);
    sigset_t none;

    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execv(path, arguments);
    _exit(127);
}

static bool start(const char *path, const char *name, const char *url)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        if (setsid() >= 0 && fork() == 0)
            become(path, name, url);
        _exit(0);
    }
    // Where SIGCHLD is ignored, which is inherited, the child has gone without us.
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0;
}

// browser.open(url) -> boolean
static int l_browser_open(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    bool started = false;
    char path[4096];
    struct url url;

    l_check_privileged(L, "open a browser");
    luaL_argcheck(L,
                  strlen(text) == len && url_parse(text, len, &url) &&
                      strncasecmp(url.scheme, "http", 4) == 0 && url.scheme_len <= 5,
                  1, "not an http or https URL");
    for (size_t i = 0; !started && i < sizeof(candidates) / sizeof(*candidates); i++)
        started =
            find_program(candidates[i], path, sizeof(path)) && start(path, candidates[i], text);
    lua_pushboolean(L, started);
    return 1;
}

int luaopen_browser(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", l_browser_open}, {0}};

    luaL_newlib(L, functions);
    return 1;
}
