#include "app/arguments.h"

#include <string.h>

bool arguments_take_value(const char *name, int argc, char **argv, int *i, const char **value)
{
    const char *given = argv[*i];
    size_t len = strlen(name);

    if (strncmp(given, name, len) != 0 || (given[len] != '\0' && given[len] != '='))
        return false;
    *value = given[len] == '=' ? given + len + 1 : *i + 1 < argc ? argv[++*i] : NULL;
    return true;
}

bool arguments_is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}
