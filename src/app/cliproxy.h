// cliproxy.h - the proxy as a library: make one, run it, stop it from anywhere.
//
// This is the one public header of `libcliproxy`; the program `cli-proxy-api` is a thin user of it.
//
//     struct cliproxy_options options = {.config_path = "config.yaml"};
//     struct cliproxy *proxy = cliproxy_new(&options, error, sizeof(error));
//     if (proxy)
//         cliproxy_run(proxy);   // until cliproxy_stop(), SIGINT or SIGTERM
//     cliproxy_free(proxy);

#pragma once

#include <stdbool.h>
#include <stddef.h>

struct cliproxy;

struct cliproxy_options {
    const char *config_path; // NULL: ./config.yaml, which may be missing
    const char *password;    // opens /keep-alive; unused for 10 s, the proxy ends.  NULL: none
    bool handle_signals;     // SIGINT and SIGTERM stop, SIGHUP reloads; all are ignored afterwards
    // What a person at the terminal should know: that the listeners are open, how many accounts
    // there are.  May be NULL.
    void (*on_message)(void *ctx, const char *line);
    void *ctx;
};

// Loads configuration and scripts and opens the listeners.  NULL with a message (one line or
// more) in `error`.  One thread uses it; several proxies may live in one process.
struct cliproxy *cliproxy_new(const struct cliproxy_options *options, char *error,
                              size_t error_size);

// Serves until it is stopped, then drains.  Returns 0, or 1 when the server broke down.
int cliproxy_run(struct cliproxy *proxy);

// Stops listening and lets open streams end, for `limits.drain-seconds` at most; a second call
// ends at once.  From any thread.
void cliproxy_stop(struct cliproxy *proxy);

// Reads configuration and scripts again, as a change on disk does.  From any thread.
void cliproxy_reload(struct cliproxy *proxy);

// The port bound, or 0.
int cliproxy_port(const struct cliproxy *proxy);

// NULL is allowed.  Not while cliproxy_run() is under way.
void cliproxy_free(struct cliproxy *proxy);

const char *cliproxy_version(void);
const char *cliproxy_commit(void);
const char *cliproxy_build_date(void);
