// translate_command.h - `cli-proxy-api translate --from DIALECT --to DIALECT [FILE]`.

#pragma once

#include "config/config.h"

struct translate_options {
    const char *from, *to;
    const char *mode;  // "request", "response" or "stream"
    const char *model; // "" for the one of the body
    const char *file;  // NULL: standard input
};

// Reads what stands behind the word `translate`.  0, or 2 with a message on stderr.
int translate_parse(int argc, char **argv, struct translate_options *out);

// Prints the translation to stdout, warnings and the error to stderr; the exit code.
int translate_command(struct config *config, const struct translate_options *options);
