// state.h - one Lua state: sandbox, memory limit, loading of scripts.
//
// A state belongs to one worker and one generation.  Scripts see an allow-list of globals, all
// read-only, and `require` for C modules and scripts of the bundle.  Every Lua thread of the state
// carries a pointer to its task in its extra space.

#pragma once

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/pool.h"
#include "config/config.h"
#include "script/accounts.h"
#include "script/bundle.h"
#include "script/credentials.h"
#include "script/host.h"
#include "script/object.h"
#include "script/secrets.h"
#include "store/store.h"

struct task;

struct script_limits {
    size_t memory;      // bytes per state
    double hard;        // seconds of CPU between two waits; then the task ends
};

struct script_state {
    lua_State *L;
    struct script_limits limits;
    struct bundle *bundle;
    struct config *config;
    struct credential_set *credentials;
    struct script_host *host; // NULL in a scratch state: nothing there can wait
    struct task *root;        // stands for the main thread; cannot wait
    struct task *running;
    size_t memory;            // bytes in use
    bool in_steps;            // how it is collected, see state_choose_collector()
    struct pool pool;         // where small ones are
    struct list tasks;
    size_t task_count;
    struct list idle_threads; // finished coroutines kept for the next task
    size_t idle_count;
    const void *metatables[OBJECT_TYPES]; // see object.h
    // For bindings that pass bytes through; never used across a wait.
    struct buf scratch, scratch2;
    const char *version;      // of the program
    struct local_access *local; // see generation.h; may be NULL
    const char *closed;       // why proxy routes are closed, or NULL; the generation's
    double load_deadline; // clock_thread() limit while scripts load, 0 otherwise
    unsigned generation;      // its number
    struct generation *owner; // NULL for a scratch state
    bool privileged;          // may see tokens: the keeper's, and those of logins
    // The newest credentials of host->accounts that this state has looked at.
    struct credential_set *live[ACCOUNTS_SOURCES];
    unsigned live_version;
    struct secrets *secrets; // see secrets.h; NULL until they are needed
};

// Makes a state for a compiled bundle; references what it is given.  NULL without memory.
struct script_state *state_new(struct bundle *bundle, struct config *config,
                               struct credential_set *credentials,
                               const struct script_limits *limits);

// Small heaps are collected by generations, which costs least.  From time to time that looks at all
// of the heap at once, so a large one is collected in steps.  To be called while no script runs.
void state_choose_collector(struct script_state *s);

// No task may be left.
void state_free(struct script_state *s);

// The credential of that id: configured, or the newest that came while the program runs.  Valid
// until the next call.
const struct credential *state_credential(struct script_state *s, const char *id);

// Looks at the newest accounts; their version.
unsigned state_refresh_live(struct script_state *s);

// Runs `require(name)` under the time limit.  False with `file:line: message`.
bool state_require(struct script_state *s, const char *name, struct buf *error);

// Loads every script and checks the shape of providers, translators and models, and runs their
// examples.  For a scratch state.
bool state_verify(struct script_state *s, struct buf *error);

// Collects garbage completely and lets go of kept coroutines (when the worker has been idle).
void state_trim(struct script_state *s);

struct script_state *state_of(lua_State *L);

// Raises unless the state may see tokens and runs on a loop.
void l_check_privileged(lua_State *L, const char *what);

// Raises unless name and value make one header line: a token, and no line break or NUL.
void l_check_field(lua_State *L, const char *name, size_t name_len, const char *value, size_t len);

// Pushes a module that is loaded already, or nil.
void state_push_module(lua_State *L, const char *name);

// Raises or pushes the table {code=, message=} with __tostring; the Lua form of an expected failure.
// Returns 2: nil and the error.
int l_push_failure(lua_State *L, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void l_push_error(lua_State *L, const char *code, const char *message);
