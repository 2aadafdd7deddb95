// reload.h - builds generations in the thread pool and hands them to the workers.
//
// One build at a time; changes that arrive meanwhile are built afterwards, once.  At most three
// generations live: a further change waits until the oldest has drained.

#pragma once

#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "script/generation.h"

struct reload;

struct reload_options {
    struct log *log;
    const char *config_path; // the file; while it is missing the running config stays
    // A new generation is ready: take its states.  On the loop's thread.
    void (*on_ready)(void *ctx, struct generation *g);
    struct local_access *local; // see generation.h
    // Why all proxy routes are closed with this config, or NULL.
    const char *(*closed)(void *ctx, const struct config *config);
    void *ctx;
};

struct reload *reload_new(uv_loop_t *loop, const struct reload_options *options);

// Builds the first generation on the calling thread.  `config` is the one to start with.  NULL with
// messages.  The generation is held by the reload.
struct generation *reload_first(struct reload *r, struct config *config, size_t workers,
                                struct buf *error);

// Something may have changed: look, and build when it has.  On the loop's thread.
void reload_look(struct reload *r);

// From any thread: a worker has let a state go.
void reload_retired(struct reload *r);

// From any thread: a script failed a request.  A generation that does so much more than the one
// before it is taken back (spec management-api 13, `scripts.auto-rollback`).
void reload_script_error(struct reload *r);

// The running generation.
struct generation *reload_current(const struct reload *r);

// Lets all generations go; then run the loop until reload_closed(), and free.
void reload_stop(struct reload *r);
bool reload_closed(const struct reload *r);
void reload_free(struct reload *r);

// The directory of overlay scripts for a config; caller frees.
char *reload_scripts_dir(const struct config *config);
