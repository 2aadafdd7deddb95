// hub.c - runs bench/hub.lua: the translation hub alone, timed, or counted function by function.
//
// The state has its memory from a pool, as those of the program.

#include <string.h>
#include <time.h>

#include "../tests/lua/bare.h"
#include "base/pool.h"

// A prime, so that no loop of scripts keeps in step with it.
enum { SAMPLE_EVERY = 97, FRAMES_MAX = 60 };

static const char COUNTS_KEY;

// What is counted of memory: lines of scripts, and what they made.
enum { LINES_MAX = 4096, KINDS = 4 };

static const char *const kinds[KINDS] = {"tables", "closures", "strings", "parts"};

struct line {
    char place[LUA_IDSIZE + 12];
    lua_Integer made[KINDS];
};

struct memory {
    struct pool pool;
    lua_State *counted; // NULL: nothing is counted
    struct line lines[LINES_MAX];
    size_t line_count;
};

static struct memory memory;

// The line of a script that is running, or NULL.
static struct line *line_of(struct memory *m)
{
    lua_Debug ar;
    char place[sizeof(m->lines[0].place)];

    for (int level = 0; lua_getstack(m->counted, level, &ar); level++) {
        lua_getinfo(m->counted, "Sl", &ar);
        if (*ar.what != 'C')
            break;
        ar.currentline = -1;
    }
    if (ar.currentline < 0)
        return NULL;
    snprintf(place, sizeof(place), "%s:%d", ar.short_src, ar.currentline);
    for (size_t i = 0; i < m->line_count; i++)
        if (strcmp(m->lines[i].place, place) == 0)
            return &m->lines[i];
    if (m->line_count == LINES_MAX)
        return NULL;
    memcpy(m->lines[m->line_count].place, place, sizeof(place));
    return &m->lines[m->line_count++];
}

// Lua tells in old_size what a new block is for; a part is that of a table.
static size_t kind_of(size_t old_size)
{
    switch (old_size) {
    case LUA_TTABLE:
        return 0;
    case LUA_TFUNCTION:
        return 1;
    case LUA_TSTRING:
        return 2;
    default:
        return 3;
    }
}

static void *allocate(void *ud, void *block, size_t old_size, size_t size)
{
    struct memory *m = ud;
    struct line *line = !block && size > 0 && m->counted ? line_of(m) : NULL;

    if (line)
        line->made[kind_of(old_size)]++;
    return pool_resize(&m->pool, block, block ? old_size : 0, size);
}

// memory(function) -> {tables = {place = n}, closures =, strings =, parts =}: what a call makes
static int l_memory(lua_State *L)
{
    memory.line_count = 0;
    memset(memory.lines, 0, sizeof(memory.lines));
    memory.counted = L;
    lua_settop(L, 1);
    lua_call(L, 0, 0);
    memory.counted = NULL;
    lua_newtable(L);
    for (size_t kind = 0; kind < KINDS; kind++) {
        lua_newtable(L);
        for (size_t i = 0; i < memory.line_count; i++) {
            if (memory.lines[i].made[kind] > 0) {
                lua_pushinteger(L, memory.lines[i].made[kind]);
                lua_setfield(L, -2, memory.lines[i].place);
            }
        }
        lua_setfield(L, -2, kinds[kind]);
    }
    return 1;
}

// Adds one to the field `name` of the table on top of the stack.
static void l_count(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    lua_pushinteger(L, lua_tointeger(L, -1) + 1);
    lua_setfield(L, -3, name);
    lua_pop(L, 1);
}

// Notes where the VM stands: the function itself, and each function that waits for it once.
static void l_sample(lua_State *L, lua_Debug *ar)
{
    const char *seen[FRAMES_MAX];
    int count = 0;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &COUNTS_KEY);
    for (int level = 0; level < FRAMES_MAX && lua_getstack(L, level, ar); level++) {
        const char *place;
        bool again = false;

        lua_getinfo(L, "S", ar);
        if (*ar->what == 'C')
            continue;
        place = lua_pushfstring(L, "%s:%d", ar->short_src, ar->linedefined);
        // Equal short strings are one string.
        for (int i = 0; i < count && !again; i++)
            again = seen[i] == place;
        seen[count] = place;
        lua_getfield(L, -2, level == 0 ? "own" : "below");
        if (!again)
            l_count(L, place);
        lua_pop(L, 2);
        count += !again;
    }
    l_count(L, "samples");
    lua_pop(L, 1);
}

// profile(function, times) -> {samples = n, own = {place = n}, below = {place = n}}
static int l_profile(lua_State *L)
{
    lua_Integer times = luaL_checkinteger(L, 2);

    lua_settop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    lua_setfield(L, 2, "own");
    lua_newtable(L);
    lua_setfield(L, 2, "below");
    lua_pushvalue(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &COUNTS_KEY);
    lua_sethook(L, l_sample, LUA_MASKCOUNT, SAMPLE_EVERY);
    for (lua_Integer i = 0; i < times; i++) {
        lua_pushvalue(L, 1);
        lua_call(L, 0, 0);
    }
    lua_sethook(L, NULL, 0, 0);
    return 1;
}

// clock() -> seconds of CPU of this thread
static int l_clock(lua_State *L)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
    return 1;
}

int main(int argc, char **argv)
{
    struct bare bare;
    int code;

    (void)argc;
    pool_init(&memory.pool);
    if (!bare_open(&bare, lua_newstate(allocate, &memory), argv))
        return 1;
    lua_register(bare.L, "memory", l_memory);
    lua_register(bare.L, "profile", l_profile);
    lua_register(bare.L, "clock", l_clock);
    code = bare_run(&bare, "bench/hub.lua");
    pool_deinit(&memory.pool);
    return code;
}
