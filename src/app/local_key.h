// local_key.h - the key with which commands of this program talk to the server on this machine.
//
// The server makes a random one at each start and leaves it in `data/local-key-<port>`, which only
// its user can read; a clean end removes the file.  One that a crash left behind opens nothing: the
// next start has another key.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"
#include "config/config.h"
#include "script/generation.h"

enum { LOCAL_KEY_PATH = 1200 };

// Where the file may be, in order of preference: below WRITABLE_PATH or else beside the
// configuration, and below auth-dir.  The number of directories written to `out`, "" left out.
size_t local_key_directories(const struct config *config, char out[2][LOCAL_KEY_PATH]);

// Makes a key and its file, whose name goes to `path`.  Without a file there is no key: a warning
// says so, and `key` and `path` are "".
void local_key_create(char key[LOCAL_KEY_SIZE], char path[LOCAL_KEY_PATH],
                      const struct config *config, int port, struct log *log);

// Removes the file unless another server has written its own there.
void local_key_remove(const char *key, const char *path);

// Reads a key file.  0, or a negative errno (-EINVAL for what is none).
int local_key_read(const char *path, char key[LOCAL_KEY_SIZE]);
