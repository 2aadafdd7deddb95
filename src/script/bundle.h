// bundle.h - an immutable snapshot of all scripts: the stock ones of the binary, overlaid file by
// file by a directory.
//
// Scripts are compiled once, here; the states of a generation load the compiled form.  Reference
// counted, may be shared between threads.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

// A stock script, see cmake/EmbedScripts.cmake.  The table ends with a NULL name.
struct embedded_script {
    const char *name; // relative path, such as "core/router.lua"
    const char *begin, *end;
};
extern const struct embedded_script embedded_scripts[];

struct script {
    char *name; // relative path with .lua
    const char *source; // in the binary, or in `owned`
    size_t source_len;
    char *owned;
    char *code; // compiled, NULL before bundle_compile()
    size_t code_len;
    bool overlay; // came from the directory
};

struct bundle {
    struct script *scripts; // sorted by name
    size_t count;
    bool compiled;
    char hash[65]; // SHA-256 over names and bytes, hex
    int refs;      // atomic
};

#define BUNDLE_FILES_MAX 1000
#define BUNDLE_SCRIPT_MAX (4 * 1024 * 1024)

// Reads the overlay (NULL or a missing directory: stock scripts only).  NULL with a message.
struct bundle *bundle_new(const char *overlay, struct buf *error);
struct bundle *bundle_ref(struct bundle *b);
void bundle_unref(struct bundle *b);

// True when a script differs from the stock ones.
bool bundle_has_overlay(const struct bundle *b);

// Compiles every script.  False with `file:line: message` for each syntax error.
bool bundle_compile(struct bundle *b, struct buf *error);

// The script of a module name ("core.router") or a path ("core/router.lua"), or NULL.
const struct script *bundle_module(const struct bundle *b, const char *name);
const struct script *bundle_find(const struct bundle *b, const char *path);

// The stock script of that path, or NULL.
const struct embedded_script *bundle_stock(const char *path);
