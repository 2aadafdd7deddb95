#include "script/mailbox.h"

#include <stdlib.h>

struct mailbox {
    uv_async_t async;
    uv_mutex_t lock;
    struct list letters; // under `lock`
    bool closed;         // under `lock`
    int refs;            // atomic; the open handle holds one
    void (*on_closed)(void *ctx);
    void *ctx;
};

struct mailbox *mailbox_ref(struct mailbox *m)
{
    __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

void mailbox_unref(struct mailbox *m)
{
    if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    uv_mutex_destroy(&m->lock);
    free(m);
}

// Empties the box in one go, so that letters posted meanwhile do not keep the loop here.
static struct list *take_all(struct mailbox *m, struct list *all)
{
    struct list *node;

    list_init(all);
    uv_mutex_lock(&m->lock);
    while ((node = list_shift(&m->letters)))
        list_append(all, node);
    uv_mutex_unlock(&m->lock);
    return all;
}

static void on_post(uv_async_t *async)
{
    struct mailbox *m = async->data;
    struct list all, *node;

    take_all(m, &all);
    while ((node = list_shift(&all))) {
        struct letter *l = list_entry(node, struct letter, in_box);

        l->arrive(l);
    }
}

struct mailbox *mailbox_new(uv_loop_t *loop)
{
    struct mailbox *m = calloc(1, sizeof(*m));

    if (!m || uv_mutex_init(&m->lock) < 0) {
        free(m);
        return NULL;
    }
    list_init(&m->letters);
    if (uv_async_init(loop, &m->async, on_post) < 0) {
        uv_mutex_destroy(&m->lock);
        free(m);
        return NULL;
    }
    m->async.data = m;
    m->refs = 1;
    return m;
}

void mailbox_post(struct mailbox *m, struct letter *l)
{
    bool closed;

    list_init(&l->in_box);
    uv_mutex_lock(&m->lock);
    closed = m->closed;
    if (!closed) {
        list_append(&m->letters, &l->in_box);
        uv_async_send(&m->async);
    }
    uv_mutex_unlock(&m->lock);
    if (closed)
        l->lost(l);
}

static void on_closed(uv_handle_t *handle)
{
    struct mailbox *m = handle->data;

    if (m->on_closed)
        m->on_closed(m->ctx);
    mailbox_unref(m);
}

void mailbox_close(struct mailbox *m, void (*closed)(void *ctx), void *ctx)
{
    struct list all, *node;

    m->on_closed = closed;
    m->ctx = ctx;
    uv_mutex_lock(&m->lock);
    m->closed = true;
    uv_mutex_unlock(&m->lock);
    take_all(m, &all);
    while ((node = list_shift(&all))) {
        struct letter *l = list_entry(node, struct letter, in_box);

        l->lost(l);
    }
    uv_close((uv_handle_t *)&m->async, on_closed);
}
