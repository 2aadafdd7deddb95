// script_world.h - scripts of a test, in a directory of its own, run by a real host on a loop.

#pragma once

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/upstream.h"
#include "script/generation.h"
#include "script/host.h"
#include "script/state.h"
#include "script/task.h"

struct script_file {
    const char *name, *text;
};

// --- a directory of scripts --------------------------------------------------------------------

static inline void scripts_make(char *directory, size_t size)
{
    const char *base = getenv("TMPDIR");

    snprintf(directory, size, "%s/scripts-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(directory));
}

static inline void scripts_write_bytes(const char *directory, const char *name, const char *text,
                                       size_t len)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    for (char *slash = path + strlen(directory) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static inline void scripts_write(const char *directory, const char *name, const char *text)
{
    scripts_write_bytes(directory, name, text, strlen(text));
}

static inline void scripts_remove(const char *directory)
{
    char command[600];

    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

static inline struct config *config_of(const char *text)
{
    struct config_report report;
    struct config *config;

    config_report_init(&report);
    config = config_parse("config.yaml", text, strlen(text), &report);
    if (!config)
        fail_msg("%s", buf_cstr(&report.errors));
    config_report_deinit(&report);
    return config;
}

// --- a host with one state ---------------------------------------------------------------------

struct script_world {
    char directory[256];
    uv_loop_t loop;
    struct store *store;
    struct upstream *upstream;
    struct script_host *host;
    struct generation *generation;
    struct script_state *state;
    int ended; // tasks
    enum task_result result; // of the last one
    char message[4096];
};

static inline void script_world_pass(void *ctx)
{
    (void)ctx;
}

// Makes the generation of the scripts that are in the directory, one state for the world and, with
// `keeper`, one for the main thread.
static inline void script_world_load(struct script_world *w, const char *config_text, bool keeper)
{
    struct generation_options options = {.version = "test", .states = 1, .keeper = keeper};
    struct config *config = config_of(config_text);
    struct bundle *bundle;
    struct buf error;

    buf_init(&error, 65536);
    bundle = bundle_new(w->directory, &error);
    assert_non_null(bundle);
    w->generation = generation_new(1, bundle, config, &options, &error);
    if (!w->generation)
        fail_msg("%s", buf_cstr(&error));
    bundle_unref(bundle);
    config_unref(config);
    buf_deinit(&error);
    w->state = w->generation->states[0];
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->store = store_new(0);
    assert_non_null(w->store);
}

// Makes the host; `shared` has the world's store.
static inline void script_world_open(struct script_world *w, const struct script_shared *shared)
{
    w->upstream = upstream_new(&w->loop, NULL);
    w->host = host_new(&w->loop, w->upstream, shared, script_world_pass, w);
    assert_true(w->upstream && w->host);
    assert_true(host_start(w->host));
    host_attach(w->host, w->state);
}

// Starts with `main`, the text of main.lua.
static inline void script_world_init(struct script_world *w, const char *config_text,
                                     const char *main)
{
    struct script_shared shared;

    memset(w, 0, sizeof(*w));
    scripts_make(w->directory, sizeof(w->directory));
    scripts_write(w->directory, "main.lua", main);
    script_world_load(w, config_text, false);
    shared = (struct script_shared){.store = w->store};
    script_world_open(w, &shared);
}

static inline void script_world_deinit(struct script_world *w)
{
    state_cancel(w->state);
    generation_release(w->generation, w->state);
    generation_release(w->generation, NULL);
    upstream_stop(w->upstream);
    host_stop(w->host);
    for (int i = 0; i < 100 && !(host_closed(w->host) && upstream_closed(w->upstream)); i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    upstream_free(w->upstream);
    host_free(w->host);
    store_free(w->store);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    scripts_remove(w->directory);
}

static inline void script_world_on_end(struct task *t, enum task_result result,
                                       const char *message)
{
    struct script_world *w = t->owner;

    w->ended++;
    w->result = result;
    snprintf(w->message, sizeof(w->message), "%s", message);
}

// Starts a task that calls that function of main.lua.
static inline struct task *script_start(struct script_world *w, const char *function)
{
    struct task *t = task_new(w->state);

    assert_non_null(t);
    state_push_module(w->state->L, "main");
    lua_getfield(w->state->L, -1, function);
    lua_xmove(w->state->L, t->thread, 1);
    lua_pop(w->state->L, 1);
    t->owner = w;
    t->on_end = script_world_on_end;
    task_start(t, 0);
    return t;
}

// Lets the loop come round that often without blocking.
static inline void script_turn(struct script_world *w, int times)
{
    while (times-- > 0)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

// Runs until `count` tasks have ended in all.
static inline void script_run(struct script_world *w, int count)
{
    double end = clock_mono() + 60;

    while (w->ended < count && clock_mono() < end)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->ended, count);
}

// Runs one function of main.lua to its end.
static inline enum task_result script_call(struct script_world *w, const char *function)
{
    script_start(w, function);
    script_run(w, w->ended + 1);
    return w->result;
}

// What a script has put into the store: its text, "" when it is missing.
static inline const char *script_said(struct script_world *w, const char *key)
{
    static char text[4096];
    struct store_value value;
    struct buf bytes;

    buf_init(&bytes, sizeof(text) - 1);
    *text = '\0';
    if (store_get(w->store, key, strlen(key), &value, &bytes, NULL) &&
        value.type == STORE_STRING)
        snprintf(text, sizeof(text), "%.*s", (int)value.len, value.text);
    buf_deinit(&bytes);
    return text;
}
