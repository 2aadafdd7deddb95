// test_sessions.c - sessions and their calls: a session on one loop, its callers on another.

#include "server_world.h"

#include "script/accounts.h"
#include "script/host.h"
#include "script/mailbox.h"
#include "script/sessions.h"
#include "websocket_frames.h"

#define HANDSHAKE                                                                                  \
    "GET /hold HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"               \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define MIB ((size_t)1 << 20)

struct office {
    struct accounts *accounts;
    struct sessions *sessions;
    struct world home; // with the server
    uv_loop_t away;
    uv_timer_t awake; // a loop without anything else would not run
    struct script_host *home_host, *away_host;
    bool away_open;
};

// A page, and the id of its session.
struct page {
    struct client client;
    char id[SESSION_ID_SIZE];
};

struct caller {
    struct session_call *call;
    int news;
};

static void on_pass(void *ctx)
{
    (void)ctx;
}

static void on_awake(uv_timer_t *timer)
{
    (void)timer;
}

static int setup(void **state)
{
    struct office *o = calloc(1, sizeof(*o));
    struct script_shared shared = {0};

    world_init(&o->home);
    assert_int_equal(uv_loop_init(&o->away), 0);
    uv_timer_init(&o->away, &o->awake);
    uv_timer_start(&o->awake, on_awake, 1000000, 0);
    o->accounts = accounts_new();
    o->sessions = sessions_new(o->accounts);
    shared.accounts = o->accounts;
    shared.sessions = o->sessions;
    o->home_host = host_new(&o->home.loop, NULL, &shared, on_pass, NULL);
    o->away_host = host_new(&o->away, NULL, &shared, on_pass, NULL);
    o->away_open = true;
    assert_true(o->home_host && o->away_host);
    *state = o;
    return 0;
}

// Lets both loops come round.
static void run(struct office *o)
{
    for (int i = 0; i < 3; i++) {
        world_run(&o->home);
        for (int k = 0; k < 4 && o->away_open; k++)
            uv_run(&o->away, UV_RUN_NOWAIT);
    }
}

static void close_away(struct office *o)
{
    host_stop(o->away_host);
    uv_close((uv_handle_t *)&o->awake, NULL);
    while (!host_closed(o->away_host))
        uv_run(&o->away, UV_RUN_NOWAIT);
    o->away_open = false;
}

static int teardown(void **state)
{
    struct office *o = *state;
    struct credential_set *left;

    server_stop(o->home.server);
    if (o->away_open)
        close_away(o);
    host_stop(o->home_host);
    world_run(&o->home);
    assert_true(host_closed(o->home_host));
    world_deinit(&o->home);
    left = accounts_take(o->accounts, ACCOUNTS_SESSIONS);
    assert_int_equal(left->count, 0);
    credentials_unref(left);
    host_free(o->home_host);
    host_free(o->away_host);
    sessions_free(o->sessions);
    accounts_free(o->accounts);
    assert_int_equal(uv_loop_close(&o->away), 0);
    free(o);
    return 0;
}

static void page_open(struct office *o, struct page *p, bool keyed)
{
    struct world *w = &o->home;

    client_init(w, &p->client);
    client_say(w, &p->client, HANDSHAKE);
    assert_true(session_accept(o->home_host, w->held, "", 0, "aistudio", keyed, p->id));
    server_release(w->held);
    w->held = NULL;
    run(o);
    client_read(&p->client);
    assert_int_equal(client_status(&p->client), 101);
    buf_clear(&p->client.in);
}

static void page_say(struct office *o, struct page *p, const char *text)
{
    struct buf frame;

    buf_init(&frame, 100000);
    frame_text(&frame, text);
    assert_int_equal(client_send(&o->home, &p->client, frame.data, frame.len), frame.len);
    buf_deinit(&frame);
    run(o);
}

// What the page got since the last look, without the heads of the frames.
static const char *page_got(struct office *o, struct page *p)
{
    static char text[10000];
    size_t n = 0;

    run(o);
    client_read(&p->client);
    for (size_t at = 0; at < p->client.in.len;) {
        size_t len = (unsigned char)p->client.in.data[at + 1];

        assert_true(len < 126);
        memcpy(text + n, p->client.in.data + at + 2, len);
        n += len;
        at += 2 + len;
    }
    text[n] = '\0';
    buf_clear(&p->client.in);
    return text;
}

static void on_news(void *owner)
{
    ((struct caller *)owner)->news++;
}

static void call(struct office *o, struct caller *c, const char *session, const char *id)
{
    char text[100];

    memset(c, 0, sizeof(*c));
    snprintf(text, sizeof(text), "{\"id\":\"%s\"}", id);
    c->call = session_call_new(o->away_host, session, id, strdup(text), strlen(text), on_news, c);
    assert_non_null(c->call);
}

// The type and payload of the next message, "over" or "none".
static const char *next(struct caller *c)
{
    static char text[1000];
    bool over;
    struct session_message *m = session_call_next(c->call, &over);

    if (!m)
        return over ? "over" : "none";
    snprintf(text, sizeof(text), "%.*s %.*s", (int)m->type.len, m->type.at, (int)m->payload.len,
             m->payload.type == JSON_NONE ? "" : m->payload.at);
    session_message_free(m);
    return text;
}

static void messages_reach_their_call_in_order(void **state)
{
    struct office *o = *state;
    struct caller a, b;
    struct page p;

    page_open(o, &p, true);
    call(o, &a, p.id, "call-a");
    call(o, &b, p.id, "call-b");
    assert_string_equal(page_got(o, &p), "{\"id\":\"call-a\"}{\"id\":\"call-b\"}");
    assert_string_equal(next(&a), "none");
    page_say(o, &p, "{\"id\":\"call-b\",\"type\":\"one\",\"payload\":{\"x\":1}}");
    page_say(o, &p, "{\"payload\":\"two\",\"type\":\"t\",\"id\":\"call-a\"}");
    page_say(o, &p, "{\"id\":\"call-c\",\"type\":\"nobody's\"}");
    page_say(o, &p, " { \"type\" : \"three\" , \"id\" : \"c\\u0061ll-b\" } ");
    assert_true(a.news > 0 && b.news > 0);
    assert_string_equal(next(&a), "\"t\" \"two\"");
    assert_string_equal(next(&a), "none");
    assert_string_equal(next(&b), "\"one\" {\"x\":1}");
    assert_string_equal(next(&b), "\"three\" ");
    assert_string_equal(next(&b), "none");
    session_call_free(a.call);
    session_call_free(b.call);
    run(o);
    page_say(o, &p, "{\"id\":\"call-b\",\"type\":\"late\"}");
    client_deinit(&p.client);
}

static void pings_are_answered_without_a_call(void **state)
{
    struct office *o = *state;
    struct page p;

    page_open(o, &p, true);
    page_say(o, &p, "{\"id\":\"p \\\" 1\",\"type\":\"ping\",\"payload\":{}}");
    assert_string_equal(page_got(o, &p), "{\"id\":\"p \\\" 1\",\"type\":\"pong\"}");
    client_deinit(&p.client);
}

static void what_is_no_message_ends_the_session(void **state)
{
    static const char *const table[] = {
        "",
        "hello",
        "[]",
        "{}",
        "{\"id\":1,\"type\":\"x\"}",
        "{\"id\":\"1\"}",
        "{\"id\":\"1\",\"type\":null}",
        "{\"id\":\"1\",\"type\":\"x\"",
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct office *o = *state;
        struct caller a;
        struct page p;

        page_open(o, &p, true);
        call(o, &a, p.id, "call-a");
        page_got(o, &p);
        page_say(o, &p, table[i]);
        client_read(&p.client);
        assert_memory_equal(p.client.in.data + 2, "\x03\xf0", 2); // 1008
        client_deinit(&p.client);
        run(o);
        assert_string_equal(next(&a), "over");
        session_call_free(a.call);
    }
}

static void what_came_before_the_end_is_still_there(void **state)
{
    struct office *o = *state;
    struct caller a;
    struct page p;

    page_open(o, &p, true);
    call(o, &a, p.id, "call-a");
    run(o);
    page_say(o, &p, "{\"id\":\"call-a\",\"type\":\"one\"}");
    page_say(o, &p, "{\"id\":\"call-a\",\"type\":\"two\"}");
    client_deinit(&p.client);
    run(o);
    assert_string_equal(next(&a), "\"one\" ");
    assert_string_equal(next(&a), "\"two\" ");
    assert_string_equal(next(&a), "over");
    assert_string_equal(next(&a), "over");
    session_call_free(a.call);
}

static void a_session_that_is_not_there_is_over(void **state)
{
    struct office *o = *state;
    struct caller a;
    struct page p;

    call(o, &a, "aistudio-nobody", "call-a");
    assert_string_equal(next(&a), "over");
    session_call_free(a.call);
    // One that goes while the call is on its way.
    page_open(o, &p, true);
    client_deinit(&p.client);
    call(o, &a, p.id, "call-a");
    run(o);
    assert_string_equal(next(&a), "over");
    session_call_free(a.call);
}

static void a_session_that_is_closing_takes_no_call(void **state)
{
    struct office *o = *state;
    struct caller a;
    struct page p;

    page_open(o, &p, true);
    page_say(o, &p, "[]"); // no message: it is told to go, but has not answered yet
    call(o, &a, p.id, "call-a");
    run(o);
    assert_string_equal(next(&a), "over");
    session_call_free(a.call);
    client_deinit(&p.client);
}

static void a_call_that_is_given_up_at_once_is_never_sent(void **state)
{
    struct office *o = *state;
    struct caller a;
    struct page p;

    page_open(o, &p, true);
    call(o, &a, p.id, "call-a");
    session_call_free(a.call);
    assert_string_equal(page_got(o, &p), "");
    client_deinit(&p.client);
}

static void an_id_is_used_once_at_a_time(void **state)
{
    struct office *o = *state;
    struct caller a, b;
    struct page p;

    page_open(o, &p, true);
    call(o, &a, p.id, "same");
    call(o, &b, p.id, "same");
    assert_string_equal(page_got(o, &p), "{\"id\":\"same\"}");
    assert_string_equal(next(&a), "none");
    assert_string_equal(next(&b), "over");
    session_call_free(b.call);
    page_say(o, &p, "{\"id\":\"same\",\"type\":\"x\"}");
    assert_string_equal(next(&a), "\"x\" ");
    session_call_free(a.call);
    client_deinit(&p.client);
}

// Sends numbered messages of about `size` bytes until the socket takes no more; how many went.
static size_t blast(struct office *o, struct page *p, const char *id, size_t size, size_t max)
{
    char *text = malloc(size + 100);
    size_t sent = 0;

    for (;;) {
        struct buf frame;
        size_t n =
            (size_t)sprintf(text, "{\"id\":\"%s\",\"type\":\"%zu\",\"payload\":\"", id, sent);
        size_t went;

        memset(text + n, 'x', size);
        strcpy(text + n + size, "\"}");
        buf_init(&frame, size + 200);
        frame_text(&frame, text);
        went = client_send(&o->home, &p->client, frame.data, frame.len);
        buf_deinit(&frame);
        if (went < size) // stuck within this one
            break;
        if (++sent == max)
            break;
    }
    free(text);
    return sent;
}

static void a_full_call_stops_the_socket_and_loses_nothing(void **state)
{
    struct office *o = *state;
    size_t sent, got = 0, bytes = 0;
    struct caller a, b;
    struct page p;

    page_open(o, &p, true);
    call(o, &a, p.id, "call-a");
    call(o, &b, p.id, "call-b");
    run(o);
    sent = blast(o, &p, "call-a", MIB / 4, 4000);
    assert_true(sent > 60 && sent < 200); // some more than 16 MiB
    for (;;) {
        bool over;
        struct session_message *m = session_call_next(a.call, &over);

        if (!m) {
            run(o);
            m = session_call_next(a.call, &over);
        }
        if (!m)
            break;
        assert_int_equal(strtoul(m->type.at + 1, NULL, 10), got);
        bytes += m->payload.len;
        got++;
        session_message_free(m);
        // It goes on when half is taken.
        if (got == 40)
            run(o);
    }
    assert_int_equal(got, sent);
    assert_int_equal(bytes, sent * (MIB / 4 + 2));
    session_call_free(a.call);
    session_call_free(b.call);
    client_deinit(&p.client);
    run(o);
}

static void the_end_of_a_full_call_lets_the_others_go_on(void **state)
{
    struct office *o = *state;
    struct caller a, b;
    struct page p;
    size_t sent;

    page_open(o, &p, true);
    call(o, &a, p.id, "call-a");
    call(o, &b, p.id, "call-b");
    run(o);
    sent = blast(o, &p, "call-a", MIB, 16); // the last one fills it
    assert_int_equal(sent, 16);
    page_say(o, &p, "{\"id\":\"call-b\",\"type\":\"behind\"}");
    assert_string_equal(next(&b), "none");
    session_call_free(a.call);
    run(o);
    assert_string_equal(next(&b), "\"behind\" ");
    session_call_free(b.call);
    client_deinit(&p.client);
}

static void a_caller_whose_loop_ends_leaves_nothing_behind(void **state)
{
    struct office *o = *state;
    struct caller a;
    struct page p;

    page_open(o, &p, true);
    call(o, &a, p.id, "call-a");
    world_run(&o->home);
    // A letter to the caller is on its way when its call and its loop end.
    page_got(o, &p);
    for (int i = 0; i < 3; i++) {
        struct buf frame;

        buf_init(&frame, 1000);
        frame_text(&frame, "{\"id\":\"call-a\",\"type\":\"x\"}");
        client_send(&o->home, &p.client, frame.data, frame.len);
        buf_deinit(&frame);
        world_run(&o->home);
    }
    session_call_free(a.call);
    close_away(o);
    run(o);
    page_say(o, &p, "{\"id\":\"call-a\",\"type\":\"x\"}");
    client_deinit(&p.client);
}

static void a_home_that_ends_ends_its_calls(void **state)
{
    struct office *o = *state;
    struct caller a, b;
    struct page p;

    page_open(o, &p, true);
    call(o, &a, p.id, "call-a");
    run(o);
    call(o, &b, p.id, "call-b"); // its letter is on the way
    server_stop(o->home.server);
    host_stop(o->home_host);
    run(o);
    assert_string_equal(next(&a), "over");
    assert_string_equal(next(&b), "over");
    session_call_free(a.call);
    session_call_free(b.call);
    client_deinit(&p.client);
    // The rest of the way down, which teardown would begin with.
    close_away(o);
    assert_true(host_closed(o->home_host));
    world_deinit(&o->home);
    host_free(o->home_host);
    host_free(o->away_host);
    sessions_free(o->sessions);
    accounts_free(o->accounts);
    assert_int_equal(uv_loop_close(&o->away), 0);
    free(o);
    setup(state);
}

static void a_session_is_a_credential_while_it_lives(void **state)
{
    struct office *o = *state;
    unsigned version = accounts_version(o->accounts);
    struct credential_set *set;
    const struct credential *c;
    struct page p, q;

    page_open(o, &p, true);
    assert_int_not_equal(accounts_version(o->accounts), version);
    page_open(o, &q, true);
    assert_string_not_equal(p.id, q.id);
    set = accounts_take(o->accounts, ACCOUNTS_SESSIONS);
    assert_int_equal(set->count, 2);
    c = credentials_find(set, p.id);
    assert_non_null(c);
    assert_int_equal(strlen(c->id), strlen("aistudio-") + 16);
    assert_int_equal(strspn(c->id + 9, "abcdefghijklmnopqrstuvwxyz0123456789"), 16);
    assert_string_equal(c->provider, "aistudio");
    assert_string_equal(c->name, "aistudio");
    assert_string_equal(c->kind, "session");
    assert_string_equal(c->label, p.id);
    assert_string_equal(c->secret, "");
    credentials_unref(set);
    version = accounts_version(o->accounts);
    client_deinit(&p.client);
    run(o);
    assert_int_not_equal(accounts_version(o->accounts), version);
    set = accounts_take(o->accounts, ACCOUNTS_SESSIONS);
    assert_int_equal(set->count, 1);
    assert_non_null(credentials_find(set, q.id));
    credentials_unref(set);
    client_deinit(&q.client);
    run(o);
}

static void when_a_key_becomes_required_keyless_sessions_end(void **state)
{
    struct office *o = *state;
    struct page keyed, keyless, late;

    sessions_configure(o->home_host, false);
    page_open(o, &keyed, true);
    page_open(o, &keyless, false);
    sessions_configure(o->home_host, true);
    run(o);
    client_read(&keyless.client);
    assert_memory_equal(keyless.client.in.data + 2, "\x03\xf0", 2);
    client_read(&keyed.client);
    assert_int_equal(keyed.client.in.len, 0);
    client_deinit(&keyless.client);
    // One that was admitted before, under the older configuration.
    page_open(o, &late, false);
    sessions_configure(o->home_host, false);
    run(o);
    client_deinit(&late.client);
    page_say(o, &keyed, "{\"id\":\"1\",\"type\":\"ping\"}");
    assert_string_equal(page_got(o, &keyed), "{\"id\":\"1\",\"type\":\"pong\"}");
    client_deinit(&keyed.client);
}

// --- real threads --------------------------------------------------------------------------------

enum { CALLERS = 3, MESSAGES = 400, LARGE = 100000 };

struct threads {
    struct office *o;
    struct page page;
    uv_async_t stop;
    bool stopping;
};

static void on_stop(uv_async_t *async)
{
    struct threads *t = async->data;

    t->stopping = true;
}

static void run_home(void *arg)
{
    struct threads *t = arg;

    while (!t->stopping)
        world_turn(&t->o->home, UV_RUN_ONCE);
}

// The page: answers all calls by turns.
static void run_page(void *arg)
{
    struct threads *t = arg;
    char *text = malloc(LARGE + 200);

    for (int i = 0; i < MESSAGES; i++) {
        for (int k = 0; k < CALLERS; k++) {
            size_t n =
                (size_t)sprintf(text, "{\"id\":\"call-%d\",\"type\":\"%d\",\"payload\":\"", k, i);
            struct buf frame;

            memset(text + n, 'x', LARGE);
            strcpy(text + n + LARGE, "\"}");
            buf_init(&frame, LARGE + 300);
            frame_text(&frame, text);
            for (size_t done = 0; done < frame.len;) {
                ssize_t sent =
                    send(t->page.client.fd, frame.data + done, frame.len - done, MSG_NOSIGNAL);

                if (sent > 0)
                    done += (size_t)sent;
                else
                    usleep(100);
            }
            buf_deinit(&frame);
        }
    }
    free(text);
}

static void threads_do_not_disturb_each_other(void **state)
{
    struct threads t = {.o = *state};
    struct office *o = t.o;
    struct caller callers[CALLERS];
    int got[CALLERS] = {0}, complete = 0;
    uv_thread_t home, page;

    page_open(o, &t.page, true);
    for (int k = 0; k < CALLERS; k++) {
        char id[20];

        snprintf(id, sizeof(id), "call-%d", k);
        call(o, &callers[k], t.page.id, id);
    }
    run(o);
    uv_async_init(&o->home.loop, &t.stop, on_stop);
    t.stop.data = &t;
    uv_thread_create(&home, run_home, &t);
    uv_thread_create(&page, run_page, &t);
    while (complete < CALLERS) {
        uv_run(&o->away, UV_RUN_NOWAIT);
        for (int k = 0; k < CALLERS; k++) {
            bool over;
            struct session_message *m;

            // Some are faster than others.
            for (int i = 0; i <= k * 7 && (m = session_call_next(callers[k].call, &over)); i++) {
                assert_int_equal(strtol(m->type.at + 1, NULL, 10), got[k]);
                assert_int_equal(m->payload.len, LARGE + 2);
                session_message_free(m);
                if (++got[k] == MESSAGES)
                    complete++;
            }
        }
        usleep(50);
    }
    uv_thread_join(&page);
    for (int k = 0; k < CALLERS; k++)
        session_call_free(callers[k].call);
    uv_async_send(&t.stop);
    uv_thread_join(&home);
    uv_close((uv_handle_t *)&t.stop, NULL);
    client_deinit(&t.page.client);
    run(o);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(messages_reach_their_call_in_order),
        TEST(pings_are_answered_without_a_call),
        TEST(what_is_no_message_ends_the_session),
        TEST(what_came_before_the_end_is_still_there),
        TEST(a_session_that_is_not_there_is_over),
        TEST(a_session_that_is_closing_takes_no_call),
        TEST(a_call_that_is_given_up_at_once_is_never_sent),
        TEST(an_id_is_used_once_at_a_time),
        TEST(a_full_call_stops_the_socket_and_loses_nothing),
        TEST(the_end_of_a_full_call_lets_the_others_go_on),
        TEST(a_caller_whose_loop_ends_leaves_nothing_behind),
        TEST(a_home_that_ends_ends_its_calls),
        TEST(a_session_is_a_credential_while_it_lives),
        TEST(when_a_key_becomes_required_keyless_sessions_end),
        TEST(threads_do_not_disturb_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
