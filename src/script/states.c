#include "script/states.h"

#include <stdlib.h>

#include "script/generation.h"
#include "script/host.h"

struct old_state {
    struct list node;
    struct script_state *state;
};

void states_init(struct states *s, void (*on_release)(void *ctx), void *ctx)
{
    *s = (struct states){.on_release = on_release, .ctx = ctx};
    list_init(&s->old);
}

void states_discard(struct states *s, struct script_state *state)
{
    generation_release(generation_of(state), state);
    if (s->on_release)
        s->on_release(s->ctx);
}

void states_retire(struct states *s)
{
    list_each(node, next, &s->old)
    {
        struct old_state *old = list_entry(node, struct old_state, node);

        if (state_tasks(old->state) > 0)
            continue;
        list_remove(&old->node);
        states_discard(s, old->state);
        free(old);
    }
}

void states_replace(struct states *s, struct script_state *state)
{
    struct old_state *old = s->current ? malloc(sizeof(*old)) : NULL;

    host_attach(s->host, state);
    if (s->current && !old) {
        // Out of memory: keep what there is, and drop the new one.
        states_discard(s, state);
        return;
    }
    if (old) {
        old->state = s->current;
        list_append(&s->old, &old->node);
    }
    s->current = state;
    states_retire(s);
}

size_t states_tasks(const struct states *s)
{
    size_t n = s->current ? state_tasks(s->current) : 0;

    list_each(node, next, &s->old) n +=
        state_tasks(list_entry(node, struct old_state, node)->state);
    return n;
}

void states_cancel(struct states *s)
{
    if (s->current)
        state_cancel(s->current);
    list_each(node, next, &s->old) state_cancel(list_entry(node, struct old_state, node)->state);
}

void states_release(struct states *s)
{
    states_retire(s);
    if (s->current)
        states_discard(s, s->current);
    s->current = NULL;
}
