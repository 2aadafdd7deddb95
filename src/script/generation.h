// generation.h - the Lua states made from one bundle and one config.  Free of Lua types.
//
// A generation is built and verified off the loops; then each worker takes its state and makes it
// current.  A worker frees an old state when its last task has ended; the generation goes with its
// last state.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/config.h"
#include "script/bundle.h"

struct script_state;

enum { LOCAL_KEY_SIZE = 65 }; // hex digits and a NUL

// What opens the paths for programs on this machine: the password that a desktop program gave at
// start (`--password`), and the key that commands read from a file.
struct local_access {
    const char *password; // NULL: none
    double last_seen;     // atomic; clock_mono() when the program with the password last called
    char key[LOCAL_KEY_SIZE]; // "": none.  Set before the workers start
};

struct generation_options {
    struct local_access *local; // may be NULL; outlives the generation
    const char *version; // of the program; static
    const char *closed;  // why proxy routes are closed, or NULL; static text
    size_t states;       // one for each worker
    bool keeper;         // and one for the main thread
    bool verify;         // in a scratch state first
};

struct generation {
    unsigned number;
    struct bundle *bundle;
    struct config *config;
    struct script_state **states;
    size_t count;
    struct script_state *keeper; // NULL unless asked for, and once it is taken
    unsigned requests, script_errors; // atomic: served, and ended by an error of a script
    int refs; // atomic: one for the maker and one for each state that lives
};

// Builds a generation; references bundle and config.  NULL with one line for each thing found.
// Any thread; takes at most `scripts.hard-limit-ms` for each script.
struct generation *generation_new(unsigned number, struct bundle *bundle, struct config *config,
                                  const struct generation_options *options, struct buf *error);

// Gives one state back (its worker frees it with this), or the maker's hold (`state` NULL).
void generation_release(struct generation *g, struct script_state *state);

// True when only its maker holds it: all its states are gone.
bool generation_drained(const struct generation *g);

// Gives back everything of a generation that no worker has taken.
void generation_discard(struct generation *g);

// Counts a request that ended.
void generation_count(struct generation *g, bool script_failed);

struct generation *generation_of(const struct script_state *state);
