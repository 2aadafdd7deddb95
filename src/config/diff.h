// diff.h - what changed between two configurations, in lines that may be logged.

#pragma once

#include "base/buf.h"
#include "config/config.h"

enum { CONFIG_DIFF_LINES = 200 }; // further changes are counted only

// Appends one line for each key that changed, `path: old -> new`.  Secrets (and what stands under
// `headers`) are only said to be updated, lists to have so many entries; URLs lose their userinfo
// and query.
void config_diff(const struct config *old, const struct config *now, struct buf *out);
