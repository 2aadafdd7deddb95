#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/host.h"
#include "script/session_internal.h"

void session_message_free(struct session_message *m)
{
    if (!m)
        return;
    free(m->text);
    free(m);
}

static void free_messages(struct list *messages)
{
    struct list *node;

    while ((node = list_shift(messages)))
        session_message_free(list_entry(node, struct session_message, in_call));
}

static struct session_call *ref(struct session_call *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void session_call_unref(struct session_call *c)
{
    if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free_messages(&c->messages);
    free(c->text);
    mailbox_unref(c->caller);
    if (c->session)
        session_unref(c->session);
    uv_mutex_destroy(&c->lock);
    free(c);
}

// --- letters -------------------------------------------------------------------------------------

// Under the lock: claims a letter that is not on its way.  True: post it.
static bool claim(struct session_call *c, bool *on_its_way)
{
    if (*on_its_way)
        return false;
    *on_its_way = true;
    ref(c);
    return true;
}

static void arrive_home(struct letter *l)
{
    struct session_call *c = list_entry(l, struct session_call, to_home);
    bool closed, room;

    uv_mutex_lock(&c->lock);
    c->going_home = false;
    closed = c->closed;
    room = c->full && c->buffered <= SESSION_BUFFERED / 2;
    if (room)
        c->full = false;
    uv_mutex_unlock(&c->lock);
    if (room)
        session_has_room(c->session);
    if (closed && c->known)
        session_drop_call(c);
    else if (!closed && !c->known)
        session_take_call(c);
    session_call_unref(c);
}

// The worker of the session has ended, and the session with it.
static void lost_home(struct letter *l)
{
    struct session_call *c = list_entry(l, struct session_call, to_home);

    uv_mutex_lock(&c->lock);
    c->going_home = false;
    uv_mutex_unlock(&c->lock);
    session_call_end(c);
    session_call_unref(c);
}

static void arrive_back(struct letter *l)
{
    struct session_call *c = list_entry(l, struct session_call, to_caller);

    uv_mutex_lock(&c->lock);
    c->going_back = false;
    uv_mutex_unlock(&c->lock);
    if (c->on_news)
        c->on_news(c->owner);
    session_call_unref(c);
}

// The caller's worker has ended, so its task has too.
static void lost_back(struct letter *l)
{
    session_call_unref(list_entry(l, struct session_call, to_caller));
}

// --- at home -------------------------------------------------------------------------------------

bool session_call_deliver(struct session_call *c, struct session_message *m)
{
    bool tell = false, filled = false;

    uv_mutex_lock(&c->lock);
    if (!c->closed) {
        list_append(&c->messages, &m->in_call);
        c->buffered += m->len;
        filled = !c->full && c->buffered > SESSION_BUFFERED;
        c->full = c->full || filled;
        tell = claim(c, &c->going_back);
        m = NULL;
    }
    uv_mutex_unlock(&c->lock);
    session_message_free(m);
    if (tell)
        mailbox_post(c->caller, &c->to_caller);
    return filled;
}

void session_call_end(struct session_call *c)
{
    bool tell;

    uv_mutex_lock(&c->lock);
    c->over = true;
    tell = !c->closed && claim(c, &c->going_back);
    uv_mutex_unlock(&c->lock);
    if (tell)
        mailbox_post(c->caller, &c->to_caller);
}

// --- at the caller -------------------------------------------------------------------------------

// Made by session_call_new() with one reference, which is the caller's.
static struct session_call *make(struct script_host *h, const char *id, char *text, size_t len)
{
    struct session_call *c = calloc(1, sizeof(*c));

    if (!c || strlen(id) >= sizeof(c->id) || uv_mutex_init(&c->lock) < 0) {
        free(text);
        free(c);
        return NULL;
    }
    c->refs = 1;
    snprintf(c->id, sizeof(c->id), "%s", id);
    c->text = text;
    c->len = len;
    c->caller = mailbox_ref(h->mailbox);
    list_init(&c->messages);
    list_init(&c->in_waiting);
    c->to_home = (struct letter){.arrive = arrive_home, .lost = lost_home};
    c->to_caller = (struct letter){.arrive = arrive_back, .lost = lost_back};
    return c;
}

struct session_call *session_call_new(struct script_host *h, const char *session, const char *id,
                                      char *text, size_t len, void (*on_news)(void *owner),
                                      void *owner)
{
    struct session_call *c = make(h, id, text, len);

    if (!c)
        return NULL;
    c->on_news = on_news;
    c->owner = owner;
    c->session = sessions_find(h->sessions, session);
    if (!c->session) {
        c->over = true;
        return c;
    }
    c->going_home = true;
    mailbox_post(c->session->home, &ref(c)->to_home);
    return c;
}

struct session_message *session_call_next(struct session_call *c, bool *over)
{
    struct session_message *m = NULL;
    bool tell = false;
    struct list *node;

    uv_mutex_lock(&c->lock);
    node = list_shift(&c->messages);
    if (node) {
        m = list_entry(node, struct session_message, in_call);
        c->buffered -= m->len;
        tell = c->full && c->buffered <= SESSION_BUFFERED / 2 && claim(c, &c->going_home);
    }
    *over = !m && c->over;
    uv_mutex_unlock(&c->lock);
    if (tell)
        mailbox_post(c->session->home, &c->to_home);
    return m;
}

void session_call_free(struct session_call *c)
{
    struct list messages;
    bool tell;

    if (!c)
        return;
    list_init(&messages);
    c->on_news = NULL;
    uv_mutex_lock(&c->lock);
    c->closed = true;
    list_splice(&messages, &c->messages);
    c->buffered = 0;
    tell = c->session && !c->over && claim(c, &c->going_home);
    uv_mutex_unlock(&c->lock);
    free_messages(&messages);
    if (tell)
        mailbox_post(c->session->home, &c->to_home);
    session_call_unref(c);
}
