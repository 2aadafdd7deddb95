#include "app/scripts_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cliproxy.h"
#include "app/reload.h"
#include "script/bundle.h"
#include "script/generation.h"
#include "store/atomic.h"

static struct bundle *load(const struct config *config)
{
    char *directory = reload_scripts_dir(config);
    struct bundle *b;
    struct buf error;

    buf_init(&error, 64 * 1024);
    b = bundle_new(directory, &error);
    if (!b)
        fprintf(stderr, "%s", error.len ? buf_cstr(&error) : "out of memory\n");
    buf_deinit(&error);
    free(directory);
    return b;
}

int scripts_list(const struct config *config)
{
    struct bundle *b = load(config);

    if (!b)
        return 1;
    for (size_t i = 0; i < b->count; i++)
        printf("%-8s %s\n", !b->scripts[i].overlay ? "stock" : bundle_stock(b->scripts[i].name)
                                                                   ? "changed"
                                                                   : "own",
               b->scripts[i].name);
    bundle_unref(b);
    return 0;
}

static int write_script(const char *directory, const struct embedded_script *stock)
{
    char path[2048];
    char *slash;
    int result;

    snprintf(path, sizeof(path), "%s/%s", directory, stock->name);
    if (access(path, F_OK) == 0) {
        fprintf(stderr, "%s exists already; it was left as it is\n", path);
        return 1;
    }
    slash = strrchr(path, '/');
    *slash = '\0';
    result = atomic_mkdirs(path);
    *slash = '/';
    if (result == 0)
        result = atomic_write(path, stock->begin, (size_t)(stock->end - stock->begin), 0600);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(-result));
        return 1;
    }
    printf("wrote %s\nEdit it while the proxy runs; delete it to return to the stock script.\n",
           path);
    return 0;
}

int scripts_eject(const struct config *config, const char *file)
{
    const struct embedded_script *stock = bundle_stock(file);
    char *directory;
    int result;

    if (!stock) {
        fprintf(stderr, "there is no stock script '%s'; `scripts list` names them\n", file);
        return 1;
    }
    directory = reload_scripts_dir(config);
    result = directory ? write_script(directory, stock) : 1;
    free(directory);
    return result;
}

int scripts_check(struct config *config)
{
    struct generation_options options = {
        .version = cliproxy_version(), .states = 1, .verify = true};
    struct bundle *b = load(config);
    struct generation *g;
    struct buf error;

    if (!b)
        return 1;
    buf_init(&error, 64 * 1024);
    g = generation_new(0, b, config, &options, &error);
    if (g)
        printf("%zu scripts are fine (%.12s)\n", b->count, b->hash);
    else
        fprintf(stderr, "%s", error.len ? buf_cstr(&error) : "out of memory\n");
    bundle_unref(b);
    buf_deinit(&error);
    if (!g)
        return 1;
    generation_discard(g);
    return 0;
}
