#include "app/environment.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/atomic.h"

enum { ENV_FILE_MAX = 256 * 1024 };

static char *trim(char *s)
{
    char *end = s + strlen(s);

    while (isspace((unsigned char)*s))
        s++;
    while (end > s && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return s;
}

// Undoes quotes; without them, ` #` begins a comment.
static char *unquote(char *value)
{
    size_t len = strlen(value);
    char *comment;

    if (len >= 2 && (*value == '"' || *value == '\'') && value[len - 1] == *value) {
        value[len - 1] = '\0';
        return value + 1;
    }
    comment = strstr(value, " #");
    if (comment)
        *comment = '\0';
    return trim(value);
}

static bool is_name(const char *s)
{
    if (!isalpha((unsigned char)*s) && *s != '_')
        return false;
    while (isalnum((unsigned char)*s) || *s == '_')
        s++;
    return *s == '\0';
}

static void set_line(char *line, int number, const char *path, struct buf *warnings)
{
    char *name = trim(line), *equals;

    if (*name == '\0' || *name == '#')
        return;
    if (strncmp(name, "export ", 7) == 0)
        name = trim(name + 7);
    equals = strchr(name, '=');
    if (equals)
        *equals = '\0';
    if (!equals || !is_name(trim(name))) {
        buf_printf(warnings, "%s:%d: not of the form NAME=value\n", path, number);
        return;
    }
    setenv(trim(name), unquote(trim(equals + 1)), 0);
}

void environment_load(const char *path, struct buf *warnings)
{
    struct buf text;
    int result, number = 0;
    char *at;

    buf_init(&text, ENV_FILE_MAX);
    result = atomic_read(path, &text);
    if (result < 0 && result != -ENOENT)
        buf_printf(warnings, "%s: %s\n", path, strerror(-result));
    at = result == 0 && text.len > 0 ? (char *)buf_cstr(&text) : NULL;
    while (at) {
        char *line = strsep(&at, "\n");

        set_line(line, ++number, path, warnings);
    }
    buf_deinit(&text);
}
