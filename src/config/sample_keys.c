#include "config/sample_keys.h"

#include <string.h>

bool config_is_sample_key(const char *key)
{
    static const char stem[] = "your-api-key-";
    size_t n = sizeof(stem) - 1;

    return strncmp(key, stem, n) == 0 && key[n] >= '1' && key[n] <= '3' && key[n + 1] == '\0';
}
