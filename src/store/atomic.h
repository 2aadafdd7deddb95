// atomic.h - files that are either the old or the new content, never half of it.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

// Writes temp + fsync + rename + directory fsync with the given mode (0600 for secrets).  Falls
// back to writing in place where a rename cannot work (EBUSY, EXDEV, EPERM: a bind-mounted file)
// or the directory takes no new file (EROFS, EACCES).  0 or a negative errno.
int atomic_write(const char *path, const char *bytes, size_t n, unsigned mode);

// Reads a whole file of at most out->max bytes.  0 or a negative errno (-EFBIG when larger).
int atomic_read(const char *path, struct buf *out);

// Creates a directory and its parents (0700 each, existing ones untouched).  0 or a negative errno
// (-ENOTDIR when a file is in the way).
int atomic_mkdirs(const char *path);
