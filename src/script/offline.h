// offline.h - calls one function of a script in a state of its own, without loop and network.  For
// commands; free of Lua types.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/config.h"
#include "script/bundle.h"

// A member of the table that the function gets.
struct offline_value {
    const char *name;
    const char *text; // NULL: a boolean
    size_t len;
    bool boolean;
};

// Calls `function` of a module with one table.  It returns a text or nil, which goes to `out`, lines
// for the user or nil, which go to `notes`, and whether all is well: the result.  False, too, with
// a message in `notes`, when a script failed; `out` may hold something in any case.
bool offline_call(struct bundle *bundle, struct config *config, const char *module,
                  const char *function, const struct offline_value *values, size_t count,
                  struct buf *out, struct buf *notes);
