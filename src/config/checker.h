// checker.h - what the walk over a document carries along, how findings are told, and the check of
// one scalar; inside src/config only.

#pragma once

#include "config/arena.h"
#include "config/config.h"
#include "config/schema.h"
#include "config/yaml_tree.h"

struct checker {
    struct arena *arena;
    const char *file;
    struct config_report *report;
    size_t nodes; // aliases make one YAML value many nodes
    bool failed;
    bool stopped; // a limit was hit: no point in going on
};

// Where in the document a value stands; spelled out only for a message.
struct place {
    const struct place *up;
    const char *name; // NULL: element `index`
    size_t index;
    int line;
    int depth;
};

// One finding: `file:line: key: what quoted after`; `quoted` may come from the file.
void checker_error(struct checker *c, const struct place *at, const char *what, const char *quoted,
                   const char *after);
void checker_warning(struct checker *c, const struct place *at, const char *what,
                     const char *quoted, const char *after);

// An error that ends the walk.  Returns NULL.
struct config_node *checker_stop(struct checker *c, const struct place *at, const char *what);

// The value has another type than the rule wants.  Returns NULL.
struct config_node *checker_wrong_type(struct checker *c, const struct config_rule *rule,
                                       const struct yaml_value *value, const struct place *at);

// Memory and nodes of the config; NULL (and the walk stops) without memory or beyond the limit.
void *checker_allocate(struct checker *c, size_t size, const struct place *at);
struct config_node *checker_node(struct checker *c, enum config_type type,
                                 const struct config_rule *rule, const struct place *at);

bool checker_is_null(const struct yaml_value *value);

// A scalar (not null) as its rule wants it; NULL after an error.
struct config_node *checker_scalar(struct checker *c, const struct config_rule *rule,
                                   const struct yaml_value *value, const struct place *at);

// A scalar whose text decides its type.
struct config_node *checker_any_scalar(struct checker *c, const struct config_rule *rule,
                                       const struct yaml_value *value, const struct place *at);
