// validate.h - a YAML tree and the schema into typed nodes; inside src/config only.

#pragma once

#include "config/arena.h"
#include "config/config.h"
#include "config/schema.h"
#include "config/yaml_tree.h"

// Types, bounds and defaults of the whole document.  `tree` may be NULL: all defaults.  NULL after
// an error, which the report tells.
struct config_node *validate_tree(struct arena *a, const char *file, const struct yaml_value *tree,
                                  struct config_report *report);
