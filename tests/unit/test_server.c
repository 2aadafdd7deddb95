// Tests of src/net/server.h on plain sockets; the TLS listener has its own file.

#include "server_world.h"

#include <zlib.h>
#include <zstd.h>

#define GET "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST "POST /p HTTP/1.1\r\nHost: x\r\n"

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

static void a_request_is_answered_and_the_connection_stays(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c, GET);
    assert_int_equal(client_status(&c), 200);
    assert_non_null(strstr(client_text(&c), "Content-Length: 9\r\n"));
    assert_non_null(strstr(client_text(&c), "\r\n\r\nGET /a 0:"));
    assert_null(strstr(client_text(&c), "Connection:"));
    client_say(w, &c, GET);
    assert_int_equal(client_responses(&c), 2);
    assert_false(c.closed);
    client_deinit(&c);
}

// What arrives in two parts, cut anywhere, has the same answer as what arrives at once.
static void check_every_split(struct world *w, const char *text, int responses)
{
    size_t len = strlen(text);
    char *whole = NULL;

    for (size_t cut = 0; cut < len; cut++) {
        struct client c;
        char *answer;

        client_init(w, &c);
        client_send(w, &c, text, cut);
        world_run(w);
        client_send(w, &c, text + cut, len - cut);
        world_run(w);
        client_read(&c);
        answer = client_scrubbed(&c);
        if (!whole) {
            assert_int_equal(client_responses(&c), responses);
            whole = strdup(answer);
        }
        assert_string_equal(answer, whole);
        free(answer);
        client_deinit(&c);
        world_run(w);
    }
    free(whole);
}

static const char three[] = POST "Content-Length: 5\r\n\r\nhello" GET POST
                                 "Transfer-Encoding: chunked\r\n\r\n"
                                 "3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\n\r\n" GET;

static void every_split_of_pipelined_requests_has_the_same_answers(void **state)
{
    struct world *w = *state;

    check_every_split(w, three, 4);
    w->release_at_once = true;
    check_every_split(w, three, 4);
    check_every_split(w, "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n!" GET, 2);
}

static void requests_fed_byte_by_byte_are_answered_in_order(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    for (const char *at = three; *at; at++) {
        client_send(w, &c, at, 1);
        world_turn(w, UV_RUN_NOWAIT);
    }
    world_run(w);
    client_read(&c);
    assert_int_equal(client_responses(&c), 4);
    assert_non_null(strstr(client_text(&c), "POST /p 5:hello"));
    assert_non_null(strstr(client_text(&c), "POST /p 13:abc0123456789"));
    client_deinit(&c);
}

static void what_two_parties_could_read_differently_is_refused(void **state)
{
    struct world *w = *state;
    static const struct {
        int status;
        const char *text;
    } table[] = {
        {400, "GET /a HTTP/1.1\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
        {400, "GET /a HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a b\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a,b\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost : a\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\n Host: a\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n"},
        {400, "GET /a HTTP/1.1\nHost: a\n\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n"},
        {400, "GET /a HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n"},
        {400, "get /a HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET  /a HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET /a  HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET /a HTTP/1.1 \r\nHost: a\r\n\r\n"},
        {400, "GET /a HTTP/1.11\r\nHost: a\r\n\r\n"},
        {400, "GET\t/a HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
        {505, "GET /a\r\n\r\n"},
        {400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET http://a/a HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        {505, "GET /a HTTP/2.0\r\nHost: a\r\n\r\n"},
        {400, "GET /a HTTP/1.2\r\nHost: a\r\n\r\n"},
        {400, "\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"},
        {400, POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy"},
        {400, POST "Content-Length: 1, 1\r\n\r\nx"},
        {400, POST "Content-Length: +1\r\n\r\nx"},
        {400, POST "Content-Length: -1\r\n\r\nx"},
        {400, POST "Content-Length: 0x1\r\n\r\nx"},
        {400, POST "Content-Length: 1 1\r\n\r\nx"},
        {400, POST "Content-Length: \r\n\r\nx"},
        {400, POST "Content-Length: 99999999999999999999\r\n\r\nx"},
        {400, POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, "POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {501, POST "Transfer-Encoding: gzip\r\n\r\n"},
        {501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
        {501, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
        {501, POST "Transfer-Encoding: \r\n\r\n"},
        {417, POST "Expect: cake\r\nContent-Length: 1\r\n\r\nx"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct client c;
        int requests = w->requests, refused = w->refused;

        client_init(w, &c);
        client_send(w, &c, table[i].text, strlen(table[i].text));
        client_say(w, &c, GET);
        if (client_status(&c) != table[i].status || w->requests != requests)
            print_error("%s", table[i].text);
        assert_int_equal(client_status(&c), table[i].status);
        assert_int_equal(client_responses(&c), 1);
        assert_non_null(strstr(client_text(&c), "Connection: close\r\n"));
        assert_non_null(strstr(client_text(&c), "{\"error\":{\"message\":"));
        assert_int_equal(w->requests, requests);
        assert_int_equal(w->refused, refused + 1);
        assert_int_equal(w->refused_status, table[i].status);
        assert_true(c.closed);
        client_deinit(&c);
        world_run(w);
    }
}

static void a_null_byte_in_a_head_is_refused(void **state)
{
    static const char text[] = "GET /a HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n";
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_send(w, &c, text, sizeof(text) - 1);
    world_run(w);
    client_read(&c);
    assert_int_equal(client_status(&c), 400);
    client_deinit(&c);
}

static void bad_chunk_framing_is_told_to_the_user_and_ends_the_connection(void **state)
{
    struct world *w = *state;
    static const char *const table[] = {
        "x\r\n",           "-1\r\n",        "0x1\r\na\r\n0\r\n\r\n", "1\r\nab\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n", "1\r\na\n0\r\n\r\n", "1 \r\na\r\n0\r\n\r\n",
        "\r\n1\r\na\r\n0\r\n\r\n", "1\r\na\r\n0\r\n\n", "1;a\nb\r\na\r\n0\r\n\r\n",
        "1;\ra\r\na\r\n0\r\n\r\n", "1\r\na\r\n0\r\nTrailer: x\r\n\r\n",
        "fffffffffffffffff\r\na\r\n", "1\r\na\r0\r\n\r\n", "0\r\n \r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct client c;

        client_init(w, &c);
        client_say(w, &c, POST "Transfer-Encoding: chunked\r\n\r\n");
        client_send(w, &c, table[i], strlen(table[i]));
        client_say(w, &c, GET);
        if (client_status(&c) != 400 || client_responses(&c) != 1)
            print_error("chunks: %s\n%s\n", table[i], client_text(&c));
        assert_int_equal(client_status(&c), 400);
        assert_int_equal(client_responses(&c), 1);
        assert_true(c.closed);
        client_deinit(&c);
        world_run(w);
    }
}

static void endless_chunk_extensions_are_cut_off(void **state)
{
    struct world *w = *state;
    char junk[1024];
    struct client c;

    client_init(w, &c);
    client_say(w, &c, POST "Transfer-Encoding: chunked\r\n\r\n1;");
    memset(junk, 'e', sizeof(junk));
    for (int i = 0; i < 20; i++)
        client_send(w, &c, junk, sizeof(junk));
    world_run(w);
    client_read(&c);
    assert_int_equal(client_status(&c), 400);
    client_deinit(&c);
}

static void a_head_above_the_limit_is_refused(void **state)
{
    struct world *w = *state;
    char junk[5000];
    struct client c;

    client_init(w, &c);
    memset(junk, 'e', sizeof(junk));
    client_send(w, &c, "GET /", 5);
    client_send(w, &c, junk, sizeof(junk));
    world_run(w);
    client_read(&c);
    assert_int_equal(client_status(&c), 431);
    assert_int_equal(w->refused_status, 431);
    client_deinit(&c);
}

static void a_slow_head_is_answered_408(void **state)
{
    struct world *w = *state;
    struct client c;

    w->limits.head_seconds = 0.05;
    server_set_limits(w->server, &w->limits);
    client_init(w, &c);
    client_say(w, &c, "GET /");
    client_await_close(w, &c, 10);
    assert_int_equal(client_status(&c), 408);
    assert_int_equal(w->refused_status, 408);
    client_deinit(&c);
}

static void a_silent_connection_is_closed(void **state)
{
    struct world *w = *state;
    struct client fresh, idle;

    w->limits.head_seconds = w->limits.idle_seconds = 0.05;
    server_set_limits(w->server, &w->limits);
    client_init(w, &fresh);
    client_init(w, &idle);
    client_say(w, &idle, GET);
    client_await_close(w, &fresh, 10);
    client_await_close(w, &idle, 10);
    assert_true(fresh.closed && idle.closed);
    assert_int_equal(client_responses(&fresh), 0);
    assert_int_equal(client_responses(&idle), 1);
    client_deinit(&fresh);
    client_deinit(&idle);
}

static void a_body_that_stops_is_answered_408(void **state)
{
    struct world *w = *state;
    struct client c;

    w->limits.body_seconds = 0.05;
    server_set_limits(w->server, &w->limits);
    client_init(w, &c);
    client_say(w, &c, POST "Content-Length: 5\r\n\r\nhe");
    client_await_close(w, &c, 10);
    assert_int_equal(client_status(&c), 408);
    client_deinit(&c);
}

static void a_body_above_the_limit_is_answered_413(void **state)
{
    struct world *w = *state;
    struct client c;
    char junk[4096] = {0};

    client_init(w, &c);
    client_say(w, &c, POST "Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(client_status(&c), 413);
    client_deinit(&c);

    client_init(w, &c);
    client_say(w, &c, POST "Transfer-Encoding: chunked\r\n\r\n200000\r\n");
    for (int i = 0; i < 300; i++)
        client_send(w, &c, junk, sizeof(junk));
    world_run(w);
    client_read(&c);
    assert_int_equal(client_status(&c), 413);
    client_deinit(&c);
}

static void a_waiting_client_is_told_to_continue(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c, POST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_string_equal(client_text(&c), "HTTP/1.1 100 Continue\r\n\r\n");
    client_say(w, &c, "ok" GET);
    assert_int_equal(client_responses(&c), 3);
    client_deinit(&c);

    // It did not wait after all.
    client_init(w, &c);
    client_say(w, &c, POST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\nok");
    assert_int_equal(client_status(&c), 200);
    assert_int_equal(client_responses(&c), 1);
    client_deinit(&c);
}

static void an_answer_before_the_body_closes_the_connection(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n" GET);
    assert_int_equal(client_status(&c), 200);
    assert_int_equal(client_responses(&c), 1);
    assert_non_null(strstr(client_text(&c), "Connection: close"));
    assert_true(c.closed);
    // The rest is drained, not reset.
    assert_int_equal(client_send(w, &c, three, sizeof(three) - 1), sizeof(three) - 1);
    world_run(w);
    client_read(&c);
    assert_false(c.reset);
    client_deinit(&c);
    world_run(w);
    assert_int_equal(server_connections(w->server), 0);
}

static void head_and_204_have_no_body(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(client_text(&c), "Content-Length: 10\r\n"));
    assert_string_equal(strstr(client_text(&c), "\r\n\r\n"), "\r\n\r\n");
    buf_clear(&c.in);
    client_say(w, &c, "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(client_text(&c), "Transfer-Encoding: chunked\r\n"));
    assert_string_equal(strstr(client_text(&c), "\r\n\r\n"), "\r\n\r\n");
    buf_clear(&c.in);
    client_say(w, &c, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(client_status(&c), 204);
    assert_null(strstr(client_text(&c), "Content-Length"));
    assert_string_equal(strstr(client_text(&c), "\r\n\r\n"), "\r\n\r\n");
    client_say(w, &c, GET);
    assert_int_equal(client_responses(&c), 2);
    client_deinit(&c);
}

static void old_and_closing_clients_get_what_they_can_take(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_non_null(strstr(client_text(&c), "Connection: keep-alive\r\n"));
    assert_false(c.closed);
    buf_clear(&c.in);
    client_say(w, &c, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_null(strstr(client_text(&c), "chunked"));
    assert_string_equal(strstr(client_text(&c), "\r\n\r\n"), "\r\n\r\nonetwo-two-two-two-two");
    assert_true(c.closed);
    client_deinit(&c);

    client_init(w, &c);
    client_say(w, &c, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" GET);
    assert_int_equal(client_responses(&c), 1);
    assert_true(c.closed);
    client_deinit(&c);
}

static void a_stream_is_chunked(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(strstr(client_text(&c), "\r\n\r\n"),
                        "\r\n\r\n3\r\none\r\n13\r\ntwo-two-two-two-two\r\n0\r\n\r\n");
    client_deinit(&c);
}

static void an_upgrade_is_an_ordinary_request(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c,
               "GET /a HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
               "\r\n" GET);
    assert_int_equal(client_responses(&c), 2);
    client_deinit(&c);
}

static void a_client_that_leaves_is_noticed_during_its_request(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(w->held);
    assert_false(w->held->gone);
    server_start(w->held, 200, "", 0);
    client_deinit(&c);
    world_run(w);
    assert_true(w->held->gone);
    server_write(w->held, "lost", 4);
    server_finish(w->held);
    server_release(w->held);
    w->held = NULL;
    world_run(w);
    assert_int_equal(server_connections(w->server), 0);
}

static void a_client_that_does_not_read_stops_the_writer(void **state)
{
    struct world *w = *state;
    struct client c;
    char block[8192];
    size_t sent = 0;
    int changes;

    client_init(w, &c);
    client_say(w, &c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    memset(block, 'b', sizeof(block));
    server_start(w->held, 200, "", 0);
    while (server_writable(w->held) && sent < 64 * 1024 * 1024) {
        server_write(w->held, block, sizeof(block));
        sent += sizeof(block);
        world_turn(w, UV_RUN_NOWAIT);
    }
    assert_true(sent < 64 * 1024 * 1024);
    assert_true(server_pending(w->held) > w->limits.output_high);
    changes = w->changes;
    world_run(w);
    assert_int_equal(w->changes, changes);
    for (int i = 0; i < 10000 && !server_writable(w->held); i++) {
        client_read(&c);
        world_turn(w, UV_RUN_NOWAIT);
    }
    assert_int_equal(w->changes, changes + 1);
    server_finish(w->held);
    server_release(w->held);
    w->held = NULL;
    world_run(w);
    client_read(&c);
    world_run(w);
    client_read(&c);
    assert_true(c.in.len > sent);
    assert_memory_equal(c.in.data + c.in.len - 7, "\r\n0\r\n\r\n", 7);
    client_say(w, &c, GET);
    assert_memory_equal(c.in.data + c.in.len - 9, "GET /a 0:", 9);
    client_deinit(&c);
}

static void a_stuck_client_is_given_up(void **state)
{
    struct world *w = *state;
    char *big = calloc(1, 4 * 1024 * 1024);
    struct client c;
    double end = clock_mono() + 10;

    w->limits.write_seconds = 0.05;
    server_set_limits(w->server, &w->limits);
    client_init(w, &c);
    client_say(w, &c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    server_respond(w->held, 200, "", 0, big, 4 * 1024 * 1024);
    while (!w->held->gone && clock_mono() < end)
        world_turn(w, UV_RUN_ONCE);
    assert_true(w->held->gone);
    free(big);
    client_deinit(&c);
}

static void a_large_answer_arrives_whole(void **state)
{
    struct world *w = *state;
    size_t n = 5 * 1024 * 1024;
    char *big = malloc(n);
    struct client c;

    for (size_t i = 0; i < n; i++)
        big[i] = (char)(i * 31 >> 3);
    client_init(w, &c);
    client_say(w, &c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    server_respond(w->held, 200, "", 0, big, n);
    assert_int_equal(w->held->bytes_out, n);
    server_release(w->held);
    w->held = NULL;
    for (int i = 0; i < 2000 && c.in.len < n; i++) {
        world_turn(w, UV_RUN_NOWAIT);
        client_read(&c);
    }
    assert_memory_equal(c.in.data + c.in.len - n, big, n);
    free(big);
    client_deinit(&c);
}

// Bodies that are read to their place, whatever pieces they come in, and what follows them.
static void large_bodies_arrive_whole_and_nothing_behind_them_is_lost(void **state)
{
    static const size_t steps[] = {1000, 4096, 65536, 100001}, n = 300 * 1000;
    struct world *w = *state;
    struct buf request;

    buf_init(&request, 4 << 20);
    for (int round = 0; round < 2; round++) {
        buf_printf(&request, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", n);
        for (size_t i = 0; i < n; i++)
            buf_putc(&request, (char)('a' + (i * 7 + (i >> 9) + (size_t)round) % 26));
        buf_puts(&request, GET);
    }
    for (size_t s = 0; s < sizeof(steps) / sizeof(*steps); s++) {
        struct client c;
        const char *at = request.data, *answer;

        client_init(w, &c);
        for (size_t left = request.len, step; left > 0; at += step, left -= step) {
            step = left < steps[s] ? left : steps[s];
            assert_int_equal(client_send(w, &c, at, step), step);
            world_turn(w, UV_RUN_NOWAIT);
            client_read(&c);
        }
        for (int i = 0; i < 2000 && client_responses(&c) < 4; i++) {
            world_turn(w, UV_RUN_NOWAIT);
            client_read(&c);
        }
        assert_int_equal(client_responses(&c), 4);
        answer = client_text(&c);
        for (int round = 0; round < 2; round++) {
            const char *body = request.data + (size_t)round * (request.len / 2);

            answer = strstr(answer, "POST /b 300000:");
            assert_non_null(answer);
            assert_memory_equal(answer + 15, strstr(body, "\r\n\r\n") + 4, n);
            answer = strstr(answer + 15 + n, "GET /a 0:");
            assert_non_null(answer);
        }
        client_deinit(&c);
        world_run(w);
    }
    buf_deinit(&request);
}

// Ends in the middle of a body, and just behind it.
static void a_large_body_may_end_in_any_way(void **state)
{
    static const size_t largest = 1024 * 1024;
    struct world *w = *state;
    char *body = calloc(1, largest);
    struct client c;

    memset(body, 'x', largest);
    client_init(w, &c);
    client_say(w, &c, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
    assert_int_equal(client_send(w, &c, body, 500000), 500000);
    world_run(w);
    close(c.fd);
    c.fd = -1;
    world_run(w);
    assert_int_equal(w->gone, 1);
    client_deinit(&c);

    // The largest body that is allowed, and something behind it that is no request.
    client_init(w, &c);
    client_say(w, &c, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
    assert_int_equal(client_send(w, &c, body, largest), largest);
    assert_int_equal(client_send(w, &c, "\r\nno request\r\n\r\n", 16), 16);
    for (int i = 0; i < 2000 && client_responses(&c) < 2; i++) {
        world_turn(w, UV_RUN_NOWAIT);
        client_read(&c);
    }
    assert_int_equal(client_responses(&c), 2);
    assert_int_equal(client_status(&c), 200);
    assert_non_null(strstr(client_text(&c), "POST /b 1048576:xxx"));
    assert_int_equal(w->refused_status, 400);
    free(body);
    client_deinit(&c);
}

static void an_aborted_response_has_no_clean_end(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    server_start(w->held, 200, "", 0);
    server_write(w->held, "part", 4);
    server_release(w->held);
    w->held = NULL;
    world_run(w);
    client_read(&c);
    assert_true(c.closed);
    assert_non_null(strstr(client_text(&c), "4\r\npart\r\n"));
    assert_null(strstr(client_text(&c), "0\r\n\r\n"));
    client_deinit(&c);
}

static void too_many_pipelined_bytes_wait_in_the_kernel(void **state)
{
    struct world *w = *state;
    char *junk = malloc(8 * 1024 * 1024);
    struct client c;
    struct connection *connection;

    memset(junk, 'j', 8 * 1024 * 1024);
    client_init(w, &c);
    client_say(w, &c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(client_send(w, &c, junk, 8 * 1024 * 1024) < 8 * 1024 * 1024);
    connection = (struct connection *)w->held;
    assert_true(connection->backlog.len <= BACKLOG_MAX + INPUT_SIZE);
    free(junk);
    client_deinit(&c);
}

static void a_client_that_pipelines_but_does_not_read_waits(void **state)
{
    struct world *w = *state;
    char *many = malloc(200000 * strlen(GET) + 1), *at = many;
    struct client c;
    struct connection *connection;

    w->release_at_once = true;
    for (int i = 0; i < 200000; i++)
        at = stpcpy(at, GET);
    client_init(w, &c);
    connection = list_entry(w->server->connections.next, struct connection, link);
    assert_true(client_send(w, &c, many, (size_t)(at - many)) < (size_t)(at - many));
    assert_true(connection->out.len < 2 * w->limits.output_high);
    assert_true(w->requests < 200000);
    free(many);
    client_deinit(&c);
}

static void a_bad_head_behind_a_good_request_is_refused_after_its_answer(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c, GET "BAD\r\n\r\n" GET);
    assert_int_equal(client_responses(&c), 2);
    assert_int_equal(client_status(&c), 200);
    assert_non_null(strstr(client_text(&c), "HTTP/1.1 400 "));
    assert_true(c.closed);
    client_deinit(&c);
}

// --- content codings ---

static void post_coded(struct world *w, struct client *c, const char *coding, const void *bytes,
                       size_t n)
{
    char head[256];

    client_init(w, c);
    snprintf(head, sizeof(head), POST "Content-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", coding,
             n);
    client_send(w, c, head, strlen(head));
    client_send(w, c, bytes, n);
    client_say(w, c, GET);
}

static size_t deflated(int window_bits, const char *text, size_t len, unsigned char *out,
                       size_t max)
{
    z_stream z = {.next_in = (unsigned char *)text, .avail_in = (unsigned int)len,
                  .next_out = out, .avail_out = (unsigned int)max};

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static void coded_bodies_arrive_decoded(void **state)
{
    // An uncompressed meta-block, written by hand.
    static const unsigned char br[] = {0x0b, 0x02, 0x80, 'h', 'e', 'l', 'l', 'o', 0x03};
    static const struct {
        const char *coding;
        int bits;
    } zlib[] = {{"gzip", 31}, {"x-gzip", 31}, {"deflate", 15}, {"deflate", -15}, {"GZIP", 31}};
    struct world *w = *state;
    unsigned char out[256];
    struct client c;
    size_t n;

    for (size_t i = 0; i < 5; i++) {
        n = deflated(zlib[i].bits, "hello", 5, out, sizeof(out));
        post_coded(w, &c, zlib[i].coding, out, n);
        assert_non_null(strstr(client_text(&c), "POST /p 5:hello"));
        assert_int_equal(client_responses(&c), 2);
        client_deinit(&c);
    }
    n = ZSTD_compress(out, sizeof(out), "hello", 5, 3);
    post_coded(w, &c, "zstd", out, n);
    assert_non_null(strstr(client_text(&c), "POST /p 5:hello"));
    client_deinit(&c);
    post_coded(w, &c, "br", br, sizeof(br));
    assert_non_null(strstr(client_text(&c), "POST /p 5:hello"));
    client_deinit(&c);
    post_coded(w, &c, "identity", "hello", 5);
    assert_non_null(strstr(client_text(&c), "POST /p 5:hello"));
    client_deinit(&c);
}

static void bad_codings_are_told_apart(void **state)
{
    struct world *w = *state;
    unsigned char out[256];
    struct client c;
    size_t n = deflated(31, "hello", 5, out, sizeof(out));

    post_coded(w, &c, "compress", out, n);
    assert_int_equal(client_status(&c), 415);
    assert_int_equal(client_responses(&c), 1);
    client_deinit(&c);
    post_coded(w, &c, "gzip", out, n - 3);
    assert_int_equal(client_status(&c), 400);
    client_deinit(&c);
    post_coded(w, &c, "gzip", "not gzip", 8);
    assert_int_equal(client_status(&c), 400);
    client_deinit(&c);
}

static void a_bomb_is_decoded_in_steps_and_stopped(void **state)
{
    size_t len = 2 * 1024 * 1024;
    struct world *w = *state;
    char *zeros = calloc(1, len);
    unsigned char *out = malloc(65536);
    struct client c;
    size_t n = deflated(31, zeros, len, out, 65536);

    post_coded(w, &c, "gzip", out, n);
    assert_int_equal(client_status(&c), 413);
    assert_int_equal(client_responses(&c), 1);
    client_deinit(&c);

    // Half of it is allowed, takes several steps, and the next request waits for its end.
    n = deflated(31, zeros, len / 2, out, 65536);
    post_coded(w, &c, "gzip", out, n);
    for (int i = 0; i < 1000 && client_responses(&c) < 2; i++) {
        world_run(w);
        client_read(&c);
    }
    assert_int_equal(client_status(&c), 200);
    assert_true(c.in.len > len / 2);
    assert_memory_equal(c.in.data + c.in.len - 9, "GET /a 0:", 9);
    client_deinit(&c);
    free(zeros);
    free(out);
}

// --- listeners, the end ---

static int connect_to(int family, int port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port),
                              .sin6_addr = in6addr_loopback};
    int fd = socket(family, SOCK_STREAM, 0);

    if (connect(fd, family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
                family == AF_INET ? sizeof(v4) : sizeof(v6)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void a_listener_takes_any_free_port_and_names_the_peer(void **state)
{
    struct world *w = *state;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct client c = {0};
    int port = 0, again;

    assert_int_equal(server_listen(w->server, (struct sockaddr *)&address, &port), 0);
    assert_true(port > 0);
    again = port;
    assert_int_equal(server_listen(w->server, (struct sockaddr *)&address, &again), 0);
    assert_int_equal(again, port);
    buf_init(&c.in, SIZE_MAX / 2);
    c.fd = connect_to(AF_INET, port);
    assert_true(c.fd >= 0);
    assert_int_equal(send(c.fd, GET, strlen(GET), 0), strlen(GET));
    for (int i = 0; i < 1000 && c.in.len == 0; i++) {
        world_turn(w, UV_RUN_NOWAIT);
        if (recv(c.fd, buf_reserve(&c.in, 1), 1, MSG_DONTWAIT | MSG_PEEK) > 0)
            break;
    }
    assert_string_equal(w->peer, "127.0.0.1");
    assert_true(w->peer_loopback);
    assert_false(w->tls);
    client_deinit(&c);
}

static void draining_ends_idle_connections_and_finishes_open_requests(void **state)
{
    struct world *w = *state;
    struct client idle, open;

    client_init(w, &idle);
    client_init(w, &open);
    client_say(w, &idle, GET);
    client_say(w, &open, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    server_drain(w->server);
    assert_int_equal(server_busy(w->server), 1);
    world_run(w);
    client_read(&idle);
    client_read(&open);
    assert_true(idle.closed);
    assert_false(open.closed);
    server_respond(w->held, 200, "", 0, "bye", 3);
    server_release(w->held);
    w->held = NULL;
    world_run(w);
    client_read(&open);
    assert_non_null(strstr(client_text(&open), "Connection: close\r\n"));
    assert_true(open.closed);
    assert_int_equal(server_busy(w->server), 0);
    client_deinit(&idle);
    client_deinit(&open);
}

static void stopping_tells_open_requests(void **state)
{
    struct world *w = *state;
    struct client c;

    client_init(w, &c);
    client_say(w, &c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n" GET);
    server_stop(w->server);
    assert_true(w->held->gone);
    client_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        test(a_request_is_answered_and_the_connection_stays),
        test(every_split_of_pipelined_requests_has_the_same_answers),
        test(requests_fed_byte_by_byte_are_answered_in_order),
        test(what_two_parties_could_read_differently_is_refused),
        test(a_null_byte_in_a_head_is_refused),
        test(bad_chunk_framing_is_told_to_the_user_and_ends_the_connection),
        test(endless_chunk_extensions_are_cut_off),
        test(a_head_above_the_limit_is_refused),
        test(a_slow_head_is_answered_408),
        test(a_silent_connection_is_closed),
        test(a_body_that_stops_is_answered_408),
        test(a_body_above_the_limit_is_answered_413),
        test(a_waiting_client_is_told_to_continue),
        test(an_answer_before_the_body_closes_the_connection),
        test(head_and_204_have_no_body),
        test(old_and_closing_clients_get_what_they_can_take),
        test(a_stream_is_chunked),
        test(an_upgrade_is_an_ordinary_request),
        test(a_client_that_leaves_is_noticed_during_its_request),
        test(a_client_that_does_not_read_stops_the_writer),
        test(a_stuck_client_is_given_up),
        test(a_large_answer_arrives_whole),
        test(large_bodies_arrive_whole_and_nothing_behind_them_is_lost),
        test(a_large_body_may_end_in_any_way),
        test(an_aborted_response_has_no_clean_end),
        test(too_many_pipelined_bytes_wait_in_the_kernel),
        test(a_client_that_pipelines_but_does_not_read_waits),
        test(a_bad_head_behind_a_good_request_is_refused_after_its_answer),
        test(coded_bodies_arrive_decoded),
        test(bad_codings_are_told_apart),
        test(a_bomb_is_decoded_in_steps_and_stopped),
        test(a_listener_takes_any_free_port_and_names_the_peer),
        test(draining_ends_idle_connections_and_finishes_open_requests),
        test(stopping_tells_open_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
