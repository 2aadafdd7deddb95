// states.h - the script states of one loop: the current one, and former ones that still have tasks.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

struct script_host;
struct script_state;

struct states {
    struct script_host *host;
    struct script_state *current; // NULL before the first and after states_release()
    struct list old;
    void (*on_release)(void *ctx); // one was freed; may be NULL
    void *ctx;
};

void states_init(struct states *s, void (*on_release)(void *ctx), void *ctx);

// Makes a state current and attaches it to the host; owns it from now on.
void states_replace(struct states *s, struct script_state *state);

// Frees a state that never became current.
void states_discard(struct states *s, struct script_state *state);

// Frees former states whose tasks have all ended.
void states_retire(struct states *s);

// Tasks that have not ended, of all states.
size_t states_tasks(const struct states *s);

// Ends all tasks.
void states_cancel(struct states *s);

// Frees all states; no task may be left.
void states_release(struct states *s);
