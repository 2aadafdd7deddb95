#include "script/generation.h"

#include <stdlib.h>

#include "script/state.h"

static struct script_limits limits_of(const struct config *config)
{
    return (struct script_limits){
        .memory = (size_t)config_int(config, "scripts.memory-mib") << 20,
        .hard = (double)config_int(config, "scripts.hard-limit-ms") / 1000,
    };
}

// Scripts are tried out in a state that nobody uses, so that a half-loaded one never serves.
static bool verify(struct bundle *bundle, struct config *config, struct credential_set *credentials,
                   const struct script_limits *limits, struct buf *error)
{
    struct script_state *scratch = state_new(bundle, config, credentials, limits);
    bool ok = scratch && state_verify(scratch, error);

    if (!scratch)
        buf_puts(error, "out of memory\n");
    state_free(scratch);
    return ok;
}

// One state of the generation, with its first script loaded.
static struct script_state *make_state(struct generation *g, struct credential_set *credentials,
                                       const struct generation_options *options, const char *script,
                                       struct buf *error)
{
    struct script_limits limits = limits_of(g->config);
    struct script_state *s = state_new(g->bundle, g->config, credentials, &limits);

    if (!s) {
        buf_puts(error, "out of memory\n");
        return NULL;
    }
    s->version = options->version;
    s->closed = options->closed;
    s->local = options->local;
    s->generation = g->number;
    if (!state_require(s, script, error)) {
        state_free(s);
        return NULL;
    }
    s->owner = g;
    g->refs++;
    return s;
}

struct generation *generation_new(unsigned number, struct bundle *bundle, struct config *config,
                                  const struct generation_options *options, struct buf *error)
{
    struct credential_set *credentials = credentials_from_config(config);
    struct script_limits limits = limits_of(config);
    struct generation *g = calloc(1, sizeof(*g));

    if (!g || !credentials)
        goto no_memory;
    g->refs = 1;
    g->number = number;
    g->bundle = bundle_ref(bundle);
    g->config = config_ref(config);
    g->states = calloc(options->states ? options->states : 1, sizeof(*g->states));
    if (!g->states)
        goto no_memory;
    if (options->verify && !bundle->compiled && !bundle_compile(bundle, error))
        goto fail;
    if (options->verify && !verify(bundle, config, credentials, &limits, error))
        goto fail;
    for (size_t i = 0; i < options->states; i++) {
        struct script_state *state = make_state(g, credentials, options, "main", error);

        if (!state)
            goto fail;
        g->states[g->count++] = state;
    }
    if (options->keeper) {
        g->keeper = make_state(g, credentials, options, "core.keeper", error);
        if (!g->keeper)
            goto fail;
        g->keeper->privileged = true;
    }
    credentials_unref(credentials);
    return g;

no_memory:
    buf_puts(error, "out of memory\n");
fail:
    credentials_unref(credentials);
    if (g)
        generation_discard(g);
    return NULL;
}

void generation_discard(struct generation *g)
{
    while (g->count > 0)
        generation_release(g, g->states[--g->count]);
    if (g->keeper)
        generation_release(g, g->keeper);
    generation_release(g, NULL);
}

bool generation_drained(const struct generation *g)
{
    return __atomic_load_n(&g->refs, __ATOMIC_ACQUIRE) == 1;
}

void generation_release(struct generation *g, struct script_state *state)
{
    state_free(state);
    if (__atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    bundle_unref(g->bundle);
    config_unref(g->config);
    free(g->states);
    free(g);
}

void generation_count(struct generation *g, bool script_failed)
{
    __atomic_add_fetch(&g->requests, 1, __ATOMIC_RELAXED);
    if (script_failed)
        __atomic_add_fetch(&g->script_errors, 1, __ATOMIC_RELAXED);
}

struct generation *generation_of(const struct script_state *state)
{
    return state->owner;
}
