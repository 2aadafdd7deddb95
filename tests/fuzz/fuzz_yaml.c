// Any bytes as a configuration file: it parses or is refused, and what parses can be walked.

#include <stdint.h>
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const struct config_node *node)
{
    size_t sum = 1;

    for (size_t i = 0; i < node->count; i++)
        sum += walk(node->items[i]) + (node->names && node->names[i][0] != '\0');
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_report report;
    struct config *c;

    config_report_init(&report);
    c = config_parse("fuzz.yaml", (const char *)data, size, &report);
    if ((c == NULL) != (report.errors.len > 0))
        abort();
    if (c) {
        if (walk(config_root(c)) == 0)
            abort();
        free(config_expand_path(c, "auth-dir"));
        free(config_expand_path(c, "scripts-dir"));
    }
    config_unref(c);
    config_report_deinit(&report);
    return 0;
}
