// command.h - one function of a script, run to its end on a loop of its own, with network: for
// sub-commands and logins.  Free of Lua types.

#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "script/bundle.h"

struct command_argument {
    const char *name, *value; // a NULL value is left out
};

struct command_job {
    struct bundle *bundle;
    struct config *config;
    struct log *log;     // may be NULL
    const char *version; // of the program; static
    const char *module, *function;
    const struct command_argument *arguments; // the function gets them as one table
    size_t argument_count;
};

enum { COMMAND_BROKE = -1, COMMAND_INTERRUPTED = -2 };

// Calls the function in a privileged state (see state.h) and waits until it has ended.  What it
// returned as an exit code; COMMAND_BROKE with the message in `error`; COMMAND_INTERRUPTED after
// SIGINT, SIGTERM or SIGHUP.
int command_run(const struct command_job *job, struct buf *error);
