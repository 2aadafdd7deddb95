// explain_command.h - `cli-proxy-api explain MODEL` and `explain --request ID`.
//
// Asks the running server on this machine with the key that it left in a file (local_key.h).
// Without one, a model is explained from configuration and files alone.

#pragma once

#include <stdbool.h>

#include "config/config.h"

struct explain_options {
    const char *model;   // or NULL
    const char *request; // id of a past request, or NULL
    const char *dialect; // of the client; "" for none in particular
    bool json;
};

// Reads what stands behind the word `explain`.  0, or 2 with a message on stderr.
int explain_parse(int argc, char **argv, struct explain_options *out);

// Prints to stdout.  0: somebody can serve the model, or the request was found; else 1.  `config`
// may be the defaults where the file is `broken`: then only a server can answer.
int explain_command(struct config *config, bool broken, const struct explain_options *options);
