// offline.h - runs the translation of lua/core/translate.lua once, in a state of its own, without
// loop and network.  Free of Lua types.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/config.h"
#include "script/bundle.h"

struct offline_job {
    const char *from, *to; // dialects
    const char *mode;      // "request", "response" or "stream"
    const char *model;     // "" for the one of the text
    const char *text;
    size_t text_len;
};

// Translates; `out` gets the result and `notes` warnings and the error, in lines.  False when the
// text cannot be translated or a script failed; `out` may hold something then, too.
bool offline_translate(struct bundle *bundle, struct config *config, const struct offline_job *job,
                       struct buf *out, struct buf *notes);
