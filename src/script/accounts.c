#include "script/accounts.h"

#include <stdlib.h>
#include <uv.h>

struct accounts {
    uv_mutex_t lock;
    struct credential_set *sets[ACCOUNTS_SOURCES]; // under `lock`
    unsigned version;                              // atomic
};

struct accounts *accounts_new(void)
{
    struct accounts *a = calloc(1, sizeof(*a));
    bool ok = a;

    for (int i = 0; ok && i < ACCOUNTS_SOURCES; i++)
        ok = (a->sets[i] = credentials_new());
    if (!ok || uv_mutex_init(&a->lock) < 0) {
        for (int i = 0; a && i < ACCOUNTS_SOURCES; i++)
            credentials_unref(a->sets[i]);
        free(a);
        return NULL;
    }
    return a;
}

void accounts_free(struct accounts *a)
{
    if (!a)
        return;
    for (int i = 0; i < ACCOUNTS_SOURCES; i++)
        credentials_unref(a->sets[i]);
    uv_mutex_destroy(&a->lock);
    free(a);
}

void accounts_publish(struct accounts *a, enum accounts_source source, struct credential_set *set)
{
    struct credential_set *old;

    uv_mutex_lock(&a->lock);
    old = a->sets[source];
    a->sets[source] = set;
    __atomic_add_fetch(&a->version, 1, __ATOMIC_RELEASE);
    uv_mutex_unlock(&a->lock);
    credentials_unref(old);
}

struct credential_set *accounts_take(struct accounts *a, enum accounts_source source)
{
    struct credential_set *set;

    uv_mutex_lock(&a->lock);
    set = credentials_ref(a->sets[source]);
    uv_mutex_unlock(&a->lock);
    return set;
}

unsigned accounts_version(const struct accounts *a)
{
    return __atomic_load_n(&a->version, __ATOMIC_ACQUIRE);
}
