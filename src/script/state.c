#include "script/state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/modules.h"
#include "script/sandbox.h"
#include "script/shape.h"
#include "script/task.h"

// Addresses of these serve as registry keys.
static const char LOADED_KEY, ERROR_KEY;

enum { SCRATCH_MAX = 80 * 1024 * 1024 };

struct script_state *state_of(lua_State *L)
{
    return task_of(L)->state;
}

// --- memory ----------------------------------------------------------------------------------

#ifdef __SANITIZE_ADDRESS__
// Each block by itself, so that the sanitizer knows when it ends.
#define pool_take(pool, size) malloc(size)
#define pool_give(pool, block, size) free(block)
#define pool_resize(pool, block, old_size, size) realloc(block, size)
#endif

static void *allocate(void *ud, void *block, size_t old_size, size_t size)
{
    struct script_state *s = ud;
    void *fresh;

    if (!block)
        old_size = 0;
    if (size == 0) {
        s->memory -= old_size;
        if (old_size > 0)
            pool_give(&s->pool, block, old_size);
        return NULL;
    }
    // One huge block is refused early: filling it would hold the loop.
    if (size > old_size &&
        (s->memory + (size - old_size) > s->limits.memory || size > s->limits.memory / 6))
        return NULL;
    fresh = old_size > 0 ? pool_resize(&s->pool, block, old_size, size) : pool_take(&s->pool, size);
    if (fresh)
        s->memory += size - old_size;
    return fresh;
}

static int on_panic(lua_State *L)
{
    fprintf(stderr, "unprotected Lua error: %s\n", lua_tostring(L, -1));
    return 0; // aborts: a bug of ours, never reached by scripts
}

// --- errors ----------------------------------------------------------------------------------

static int l_error_tostring(lua_State *L)
{
    lua_getfield(L, 1, "message");
    luaL_tolstring(L, -1, NULL);
    return 1;
}

void l_push_error(lua_State *L, const char *code, const char *message)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &ERROR_KEY);
    lua_setmetatable(L, -2);
}

int l_push_failure(lua_State *L, const char *code, const char *format, ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    lua_pushnil(L);
    l_push_error(L, code, message);
    return 2;
}

void l_check_privileged(lua_State *L, const char *what)
{
    const struct script_state *s = state_of(L);

    if (!s->host)
        luaL_error(L, "scripts cannot %s while they are checked", what);
    if (!s->privileged)
        luaL_error(L, "scripts that serve requests cannot %s", what);
}

// --- headers ---------------------------------------------------------------------------------

static bool is_token(const char *text, size_t len)
{
    // 1 for the characters of a token (RFC 9110 5.6.2), by byte.
    static const char token[256] = {
        ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
        ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
        ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
    };

    for (size_t i = 0; i < len; i++)
        if (!token[(unsigned char)text[i]])
            return false;
    return len > 0;
}

void l_check_field(lua_State *L, const char *name, size_t name_len, const char *value, size_t len)
{
    if (!is_token(name, name_len))
        luaL_error(L, "'%s' is not a header name", name);
    if (memchr(value, '\r', len) || memchr(value, '\n', len) || memchr(value, '\0', len))
        luaL_error(L, "the value of header '%s' holds a line break", name);
}

// --- loading ---------------------------------------------------------------------------------

// Stops scripts that do not come to an end, or take all memory, while they load.  Loading happens
// off the loop, so a plain count hook is good enough here.  Once a limit is exceeded the hook comes
// back at every instruction, so that no pcall of the script survives.
static void l_load_limit(lua_State *L, lua_Debug *ar)
{
    struct script_state *s = state_of(L);
    bool late = s->load_deadline > 0 && clock_thread() > s->load_deadline;

    if (!late && s->memory < s->limits.memory / 4)
        return;
    lua_sethook(L, l_load_limit, LUA_MASKCOUNT, 1);
    lua_getinfo(L, "Sl", ar);
    if (late)
        luaL_error(L, "%s:%d: the script did not end within %d ms while loading", ar->short_src,
                   ar->currentline, (int)(s->limits.hard * 1000));
    luaL_error(L, "%s:%d: the script took more than %d MiB of memory while loading", ar->short_src,
               ar->currentline, (int)(s->limits.memory / 4 >> 20));
}

// Loads and runs one script; its result is left on the stack.  While it runs, the table of loaded
// modules at index 2 has a mark in its place.
static void l_run_script(lua_State *L, const struct script *script, const char *name)
{
    int status;

    lua_pushfstring(L, "@%s", script->name);
    lua_pushlightuserdata(L, (void *)&LOADED_KEY);
    lua_setfield(L, 2, name);
    // Without an overlay nothing was compiled beforehand: scripts are, one by one, when needed.
    if (script->code)
        status = luaL_loadbufferx(L, script->code, script->code_len, lua_tostring(L, -1), "b");
    else
        status = luaL_loadbufferx(L, script->source, script->source_len, lua_tostring(L, -1), "t");
    lua_remove(L, -2);
    if (status == LUA_OK) {
        lua_pushvalue(L, 1); // the name
        status = lua_pcall(L, 1, 1, 0);
    }
    lua_pushnil(L);
    lua_setfield(L, 2, name);
    if (status != LUA_OK)
        lua_error(L);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
}

// require(name) -> module.  C modules first, then scripts of the bundle.
static int l_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const struct script *script;
    lua_CFunction open;

    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &LOADED_KEY);
    if (lua_getfield(L, 2, name) != LUA_TNIL) {
        if (lua_islightuserdata(L, -1))
            return luaL_error(L, "module '%s' requires itself", name);
        return 1;
    }
    lua_pop(L, 1);
    open = modules_find(name);
    if (open) {
        lua_pushcfunction(L, open);
        lua_call(L, 0, 1);
    } else {
        script = bundle_module(state_of(L)->bundle, name);
        if (!script)
            return luaL_error(L, "there is no module '%s'", name);
        l_run_script(L, script, name);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return 1;
}

// --- life ------------------------------------------------------------------------------------

static int l_prepare(lua_State *L)
{
    l_make_sandbox(L, l_require);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &LOADED_KEY);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &ERROR_KEY);
    return 0;
}

void state_choose_collector(struct script_state *s)
{
    // In percent of what was left by the last young and by the last full collection.
    enum { YOUNG_GROWTH = 30, FULL_GROWTH = 100 };
    // Bytes.  A full collection of a heap of many streams takes a millisecond for each MiB or two.
    enum { GENERATIONS_MAX = 64 << 20, GENERATIONS_AGAIN = 32 << 20 };
    bool in_steps = s->memory > (s->in_steps ? GENERATIONS_AGAIN : GENERATIONS_MAX);

    if (in_steps == s->in_steps)
        return;
    s->in_steps = in_steps;
    if (in_steps)
        lua_gc(s->L, LUA_GCINC, 0, 0, 0); // as it was before
    else
        lua_gc(s->L, LUA_GCGEN, YOUNG_GROWTH, FULL_GROWTH);
}

struct script_state *state_new(struct bundle *bundle, struct config *config,
                               struct credential_set *credentials,
                               const struct script_limits *limits)
{
    struct script_state *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->limits = *limits;
    s->bundle = bundle_ref(bundle);
    s->config = config_ref(config);
    s->credentials = credentials_ref(credentials);
    s->version = "dev";
    pool_init(&s->pool);
    buf_init(&s->scratch, SCRATCH_MAX);
    buf_init(&s->scratch2, SCRATCH_MAX);
    list_init(&s->tasks);
    list_init(&s->idle_threads);
    s->root = calloc(1, sizeof(*s->root));
    s->L = lua_newstate(allocate, s);
    if (!s->root || !s->L)
        goto fail;
    s->root->state = s;
    *(struct task **)lua_getextraspace(s->L) = s->root;
    lua_atpanic(s->L, on_panic);
    s->in_steps = true; // Lua's own choice
    state_choose_collector(s);
    lua_pushcfunction(s->L, l_prepare);
    if (lua_pcall(s->L, 0, 0, 0) != LUA_OK)
        goto fail;
    return s;

fail:
    state_free(s);
    return NULL;
}

void state_free(struct script_state *s)
{
    if (!s)
        return;
    assert(s->task_count == 0);
    state_trim(s);
    if (s->L)
        lua_close(s->L);
    pool_deinit(&s->pool);
    free(s->root);
    buf_deinit(&s->scratch);
    buf_deinit(&s->scratch2);
    bundle_unref(s->bundle);
    config_unref(s->config);
    credentials_unref(s->credentials);
    for (int i = 0; i < ACCOUNTS_SOURCES; i++)
        credentials_unref(s->live[i]);
    secrets_free(s->secrets);
    free(s);
}

unsigned state_refresh_live(struct script_state *s)
{
    struct accounts *accounts = s->host ? s->host->accounts : NULL;
    unsigned version = accounts ? accounts_version(accounts) : 0;

    if (!accounts || (s->live[0] && version == s->live_version))
        return version;
    for (int i = 0; i < ACCOUNTS_SOURCES; i++) {
        credentials_unref(s->live[i]);
        s->live[i] = accounts_take(accounts, i);
    }
    s->live_version = version;
    return version;
}

const struct credential *state_credential(struct script_state *s, const char *id)
{
    const struct credential *c = credentials_find(s->credentials, id);

    state_refresh_live(s);
    for (int i = 0; !c && i < ACCOUNTS_SOURCES && s->live[i]; i++)
        c = credentials_find(s->live[i], id);
    return c;
}

void state_trim(struct script_state *s)
{
    task_drop_idle(s);
    buf_deinit(&s->scratch);
    buf_deinit(&s->scratch2);
    if (!s->L)
        return;
    // What has a finalizer goes in the second round, and takes what it refers to along.
    lua_gc(s->L, LUA_GCCOLLECT);
    lua_gc(s->L, LUA_GCCOLLECT);
    pool_trim(&s->pool);
}

// --- protected loading ------------------------------------------------------------------------

// Calls function(argument) under the load limit; false with the message.  `what` names the script.
// Nothing here takes memory of the state before the call is protected.
static bool call_limited(struct script_state *s, const char *what, lua_CFunction function,
                         const void *argument, struct buf *error)
{
    lua_State *L = s->L;
    int base = lua_gettop(L);
    int status;

    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, (void *)argument);
    s->load_deadline = clock_thread() + s->limits.hard;
    lua_sethook(L, l_load_limit, LUA_MASKCOUNT, 10000);
    status = lua_pcall(L, 1, 0, 0);
    lua_sethook(L, NULL, 0, 0);
    s->load_deadline = 0;
    if (status != LUA_OK) {
        const char *message = lua_tostring(L, -1);

        // Lua itself does not say where memory ran out.
        buf_printf(error, "%s%s%s\n", status == LUA_ERRMEM ? what : "",
                   status == LUA_ERRMEM ? ": " : "", message ? message : "out of memory");
        lua_settop(L, base);
        return false;
    }
    return true;
}

// require(name), with the name as a C string.
static int l_require_named(lua_State *L)
{
    lua_pushstring(L, lua_touserdata(L, 1));
    lua_replace(L, 1);
    return l_require(L);
}

bool state_require(struct script_state *s, const char *name, struct buf *error)
{
    return call_limited(s, name, l_require_named, name, error);
}

void state_push_module(lua_State *L, const char *name)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &LOADED_KEY);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

// "core/router.lua" -> "core.router"
static void module_name(const char *path, char *out, size_t size)
{
    size_t len = strlen(path) - strlen(".lua");

    snprintf(out, size, "%.*s", (int)len, path);
    for (char *c = out; *c; c++)
        if (*c == '/')
            *c = '.';
}

// check(path, module) for a script that is loaded.
static int l_check_script(lua_State *L)
{
    const struct script *script = lua_touserdata(L, 1);
    char name[256];

    module_name(script->name, name, sizeof(name));
    lua_pushcfunction(L, l_check_shape);
    lua_pushstring(L, script->name);
    state_push_module(L, name);
    lua_call(L, 2, 0);
    return 0;
}

bool state_verify(struct script_state *s, struct buf *error)
{
    bool ok = true;
    char name[256];

    for (size_t i = 0; i < s->bundle->count; i++) {
        const struct script *script = &s->bundle->scripts[i];

        module_name(script->name, name, sizeof(name));
        ok = state_require(s, name, error) &&
             call_limited(s, script->name, l_check_script, script, error) && ok;
    }
    return ok;
}
