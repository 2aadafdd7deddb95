// environment.h - the `.env` file of the working directory.

#pragma once

#include "base/buf.h"

// Sets the variables that `.env` names and the environment does not have yet.  A missing file is
// fine; what is wrong with it is appended to `warnings`, a line each.
void environment_load(const char *path, struct buf *warnings);
