// watcher.h - tells when files below some directories changed.
//
// Directories are watched, not files, because editors and container platforms replace files.
// Changes are collected for `debounce` seconds (0.2) and reported once.

#pragma once

#include <stdbool.h>
#include <uv.h>

#include "base/log.h"

struct watcher;

// `on_change(ctx, path)`: something in the watched directory `path` (as given) changed.
struct watcher *watcher_new(uv_loop_t *loop, struct log *log, double debounce,
                            void (*on_change)(void *ctx, const char *path), void *ctx);

// Watches one directory; with `recursive`, the directories below it as well, new ones included.
// A directory that does not exist yet is picked up when it appears (its nearest existing parent
// is watched).  0 or a negative libuv code.
int watcher_add(struct watcher *w, const char *path, bool recursive);
void watcher_remove(struct watcher *w, const char *path);

// Closes all handles; free after the loop ran until watcher_closed().
void watcher_stop(struct watcher *w);
bool watcher_closed(const struct watcher *w);
void watcher_free(struct watcher *w);
