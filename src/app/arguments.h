// arguments.h - what the sub-commands have in common when they read their arguments.

#pragma once

#include <stdbool.h>

// Reads the value of an option: behind `=`, or the next argument.  False when `argv[*i]` is another
// option; `*value` is NULL when the value is missing.
bool arguments_take_value(const char *name, int argc, char **argv, int *i, const char **value);

// True for one of the words, whose list ends with NULL.
bool arguments_is_one_of(const char *word, const char *const *words);
