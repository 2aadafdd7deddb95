// Tests of src/net/upgrade.h: connections that leave HTTP, on plain sockets.

#include "server_world.h"

#include "net/upgrade.h"
#include "websocket_frames.h"

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define LINE "GET /hold HTTP/1.1\r\nHost: x\r\n"
#define HANDSHAKE LINE UPGRADE KEY VERSION "\r\n"

// An upgraded connection, seen from both sides.
struct peer {
    struct world *world;
    struct client client;
    struct upgrade *upgrade; // NULL before, and once it is over
    struct buf texts;        // messages, each followed by `;`
    size_t text_bytes;       // of all messages
    bool count_only, pause_at_text, detach;
    int writable, closed;
    int status;
};

static int setup(void **state)
{
    struct world *w = malloc(sizeof(*w));

    assert_non_null(w);
    world_init(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_deinit(*state);
    free(*state);
    return 0;
}

static void on_text(void *ctx, const char *text, size_t len)
{
    struct peer *p = ctx;

    p->text_bytes += len;
    if (!p->count_only) {
        buf_append(&p->texts, text, len);
        buf_putc(&p->texts, ';');
    }
    if (p->detach) {
        char *message = upgrade_detach(p->upgrade, &len);

        assert_int_equal(strlen(message), len);
        free(message);
    }
    if (p->pause_at_text)
        upgrade_pause(p->upgrade, true);
}

static void on_writable(void *ctx)
{
    ((struct peer *)ctx)->writable++;
}

static void on_close(void *ctx, int status)
{
    struct peer *p = ctx;

    p->upgrade = NULL;
    p->status = status;
    p->closed++;
}

static const struct upgrade_limits usual = {1000, 30, 60, 10};

// Has the request that the world holds upgraded, if it holds one.
static bool accept_held(struct peer *p, const struct upgrade_limits *limits)
{
    struct upgrade_handler handler = {p, on_text, on_writable, on_close};
    struct world *w = p->world;

    if (!w->held)
        return false;
    p->upgrade = upgrade_accept(w->held, "X-Own: yes\r\n", 12, limits, &handler);
    server_release(w->held);
    w->held = NULL;
    return true;
}

static void peer_init(struct world *w, struct peer *p)
{
    memset(p, 0, sizeof(*p));
    p->world = w;
    buf_init(&p->texts, 1 << 20);
    client_init(w, &p->client);
}

// A connection that is upgraded already, its 101 taken off.
static void peer_open(struct world *w, struct peer *p, const struct upgrade_limits *limits)
{
    peer_init(w, p);
    client_say(w, &p->client, HANDSHAKE);
    assert_true(accept_held(p, limits));
    world_run(w);
    client_read(&p->client);
    assert_int_equal(client_status(&p->client), 101);
    assert_non_null(p->upgrade);
    buf_clear(&p->client.in);
}

static void peer_deinit(struct peer *p)
{
    client_deinit(&p->client);
    world_run(p->world);
    assert_null(p->upgrade);
    buf_deinit(&p->texts);
}

static void say(struct peer *p, unsigned first, const char *payload, size_t n)
{
    struct buf frame;

    buf_init(&frame, 1 << 20);
    frame_put(&frame, first, payload, n);
    client_send(p->world, &p->client, frame.data, frame.len);
    world_run(p->world);
    client_read(&p->client);
    buf_deinit(&frame);
}

static void expect(struct peer *p, const char *bytes, size_t n)
{
    assert_int_equal(p->client.in.len, n);
    assert_memory_equal(p->client.in.data, bytes, n);
    buf_clear(&p->client.in);
}

static void a_handshake_is_answered_with_the_digest_of_its_key(void **state)
{
    struct peer p;

    peer_init(*state, &p);
    client_say(*state, &p.client, HANDSHAKE);
    accept_held(&p, &usual);
    world_run(*state);
    client_read(&p.client);
    assert_int_equal(client_status(&p.client), 101);
    assert_non_null(strstr(client_text(&p.client), "HTTP/1.1 101 Switching Protocols\r\n"));
    assert_non_null(
        strstr(client_text(&p.client), "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_non_null(strstr(client_text(&p.client), "Upgrade: websocket\r\n"));
    assert_non_null(strstr(client_text(&p.client), "Connection: Upgrade\r\n"));
    assert_non_null(strstr(client_text(&p.client), "X-Own: yes\r\n"));
    assert_null(strstr(client_text(&p.client), "Content-Length"));
    assert_null(strstr(client_text(&p.client), "Transfer-Encoding"));
    assert_null(strstr(client_text(&p.client), "Sec-WebSocket-Extensions"));
    peer_deinit(&p);
    assert_int_equal(p.closed, 1);
    assert_int_equal(p.status, WEBSOCKET_ABNORMAL);
}

static void handshakes_of_other_forms_are_good_too(void **state)
{
    static const char *const table[] = {
        LINE "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n" KEY VERSION "\r\n",
        LINE "Upgrade: h2c , websocket\r\nConnection: close\r\nConnection: UPGRADE\r\n" KEY VERSION
             "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct peer p;

        peer_init(*state, &p);
        client_say(*state, &p.client, table[i]);
        accept_held(&p, &usual);
        world_run(*state);
        client_read(&p.client);
        assert_int_equal(client_status(&p.client), 101);
        assert_null(strstr(client_text(&p.client), "Sec-WebSocket-Extensions"));
        assert_null(strstr(client_text(&p.client), "Sec-WebSocket-Protocol"));
        say(&p, 0x81, "hi", 2);
        assert_string_equal(buf_cstr(&p.texts), "hi;");
        peer_deinit(&p);
    }
}

static void bad_handshakes_get_400_and_the_connection_stays(void **state)
{
    static const char *const table[] = {
        LINE "\r\n",
        LINE KEY VERSION "\r\n",
        LINE "Upgrade: websocket\r\n" KEY VERSION "\r\n",
        LINE "Connection: Upgrade\r\n" KEY VERSION "\r\n",
        LINE "Upgrade: websockets\r\nConnection: Upgrade\r\n" KEY VERSION "\r\n",
        LINE "Upgrade: websocket\r\nConnection: keep-alive\r\n" KEY VERSION "\r\n",
        LINE UPGRADE KEY "\r\n",
        LINE UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n",
        LINE UPGRADE KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n",
        LINE UPGRADE KEY VERSION VERSION "\r\n",
        LINE UPGRADE VERSION "\r\n",
        LINE UPGRADE KEY KEY VERSION "\r\n",
        LINE UPGRADE VERSION "Sec-WebSocket-Key: \r\n\r\n",
        LINE UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n\r\n",
        LINE UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSBh\r\n\r\n",
        LINE UPGRADE VERSION "Sec-WebSocket-Key: !GhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        LINE UPGRADE KEY VERSION "Content-Length: 2\r\n\r\nhi",
        "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" UPGRADE KEY VERSION "\r\n",
        "GET /hold HTTP/1.0\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"
        "Upgrade: websocket\r\n" KEY VERSION "\r\n",
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct peer p;

        peer_init(*state, &p);
        client_say(*state, &p.client, table[i]);
        assert_true(accept_held(&p, &usual));
        world_run(*state);
        client_read(&p.client);
        if (client_status(&p.client) != 400)
            print_error("%s", table[i]);
        assert_int_equal(client_status(&p.client), 400);
        assert_non_null(strstr(client_text(&p.client), "Sec-WebSocket-Version: 13\r\n"));
        assert_non_null(strstr(client_text(&p.client), "Content-Type: text/plain"));
        assert_null(p.upgrade);
        client_say(*state, &p.client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(client_responses(&p.client), 2);
        peer_deinit(&p);
        assert_int_equal(p.closed, 0);
    }
}

static void whatever_the_split_the_messages_are_the_same(void **state)
{
    struct buf all;

    buf_init(&all, 10000);
    buf_puts(&all, HANDSHAKE);
    frame_text(&all, "one");
    frame_put(&all, 0x01, "tw", 2);
    frame_put(&all, 0x89, "ping", 4);
    frame_put(&all, 0x80, "o", 1);
    frame_text(&all, "three");
    for (size_t cut = 0; cut <= all.len; cut++) {
        struct peer p;

        peer_init(*state, &p);
        p.detach = cut % 2;
        client_send(*state, &p.client, all.data, cut);
        world_run(*state);
        accept_held(&p, &usual);
        client_send(*state, &p.client, all.data + cut, all.len - cut);
        world_run(*state);
        accept_held(&p, &usual);
        world_run(*state);
        client_read(&p.client);
        assert_string_equal(buf_cstr(&p.texts), "one;two;three;");
        assert_memory_equal(p.client.in.data + p.client.in.len - 6, "\x8a\x04ping", 6);
        peer_deinit(&p);
    }
    buf_deinit(&all);
}

static void texts_are_sent_in_order(void **state)
{
    struct peer p;

    peer_open(*state, &p, &usual);
    assert_true(upgrade_send(p.upgrade, "hello", 5));
    assert_true(upgrade_send(p.upgrade, "", 0));
    world_run(*state);
    client_read(&p.client);
    expect(&p, "\x81\x05hello\x81\x00", 9);
    peer_deinit(&p);
}

static void a_close_frame_is_answered_and_the_connection_ends(void **state)
{
    struct peer p;

    peer_open(*state, &p, &usual);
    say(&p, 0x88,
        "\x03\xe8"
        "bye",
        5);
    expect(&p, "\x88\x02\x03\xe8", 4);
    assert_true(p.client.closed);
    // Until the client's side of the socket closes as well, nothing can be sent any more.
    assert_non_null(p.upgrade);
    assert_false(upgrade_writable(p.upgrade));
    assert_false(upgrade_send(p.upgrade, "x", 1));
    upgrade_close(p.upgrade, WEBSOCKET_POLICY, "late");
    peer_deinit(&p);
    assert_int_equal(p.closed, 1);
    assert_int_equal(p.status, WEBSOCKET_NORMAL);

    peer_open(*state, &p, &usual);
    say(&p, 0x88, "", 0);
    expect(&p, "\x88\x02\x03\xe8", 4);
    peer_deinit(&p);
    assert_int_equal(p.status, WEBSOCKET_NO_STATUS);
}

static void what_breaks_the_protocol_is_told_why(void **state)
{
    static const char long_text[1001];
    static const struct {
        unsigned first;
        const char *payload;
        size_t len;
        int status;
    } table[] = {
        {0xc1, "x", 1, WEBSOCKET_PROTOCOL_ERROR},
        {0x81, "\xff", 1, WEBSOCKET_BAD_DATA},
        {0x81, long_text, 1001, WEBSOCKET_TOO_LARGE},
        {0x82, "x", 1, WEBSOCKET_UNSUPPORTED},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct peer p;
        unsigned char *in;

        peer_open(*state, &p, &usual);
        say(&p, table[i].first, table[i].payload, table[i].len);
        in = (unsigned char *)p.client.in.data;
        assert_int_equal(in[0], 0x88);
        assert_int_equal(in[2] << 8 | in[3], table[i].status);
        say(&p, 0x81, "ignored", 7);
        assert_int_equal(p.texts.len, 0);
        peer_deinit(&p);
        assert_int_equal(p.status, table[i].status);
    }
}

static void our_close_waits_for_the_answer(void **state)
{
    struct peer p;

    peer_open(*state, &p, &usual);
    upgrade_close(p.upgrade, WEBSOCKET_POLICY, "no");
    assert_false(upgrade_send(p.upgrade, "x", 1));
    assert_false(upgrade_writable(p.upgrade));
    world_run(*state);
    client_read(&p.client);
    expect(&p, "\x88\x04\x03\xf0no", 6);
    say(&p, 0x81, "late", 4);
    assert_int_equal(p.texts.len, 0);
    assert_false(p.client.closed);
    say(&p, 0x88, "\x03\xf0", 2);
    assert_int_equal(p.client.in.len, 0); // it is not answered again
    assert_true(p.client.closed);
    peer_deinit(&p);
    assert_int_equal(p.status, WEBSOCKET_POLICY);
}

static void a_client_that_does_not_answer_our_close_is_cut(void **state)
{
    struct peer p;

    peer_open(*state, &p, &usual);
    upgrade_close(p.upgrade, WEBSOCKET_POLICY, "no");
    client_await_close(*state, &p.client, 30);
    assert_true(p.client.closed);
    peer_deinit(&p);
    assert_int_equal(p.status, WEBSOCKET_POLICY);
}

static void a_quiet_client_is_pinged_and_then_cut(void **state)
{
    static const struct upgrade_limits quick = {1000, 0.2, 1.2, 10};
    struct peer p;

    peer_open(*state, &p, &quick);
    client_await_close(*state, &p.client, 30);
    assert_true(p.client.closed);
    assert_true(p.client.in.len >= 4);
    for (size_t i = 0; i < p.client.in.len; i += 2)
        assert_memory_equal(p.client.in.data + i, "\x89\x00", 2);
    peer_deinit(&p);
    assert_int_equal(p.status, WEBSOCKET_ABNORMAL);
}

static void any_frame_keeps_it_alive(void **state)
{
    static const struct upgrade_limits quick = {1000, 0.3, 1.5, 10};
    static const unsigned frames[] = {0x8a, 0x81, 0x89};
    double begin = clock_mono(), sent = 0;
    struct peer p;

    peer_open(*state, &p, &quick);
    for (int i = 0; clock_mono() - begin < 4;) {
        world_turn(*state, UV_RUN_ONCE);
        if (clock_mono() - sent > 0.25) {
            say(&p, frames[i++ % 3], "x", 1);
            sent = clock_mono();
        }
        assert_false(p.client.closed);
    }
    assert_int_equal(p.closed, 0);
    peer_deinit(&p);
}

static void while_it_is_paused_nothing_is_read_and_nothing_lost(void **state)
{
    static char text[900];
    size_t sent = 0, more;
    struct buf frame;
    struct peer p;

    peer_open(*state, &p, &usual);
    p.pause_at_text = p.count_only = true;
    memset(text, 'x', sizeof(text));
    buf_init(&frame, 2000);
    frame_put(&frame, 0x81, text, sizeof(text));
    do {
        more = client_send(*state, &p.client, frame.data, frame.len);
        sent += more;
    } while (more == frame.len && sent < (64 << 20));
    assert_true(sent < (64 << 20)); // the socket's buffers are full
    assert_int_equal(p.text_bytes, sizeof(text));
    // One more at a time.
    upgrade_pause(p.upgrade, false);
    world_run(*state);
    assert_int_equal(p.text_bytes, 2 * sizeof(text));
    p.pause_at_text = false;
    upgrade_pause(p.upgrade, false);
    for (int i = 0; i < 2000; i++)
        world_turn(*state, UV_RUN_NOWAIT);
    assert_int_equal(p.text_bytes, sent / frame.len * sizeof(text));
    buf_deinit(&frame);
    peer_deinit(&p);
}

static void what_came_before_the_end_of_input_is_still_read(void **state)
{
    struct peer p;

    peer_open(*state, &p, &usual);
    p.pause_at_text = true;
    say(&p, 0x81, "one", 3);
    say(&p, 0x81, "two", 3);
    say(&p, 0x81, "three", 5);
    client_deinit(&p.client);
    world_run(*state);
    assert_string_equal(buf_cstr(&p.texts), "one;");
    assert_non_null(p.upgrade);
    p.pause_at_text = false;
    upgrade_pause(p.upgrade, false);
    world_run(*state);
    assert_string_equal(buf_cstr(&p.texts), "one;two;three;");
    assert_null(p.upgrade);
    peer_deinit(&p);
}

static void output_has_back_pressure_and_a_time_limit(void **state)
{
    static const struct upgrade_limits quick = {1000, 30, 60, 1};
    size_t n = 4 << 20;
    char *text = malloc(n);
    struct peer p;

    memset(text, 'x', n);
    peer_open(*state, &p, &quick);
    assert_true(upgrade_writable(p.upgrade));
    assert_true(upgrade_send(p.upgrade, text, n));
    assert_false(upgrade_writable(p.upgrade));
    world_run(*state);
    assert_int_equal(p.writable, 0);
    // A client that reads nothing is not read either.
    say(&p, 0x81, "x", 1);
    while (p.client.in.len < n + 10) {
        world_run(*state);
        client_read(&p.client);
    }
    world_run(*state);
    assert_int_equal(p.writable, 1);
    assert_true(upgrade_writable(p.upgrade));
    assert_string_equal(buf_cstr(&p.texts), "x;");
    // And then it does not read at all.
    assert_true(upgrade_send(p.upgrade, text, n));
    for (double end = clock_mono() + 30; p.upgrade && clock_mono() < end;)
        world_turn(*state, UV_RUN_ONCE);
    assert_null(p.upgrade);
    peer_deinit(&p);
    free(text);
}

static void a_drain_closes_with_1001(void **state)
{
    struct world *w = *state;
    struct peer p;

    peer_open(w, &p, &usual);
    server_drain(w->server);
    assert_int_equal(server_busy(w->server), 1);
    world_run(w);
    client_read(&p.client);
    assert_memory_equal(p.client.in.data, "\x88", 1);
    assert_memory_equal(p.client.in.data + 2, "\x03\xe9", 2);
    buf_clear(&p.client.in);
    say(&p, 0x88, "\x03\xe9", 2);
    assert_true(p.client.closed);
    assert_int_equal(server_busy(w->server), 0);
    peer_deinit(&p);
    assert_int_equal(p.status, WEBSOCKET_GOING_AWAY);
}

static void a_drain_waits_for_what_is_at_work(void **state)
{
    struct world *w = *state;
    struct peer p;

    peer_open(w, &p, &usual);
    upgrade_keep(p.upgrade, true);
    server_drain(w->server);
    say(&p, 0x81, "x", 1);
    assert_string_equal(buf_cstr(&p.texts), "x;");
    assert_int_equal(p.client.in.len, 0);
    assert_int_equal(server_busy(w->server), 1);
    upgrade_keep(p.upgrade, false);
    world_run(w);
    client_read(&p.client);
    assert_memory_equal(p.client.in.data + 2, "\x03\xe9", 2);
    peer_deinit(&p);
}

static void a_stop_says_1001_too(void **state)
{
    struct world *w = *state;
    struct peer p;

    peer_open(w, &p, &usual);
    upgrade_keep(p.upgrade, true);
    server_stop(w->server);
    world_run(w);
    client_read(&p.client);
    assert_memory_equal(p.client.in.data + 2, "\x03\xe9", 2);
    assert_true(p.client.closed);
    assert_int_equal(p.closed, 1);
    peer_deinit(&p);
}

static void a_client_that_leaves_during_the_handshake_is_told(void **state)
{
    struct world *w = *state;
    struct upgrade_handler handler;
    struct peer p;

    peer_init(w, &p);
    handler = (struct upgrade_handler){&p, on_text, on_writable, on_close};
    client_say(w, &p.client, HANDSHAKE);
    p.upgrade = upgrade_accept(w->held, "", 0, &usual, &handler);
    client_deinit(&p.client);
    world_run(w);
    assert_int_equal(p.closed, 0);
    upgrade_send(p.upgrade, "x", 1);
    upgrade_close(p.upgrade, WEBSOCKET_POLICY, "");
    server_release(w->held);
    w->held = NULL;
    for (double end = clock_mono() + 30; p.upgrade && clock_mono() < end;)
        world_turn(w, UV_RUN_ONCE);
    assert_int_equal(p.closed, 1);
    peer_deinit(&p);

    // Gone before it could be accepted.
    peer_init(w, &p);
    handler.ctx = &p;
    client_say(w, &p.client, HANDSHAKE);
    client_deinit(&p.client);
    world_run(w);
    assert_null(upgrade_accept(w->held, "", 0, &usual, &handler));
    server_release(w->held);
    w->held = NULL;
    peer_deinit(&p);
    assert_int_equal(p.closed, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_handshake_is_answered_with_the_digest_of_its_key),
        TEST(handshakes_of_other_forms_are_good_too),
        TEST(bad_handshakes_get_400_and_the_connection_stays),
        TEST(whatever_the_split_the_messages_are_the_same),
        TEST(texts_are_sent_in_order),
        TEST(a_close_frame_is_answered_and_the_connection_ends),
        TEST(what_breaks_the_protocol_is_told_why),
        TEST(our_close_waits_for_the_answer),
        TEST(a_client_that_does_not_answer_our_close_is_cut),
        TEST(a_quiet_client_is_pinged_and_then_cut),
        TEST(any_frame_keeps_it_alive),
        TEST(while_it_is_paused_nothing_is_read_and_nothing_lost),
        TEST(what_came_before_the_end_of_input_is_still_read),
        TEST(output_has_back_pressure_and_a_time_limit),
        TEST(a_drain_closes_with_1001),
        TEST(a_drain_waits_for_what_is_at_work),
        TEST(a_stop_says_1001_too),
        TEST(a_client_that_leaves_during_the_handshake_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
