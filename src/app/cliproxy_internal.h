// cliproxy_internal.h - what the files of the proxy itself share: cliproxy.c runs it,
// cliproxy_changes.c takes up what changes on disk.

#pragma once

#include <stdint.h>
#include <uv.h>

#include "app/cliproxy.h"
#include "app/listen.h"
#include "app/local_key.h"
#include "app/reload.h"
#include "app/worker.h"
#include "net/watcher.h"
#include "script/accounts.h"
#include "script/keeper.h"
#include "script/sessions.h"

struct cliproxy {
    struct cliproxy_options options;
    char *config_path;
    char config_directory[1024];
    char *auth_directory; // expanded
    uint64_t files_seen;  // see files_changed()
    uv_loop_t loop;
    bool loop_ready;
    uv_async_t async;
    uv_signal_t signals[3];
    int open_handles;
    // Asked from other threads, read in on_async().
    int stop_asked, reload_asked; // atomic
    struct log *log;
    struct store *store;
    struct traces *traces;
    struct accounts *accounts;
    struct sessions *sessions;
    struct keeper *keeper;
    struct config *config; // the running one
    struct reload *reload;
    struct watcher *watcher;
    SSL_CTX *tls;
    struct worker **workers;
    size_t worker_count;
    int workers_running; // atomic
    bool running;
    struct local_access local;
    char local_key_path[LOCAL_KEY_PATH]; // of its key; "" without one
    uv_timer_t keep_alive, pause;
    struct listen_plan plan;
    bool draining, cut; // a stop was asked for; a second one
    double drain_seconds;
    double drain_by; // clock_mono(); when the drain ends
    double end_by;   // when calls of the keeper under way end; 0: workers still serve
};

// --- cliproxy_changes.c
// ----------------------------------------------------------------------------

// Tells how many accounts there are.
void cliproxy_tell_clients(struct cliproxy *p, const struct config *config);

// Callbacks of reload, watcher, workers and keeper; `ctx` is the proxy.
const char *cliproxy_closed_reason(void *ctx, const struct config *config);
void cliproxy_on_retired(void *ctx);
void cliproxy_on_script_error(void *ctx);
void cliproxy_on_ready(void *ctx, struct generation *g);
void cliproxy_on_change(void *ctx, const char *path);

// True when the configuration or the certificate is another one than at the last look.
bool cliproxy_files_changed(struct cliproxy *p, const struct config *config);

// Watches the directories of configuration, accounts, scripts and certificates; known ones stay as
// they are.
void cliproxy_watch(struct cliproxy *p, const struct config *config);

// Hands the keeper's state of a generation over to the keeper.
void cliproxy_set_keeper_state(struct cliproxy *p, struct generation *g);

void cliproxy_tell(struct cliproxy *p, const char *line);
