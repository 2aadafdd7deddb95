#include "script/host.h"

#include <stdlib.h>

#include "script/exchange.h"
#include "script/listener.h"
#include "script/mailbox.h"
#include "script/sessions.h"
#include "script/state.h"
#include "script/task.h"

static void on_pass(void *ctx)
{
    struct script_host *h = ctx;

    exchange_cancel_gone(h);
    listeners_flush(h);
    h->after_pass(h->ctx);
}

struct script_host *host_new(uv_loop_t *loop, struct upstream *upstream,
                             const struct script_shared *shared, void (*after_pass)(void *ctx),
                             void *ctx)
{
    struct script_host *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    list_init(&h->gone);
    list_init(&h->session_list);
    list_init(&h->listeners);
    h->upstream = upstream;
    h->log = shared->log;
    h->store = shared->store;
    h->traces = shared->traces;
    h->accounts = shared->accounts;
    h->keeper = shared->keeper;
    h->sessions = shared->sessions;
    h->after_pass = after_pass;
    h->ctx = ctx;
    h->scheduler = calloc(1, sizeof(*h->scheduler));
    h->mailbox = h->scheduler ? mailbox_new(loop) : NULL;
    if (!h->mailbox) {
        free(h->scheduler);
        free(h);
        return NULL;
    }
    h->mailbox_open = true;
    scheduler_init(h->scheduler, loop, on_pass, h);
    return h;
}

bool host_start(struct script_host *h)
{
    return scheduler_start(h->scheduler) == 0;
}

static void on_mailbox_closed(void *ctx)
{
    struct script_host *h = ctx;

    h->mailbox_open = false;
}

void host_stop(struct script_host *h)
{
    scheduler_stop(h->scheduler);
    mailbox_close(h->mailbox, on_mailbox_closed, h);
    h->mailbox = NULL;
}

bool host_closed(const struct script_host *h)
{
    return h->scheduler->open_handles == 0 && !h->mailbox_open && listeners_closed(h);
}

void host_free(struct script_host *h)
{
    if (!h)
        return;
    listeners_free(h);
    scheduler_deinit(h->scheduler);
    free(h->scheduler);
    free(h);
}

void host_wake(struct script_host *h)
{
    scheduler_wake(h->scheduler);
}

void host_attach(struct script_host *h, struct script_state *state)
{
    const struct config *config = state->config;

    state->host = h;
    sessions_configure(h,
                       config_bool(config, "ws-auth") && config_at(config, "api-keys")->count > 0);
}

void state_collect(struct script_state *state)
{
    state_trim(state);
}

void state_cancel(struct script_state *state)
{
    while (!list_empty(&state->tasks))
        task_cancel(list_entry(state->tasks.next, struct task, in_state));
}

size_t state_tasks(const struct script_state *state)
{
    return state->task_count;
}
