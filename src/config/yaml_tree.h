// yaml_tree.h - one YAML document as a tree of values with line numbers; inside src/config only.
//
// Scalars keep their source text, typing is the validator's work.  Aliases share the node they
// name, so the tree may be a graph without cycles: who walks it bounds the walk.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/arena.h"

#define YAML_DEPTH_MAX 64
#define YAML_NODES_MAX 200000

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_value {
    enum yaml_kind kind;
    bool plain;       // scalar without quotes: its text decides the type
    bool open;        // still being read: an alias to it would be a cycle
    int line;         // 1 is the first
    const char *text; // scalar
    size_t len;
    struct yaml_value **items; // list elements, map values
    const char **names;        // map
    int *name_lines;
    size_t count;
};

enum yaml_result { YAML_OK, YAML_EMPTY, YAML_BROKEN };

// Reads one document.  YAML_EMPTY when there is none.  What is wrong goes to `errors` as
// `file:line: what`.
enum yaml_result yaml_tree_read(struct arena *a, const char *file, const char *text, size_t len,
                                struct buf *errors, struct yaml_value **out);

// Appends text from a file to a message: control characters become `?`, long text is cut.
void yaml_quote(struct buf *out, const char *text, size_t len);
