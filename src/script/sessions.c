#include "script/sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "script/accounts.h"
#include "script/host.h"
#include "script/session_internal.h"

struct sessions {
    struct accounts *accounts;
    uv_mutex_t lock;
    struct list all; // under `lock`
};

static const struct upgrade_limits limits = {.message_bytes = SESSION_MESSAGE_MAX,
                                             .ping_seconds = 30,
                                             .quiet_seconds = 60,
                                             .write_seconds = 10};

struct sessions *sessions_new(struct accounts *accounts)
{
    struct sessions *s = calloc(1, sizeof(*s));

    if (!s || uv_mutex_init(&s->lock) < 0) {
        free(s);
        return NULL;
    }
    s->accounts = accounts;
    list_init(&s->all);
    return s;
}

void sessions_free(struct sessions *s)
{
    if (!s)
        return;
    uv_mutex_destroy(&s->lock);
    free(s);
}

// Under the lock: says which credentials there are now.  Without memory they stay as they were: a
// call of a session that has gone fails, and another candidate is tried.
static void publish(struct sessions *s)
{
    struct credential_set *set = credentials_new();
    bool ok = set;

    for (struct list *it = s->all.next; ok && it != &s->all; it = it->next) {
        const struct session *session = list_entry(it, struct session, in_all);
        struct credential_draft draft = {.id = session->id,
                                         .provider = session->provider,
                                         .name = session->provider,
                                         .kind = "session",
                                         .label = session->id};

        ok = credentials_add(set, &draft);
    }
    if (!ok) {
        credentials_unref(set);
        return;
    }
    credentials_seal(set);
    accounts_publish(s->accounts, ACCOUNTS_SESSIONS, set);
}

static void add(struct sessions *s, struct session *session)
{
    uv_mutex_lock(&s->lock);
    list_append(&s->all, &session->in_all);
    publish(s);
    uv_mutex_unlock(&s->lock);
}

static void withdraw(struct sessions *s, struct session *session)
{
    uv_mutex_lock(&s->lock);
    list_remove(&session->in_all);
    publish(s);
    uv_mutex_unlock(&s->lock);
}

struct session *sessions_find(struct sessions *s, const char *id)
{
    struct session *found = NULL;

    uv_mutex_lock(&s->lock);
    for (struct list *it = s->all.next; !found && it != &s->all; it = it->next) {
        struct session *session = list_entry(it, struct session, in_all);

        if (strcmp(session->id, id) == 0)
            found = session;
    }
    if (found)
        __atomic_add_fetch(&found->refs, 1, __ATOMIC_RELAXED);
    uv_mutex_unlock(&s->lock);
    return found;
}

void session_unref(struct session *s)
{
    if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    mailbox_unref(s->home);
    map_deinit(&s->calls);
    free(s);
}

// --- calls ---------------------------------------------------------------------------------------

static bool is_at_work(const struct session *s)
{
    return s->calls.count > 0 || !list_empty(&s->waiting);
}

// The session lets go of a call that it cannot serve.
static void end_call(struct session_call *c)
{
    c->known = false;
    session_call_end(c);
    session_call_unref(c);
}

// False without memory, or when the id is not a new one.
static bool send_one(struct session *s, struct session_call *c)
{
    size_t len = strlen(c->id);

    if (map_get(&s->calls, c->id, len) || !map_set(&s->calls, c->id, len, c, NULL))
        return false;
    if (!upgrade_send(s->upgrade, c->text, c->len)) {
        map_remove(&s->calls, c->id, len);
        return false;
    }
    free(c->text);
    c->text = NULL;
    return true;
}

// Sends what there is room for.
static void send_waiting(struct session *s)
{
    while (upgrade_writable(s->upgrade) && !list_empty(&s->waiting)) {
        struct session_call *c =
            list_entry(list_shift(&s->waiting), struct session_call, in_waiting);

        if (!send_one(s, c))
            end_call(c);
    }
    upgrade_keep(s->upgrade, is_at_work(s));
}

void session_take_call(struct session_call *c)
{
    struct session *s = c->session;

    if (!s->upgrade || !upgrade_is_open(s->upgrade)) {
        session_call_end(c);
        return;
    }
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    c->known = true;
    list_append(&s->waiting, &c->in_waiting);
    send_waiting(s);
}

void session_drop_call(struct session_call *c)
{
    struct session *s = c->session;

    c->known = false;
    list_remove(&c->in_waiting);
    if (map_get(&s->calls, c->id, strlen(c->id)) == c)
        map_remove(&s->calls, c->id, strlen(c->id));
    if (s->upgrade)
        upgrade_keep(s->upgrade, is_at_work(s));
    session_call_unref(c);
}

void session_has_room(struct session *s)
{
    if (--s->full == 0 && s->upgrade)
        upgrade_pause(s->upgrade, false);
}

// --- messages ------------------------------------------------------------------------------------

static bool is_string(const struct json_slice *slice, const char *text)
{
    size_t len = strlen(text);

    return slice->type == JSON_STRING && slice->len == len + 2 &&
           memcmp(slice->at + 1, text, len) == 0;
}

static void answer_ping(struct session *s, const struct json_slice *id)
{
    struct buf pong;

    buf_init(&pong, id->len + 64);
    if (buf_puts(&pong, "{\"id\":") && buf_append(&pong, id->at, id->len) &&
        buf_puts(&pong, ",\"type\":\"pong\"}"))
        upgrade_send(s->upgrade, pong.data, pong.len);
    buf_deinit(&pong);
}

// The call that a message is for, or NULL.
static struct session_call *call_of(struct session *s, const struct json_slice *id)
{
    struct session_call *c;
    struct buf name;

    buf_init(&name, 256);
    c = json_unquote(&name, id->at, id->len) ? map_get(&s->calls, name.data, name.len) : NULL;
    buf_deinit(&name);
    return c;
}

// Hands the message just received to a call.
static void pass_on(struct session *s, struct session_call *c, struct json_slice type,
                    struct json_slice payload)
{
    struct session_message *m = calloc(1, sizeof(*m));

    if (m)
        m->text = upgrade_detach(s->upgrade, &m->len);
    if (!m || !m->text) {
        free(m);
        upgrade_close(s->upgrade, WEBSOCKET_INTERNAL, "out of memory");
        return;
    }
    m->type = type;
    m->payload = payload;
    if (session_call_deliver(c, m) && s->full++ == 0)
        upgrade_pause(s->upgrade, true);
}

static void on_text(void *ctx, const char *text, size_t len)
{
    static const char *const names[] = {"id", "type", "payload"};
    struct session *s = ctx;
    struct json_slice found[3];
    struct json_error error;
    struct session_call *c;

    if (!json_members(text, len, names, 3, found, 0, &error) || found[0].type != JSON_STRING ||
        found[1].type != JSON_STRING) {
        upgrade_close(s->upgrade, WEBSOCKET_POLICY,
                      "a message is a JSON object with the strings id and type");
        return;
    }
    if (is_string(&found[1], "ping")) {
        answer_ping(s, &found[0]);
        return;
    }
    c = call_of(s, &found[0]);
    if (c)
        pass_on(s, c, found[1], found[2]);
}

// --- the life of a session -----------------------------------------------------------------------

static void on_writable(void *ctx)
{
    send_waiting(ctx);
}

// The session has gone: nobody hears from it any more.
static void end_calls(struct session *s)
{
    const struct map_entry *entry;
    size_t pos = 0;

    while ((entry = map_next(&s->calls, &pos)))
        end_call(entry->value);
    map_deinit(&s->calls);
    while (!list_empty(&s->waiting))
        end_call(list_entry(list_shift(&s->waiting), struct session_call, in_waiting));
}

static void on_close(void *ctx, int status)
{
    struct session *s = ctx;

    log_write(s->host->log, LOG_INFO, "session", NULL, "%s has left (%d)", s->id, status);
    s->upgrade = NULL;
    list_remove(&s->in_host);
    withdraw(s->host->sessions, s);
    end_calls(s);
    session_unref(s);
}

// `<provider>-` and 16 of [a-z0-9], all equally likely.
static bool make_id(struct session *s)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t len = (size_t)snprintf(s->id, sizeof(s->id), "%s-", s->provider);
    unsigned char byte;

    for (int left = 16; left > 0;) {
        if (getrandom(&byte, 1, 0) != 1)
            return false;
        if (byte >= 7 * 36)
            continue;
        s->id[len++] = digits[byte % 36];
        left--;
    }
    s->id[len] = '\0';
    return true;
}

static struct session *session_new(struct script_host *h, const char *provider, bool keyed)
{
    struct session *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->refs = 1;
    s->host = h;
    s->keyed = keyed;
    s->home = mailbox_ref(h->mailbox);
    map_init(&s->calls);
    list_init(&s->waiting);
    list_init(&s->in_all);
    list_init(&s->in_host);
    snprintf(s->provider, sizeof(s->provider), "%s", provider);
    if (make_id(s))
        return s;
    session_unref(s);
    return NULL;
}

// The rule that sessions_configure() applies to those that were there before.
static void check_key(const struct session *s)
{
    if (s->host->sessions_need_key && !s->keyed)
        upgrade_close(s->upgrade, WEBSOCKET_POLICY, "an API key is required");
}

bool session_accept(struct script_host *h, struct server_request *req, const char *fields,
                    size_t fields_len, const char *provider, bool keyed, char id[SESSION_ID_SIZE])
{
    struct session *s = session_new(h, provider, keyed);
    struct upgrade_handler handler = {s, on_text, on_writable, on_close};

    if (!s)
        return false;
    s->upgrade = upgrade_accept(req, fields, fields_len, &limits, &handler);
    if (!s->upgrade) {
        session_unref(s);
        return false;
    }
    list_append(&h->session_list, &s->in_host);
    log_write(h->log, LOG_INFO, "session", NULL, "%s has connected from %s", s->id, req->peer);
    memcpy(id, s->id, sizeof(s->id));
    add(h->sessions, s);
    check_key(s); // the request may have been admitted under an older configuration
    return true;
}

void sessions_configure(struct script_host *h, bool key_required)
{
    h->sessions_need_key = key_required;
    list_each(it, next, &h->session_list)
    {
        check_key(list_entry(it, struct session, in_host));
    }
}
