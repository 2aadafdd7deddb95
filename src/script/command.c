#include "script/command.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <uv.h>

#include "net/upstream.h"
#include "script/accounts.h"
#include "script/credentials.h"
#include "script/host.h"
#include "script/secrets.h"
#include "script/state.h"
#include "script/task.h"
#include "store/store.h"

enum { SIGNALS = 3 };

static const int signal_numbers[SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

struct command {
    const struct command_job *job;
    struct buf *error;
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    struct store *store;
    struct accounts *accounts;
    struct upstream *upstream;
    struct script_host *host;
    struct script_state *state;
    bool over, interrupted;
    int code;
};

// --- the task --------------------------------------------------------------------------------

// Takes what the function returned.  Its own error ends the task like any other.
static int l_take_code(lua_State *L, int status, lua_KContext ctx)
{
    struct command *c = (struct command *)ctx;

    (void)status;
    c->code = (int)luaL_optinteger(L, -1, 0);
    return 0;
}

// function(arguments), called so that its result is ours.
static int l_call(lua_State *L)
{
    struct command *c = lua_touserdata(L, 1);
    const struct command_job *job = c->job;

    state_push_module(L, job->module);
    lua_getfield(L, -1, job->function);
    lua_createtable(L, 0, (int)job->argument_count);
    for (size_t i = 0; i < job->argument_count; i++) {
        if (!job->arguments[i].value)
            continue;
        lua_pushstring(L, job->arguments[i].value);
        lua_setfield(L, -2, job->arguments[i].name);
    }
    lua_callk(L, 1, 1, (lua_KContext)c, l_take_code);
    return l_take_code(L, LUA_OK, (lua_KContext)c);
}

// Says why it failed, to people: without secrets.
static void tell_failure(struct command *c, const char *message)
{
    struct buf clean;

    buf_init(&clean, 64 * 1024);
    if (secrets_redact(c->state, message, strlen(message), NULL, &clean))
        message = buf_cstr(&clean);
    buf_puts(c->error, message ? message : "out of memory");
    buf_deinit(&clean);
}

static void on_end(struct task *t, enum task_result result, const char *message)
{
    struct command *c = t->owner;

    c->over = true;
    if (result == TASK_FAILED || result == TASK_STOPPED) {
        c->code = COMMAND_BROKE;
        tell_failure(c, message);
    } else if (result == TASK_CANCELLED) {
        c->code = COMMAND_INTERRUPTED;
    }
}

static bool start(struct command *c)
{
    struct task *t = task_new(c->state);

    if (!t)
        return false;
    t->owner = c;
    t->on_end = on_end;
    lua_pushcfunction(t->thread, l_call);
    lua_pushlightuserdata(t->thread, c);
    task_start(t, 1);
    return true;
}

// --- the world around it -----------------------------------------------------------------------

static void on_signal(uv_signal_t *handle, int number)
{
    struct command *c = handle->data;

    (void)number;
    c->interrupted = true;
}

static void on_pass(void *ctx)
{
    struct command *c = ctx;

    log_flush(c->job->log);
}

static bool make_state(struct command *c)
{
    const struct command_job *job = c->job;
    struct credential_set *credentials = credentials_from_config(job->config);
    struct script_limits limits = {
        .memory = (size_t)config_int(job->config, "scripts.memory-mib") << 20,
        .hard = (double)config_int(job->config, "scripts.hard-limit-ms") / 1000,
    };

    if (credentials)
        c->state = state_new(job->bundle, job->config, credentials, &limits);
    credentials_unref(credentials);
    if (!c->state) {
        buf_puts(c->error, "out of memory");
        return false;
    }
    c->state->version = job->version;
    c->state->privileged = true;
    host_attach(c->host, c->state);
    return state_require(c->state, job->module, c->error);
}

static bool make_host(struct command *c)
{
    struct script_shared shared = {.log = c->job->log,
                                   .store = c->store = store_new(0),
                                   .accounts = c->accounts = accounts_new()};

    c->upstream = upstream_new(&c->loop, c->job->log);
    if (c->store && c->accounts && c->upstream)
        c->host = host_new(&c->loop, c->upstream, &shared, on_pass, c);
    if (c->host && host_start(c->host))
        return true;
    buf_puts(c->error, "out of memory");
    return false;
}

static void open_signals(struct command *c)
{
    for (int i = 0; i < SIGNALS; i++) {
        uv_signal_init(&c->loop, &c->signals[i]);
        c->signals[i].data = c;
        uv_signal_start(&c->signals[i], on_signal, signal_numbers[i]);
    }
}

// Frees the state while its loop still runs: its objects close their handles there.
static void close_all(struct command *c)
{
    if (c->state)
        state_cancel(c->state);
    if (c->host)
        uv_run(&c->loop, UV_RUN_NOWAIT); // what was written leaves
    state_free(c->state);
    if (c->upstream)
        upstream_stop(c->upstream);
    if (c->host)
        host_stop(c->host);
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&c->signals[i], NULL);
    uv_run(&c->loop, UV_RUN_DEFAULT); // until nothing is open
    host_free(c->host);
    upstream_free(c->upstream);
    accounts_free(c->accounts);
    store_free(c->store);
    uv_loop_close(&c->loop);
}

int command_run(const struct command_job *job, struct buf *error)
{
    struct command c = {.job = job, .error = error, .code = COMMAND_BROKE};

    if (!upstream_global_init() || uv_loop_init(&c.loop) < 0) {
        buf_puts(error, "out of memory");
        return COMMAND_BROKE;
    }
    open_signals(&c);
    if (make_host(&c) && make_state(&c)) {
        if (!start(&c))
            buf_puts(error, "out of memory");
        while (state_tasks(c.state) > 0 && !c.over && !c.interrupted)
            uv_run(&c.loop, UV_RUN_ONCE);
    }
    close_all(&c);
    return c.code;
}
