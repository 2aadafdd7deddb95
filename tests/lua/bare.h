// bare.h - a Lua state with the C modules `json`, `crypto` and `sse` of the program and nothing
// else of it: for the specs, and for measuring the translation hub.

#pragma once

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

#include "script/modules.h"
#include "script/state.h"
#include "script/task.h"

struct bare {
    lua_State *L;
    // What `crypto` asks its task for: a buffer.
    struct script_state state;
    struct task task;
};

// Sets up a new state, which bare_run() will close; `arg` gets the program's arguments.  False
// without one.
static inline bool bare_open(struct bare *b, lua_State *L, char **argv)
{
    *b = (struct bare){.L = L, .task.state = &b->state};
    if (!L)
        return false;
    buf_init(&b->state.scratch, 64 << 20);
    *(struct task **)lua_getextraspace(L) = &b->task;
    b->state.L = L;
    b->state.in_steps = true;
    state_choose_collector(&b->state);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_json);
    lua_setfield(L, -2, "json");
    lua_pushcfunction(L, luaopen_crypto);
    lua_setfield(L, -2, "crypto");
    lua_pushcfunction(L, luaopen_sse);
    lua_setfield(L, -2, "sse");
    lua_pop(L, 1);
    lua_newtable(L);
    for (int i = 1; argv[i]; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_setglobal(L, "arg");
    return true;
}

// Runs a script and closes the state; the exit code.
static inline int bare_run(struct bare *b, const char *script)
{
    int failed = luaL_dofile(b->L, script);

    if (failed)
        fprintf(stderr, "%s\n", lua_tostring(b->L, -1));
    lua_close(b->L);
    buf_deinit(&b->state.scratch);
    return failed ? 1 : 0;
}
