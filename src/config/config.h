// config.h - YAML to one validated, read-only value; every error names file, line and key.
//
// A config is a tree of typed nodes shaped by the schema table in schema.c, which is the single
// place that names a key, its type, default, bounds and whether it is a secret.  Absent keys carry
// their defaults, so readers never test for presence unless they ask config_is_set().  `key:` with
// nothing behind it counts as absent.  A key without a default of its own (`mock`, an entry's
// `request-retry`) is CONFIG_NULL when absent.
// Reference counted; may be shared between threads.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct config;

enum config_type {
    CONFIG_NULL,
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_NUMBER,
    CONFIG_STRING,
    CONFIG_LIST,
    CONFIG_MAP
};

struct config_node {
    enum config_type type;
    bool boolean;
    int64_t integer;
    double number;    // of CONFIG_INT too; a duration's seconds (its type is CONFIG_STRING)
    const char *text; // CONFIG_STRING, NUL-terminated; else ""
    struct config_node **items; // CONFIG_LIST and CONFIG_MAP (values)
    const char **names;         // CONFIG_MAP: member names, in file order
    size_t count;
    int line;    // in the file; 0 for a default
    bool secret; // not to be shown, and not visible to scripts
};

// What was found wrong: one line a finding, `file:line: key: what`.  Errors end the load, warnings
// do not (unknown keys with the nearest known name, entries that have no effect).
struct config_report {
    struct buf errors;
    struct buf warnings;
};

void config_report_init(struct config_report *report);
void config_report_deinit(struct config_report *report);

// Parses and validates.  `name` is used in messages and to resolve relative paths.  NULL with
// report->errors filled.  An empty text is a valid config (all defaults).
struct config *config_parse(const char *name, const char *text, size_t len,
                            struct config_report *report);

// Reads the file (at most 8 MiB) and parses it.  `*missing` (may be NULL) tells a missing file
// apart from a broken one.
struct config *config_load(const char *path, struct config_report *report, bool *missing);

struct config *config_ref(struct config *c);
void config_unref(struct config *c);

// The file name given at load; "" when it came from nowhere.
const char *config_path(const struct config *c);

const struct config_node *config_root(const struct config *c);

// Looks up a dotted path such as "remote-management.allow-remote".  Paths that the schema knows
// never give NULL.
const struct config_node *config_at(const struct config *c, const char *path);
const struct config_node *config_member(const struct config_node *map, const char *name);

bool config_bool(const struct config *c, const char *path);
int64_t config_int(const struct config *c, const char *path);
double config_number(const struct config *c, const char *path);
const char *config_string(const struct config *c, const char *path);

// True when the file itself gave the key.
bool config_is_set(const struct config *c, const char *path);

// The path that the key holds, with a leading `~` expanded (environment HOME, else the password
// database); a relative `scripts-dir` starts at the config file's directory, others at the working
// directory.  Caller frees.  NULL without memory.
char *config_expand_path(const struct config *c, const char *key);
