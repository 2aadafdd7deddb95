// The upstream client against a scripted server: threads that speak through raw sockets.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "net/upstream.h"

#define CONNECTIONS_MAX 16

// --- the server ---

struct server;

struct peer {
    struct server *server;
    pthread_t thread;
    int fd;
    SSL *ssl;
    char head[8192]; // of the request read last
    char body[8192];
};

struct server {
    int fd, port;
    pthread_t thread;
    void (*script)(struct peer *p);
    SSL_CTX *tls;
    int target_port; // for proxies
    struct peer peers[CONNECTIONS_MAX];
    int accepted;
    _Atomic int requests;
    _Atomic bool saw_end; // a peer's script saw the client close
    char seen[8192];      // head of the last request; read it after the answer came
};

static ssize_t peer_read(struct peer *p, char *out, size_t n)
{
    return p->ssl ? SSL_read(p->ssl, out, (int)n) : read(p->fd, out, n);
}

static bool say_bytes(struct peer *p, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = p->ssl ? SSL_write(p->ssl, bytes, (int)n)
                              : send(p->fd, bytes, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

static bool say(struct peer *p, const char *text)
{
    return say_bytes(p, text, strlen(text));
}

// Reads one request with its body.
static bool hear(struct peer *p)
{
    size_t n = 0, body = 0, length;
    char *at;

    while (n < 4 || memcmp(p->head + n - 4, "\r\n\r\n", 4) != 0) {
        if (n + 1 >= sizeof(p->head) || peer_read(p, p->head + n, 1) <= 0)
            return false;
        n++;
    }
    p->head[n] = '\0';
    at = strcasestr(p->head, "content-length:");
    length = at ? strtoul(at + 15, NULL, 10) : 0;
    while (body < length) {
        ssize_t got = peer_read(p, p->body, sizeof(p->body) - 1);

        if (got <= 0)
            return false;
        p->body[got] = '\0';
        body += (size_t)got;
    }
    strcpy(p->server->seen, p->head);
    p->server->requests++;
    return true;
}

// Waits until the client closes.
static void until_end(struct peer *p)
{
    char c;

    while (peer_read(p, &c, 1) > 0)
        ;
    p->server->saw_end = true;
}

static void *peer_main(void *arg)
{
    struct peer *p = arg;

    if (p->server->tls) {
        p->ssl = SSL_new(p->server->tls);
        SSL_set_fd(p->ssl, p->fd);
        if (SSL_accept(p->ssl) <= 0)
            goto out;
    }
    p->server->script(p);
out:
    SSL_free(p->ssl);
    shutdown(p->fd, SHUT_RDWR); // closed by server_stop()
    return NULL;
}

static void *server_main(void *arg)
{
    struct server *s = arg;
    int fd;

    while (s->accepted < CONNECTIONS_MAX && (fd = accept(s->fd, NULL, NULL)) >= 0) {
        struct peer *p = &s->peers[s->accepted++];

        p->server = s;
        p->fd = fd;
        pthread_create(&p->thread, NULL, peer_main, p);
    }
    return NULL;
}

static struct server *server_begin(void (*script)(struct peer *p), SSL_CTX *tls)
{
    struct server *s = calloc(1, sizeof(*s));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);

    assert_non_null(s);
    s->script = script;
    s->tls = tls;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    getsockname(s->fd, (struct sockaddr *)&a, &len);
    s->port = ntohs(a.sin_port);
    pthread_create(&s->thread, NULL, server_main, s);
    return s;
}

// Returns how many connections there were.
static int server_end(struct server *s)
{
    int accepted;

    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    for (int i = 0; i < s->accepted; i++) {
        shutdown(s->peers[i].fd, SHUT_RDWR);
        pthread_join(s->peers[i].thread, NULL);
        close(s->peers[i].fd);
    }
    accepted = s->accepted;
    free(s);
    return accepted;
}

// --- the client ---

static struct {
    uv_loop_t loop;
    uv_timer_t guard;
    struct upstream *up;
    bool late;
    bool hold; // do not consume
    char got[4096];
    size_t total;
} test;

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    test.late = true;
}

static void on_change(struct transfer *t)
{
    size_t n = t->in.len;

    if (test.hold)
        return;
    for (size_t i = 0; i < n; i++, test.total++)
        if (test.total < sizeof(test.got) - 1)
            test.got[test.total] = t->in.data[i];
    transfer_consume(t, n);
}

static void turn_until(bool (*reached)(const struct transfer *t), const struct transfer *t)
{
    test.late = false;
    uv_timer_start(&test.guard, on_guard, 20000, 0);
    while (!reached(t) && !test.late)
        uv_run(&test.loop, UV_RUN_ONCE);
    uv_timer_stop(&test.guard);
    assert_false(test.late);
}

static bool is_done(const struct transfer *t)
{
    return t->done;
}

static bool has_head(const struct transfer *t)
{
    return t->head_done;
}

static bool is_full(const struct transfer *t)
{
    return t->in.len >= TRANSFER_HIGH;
}

static struct transfer *start(const struct transfer_request *request)
{
    struct transfer *t;

    memset(test.got, 0, sizeof(test.got));
    test.total = 0;
    t = transfer_start(test.up, request, on_change, NULL);
    assert_non_null(t);
    return t;
}

static struct transfer *fetch(struct transfer_request request)
{
    struct transfer *t;

    if (!request.method)
        request.method = "GET";
    t = start(&request);
    turn_until(is_done, t);
    on_change(t); // a fast answer is there before we were told
    return t;
}

// A URL on the server, valid until the next call.
static const char *on_server(const struct server *s)
{
    static char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1/x?key=secret", s->port);
    return url;
}

static void open_upstream(void)
{
    test.up = upstream_new(&test.loop, NULL);
    assert_non_null(test.up);
}

static int set_up(void **state)
{
    static const char *const unset[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                        "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY",
                                        "CLIPROXY_RESOLVE", "SSL_CERT_FILE"};

    (void)state;
    for (size_t i = 0; i < sizeof(unset) / sizeof(unset[0]); i++)
        unsetenv(unset[i]);
    memset(&test, 0, sizeof(test));
    uv_loop_init(&test.loop);
    uv_timer_init(&test.loop, &test.guard);
    open_upstream();
    return 0;
}

static void close_upstream(void)
{
    upstream_stop(test.up);
    while (!upstream_closed(test.up))
        uv_run(&test.loop, UV_RUN_ONCE);
    upstream_free(test.up);
}

static int tear_down(void **state)
{
    (void)state;
    close_upstream();
    uv_close((uv_handle_t *)&test.guard, NULL);
    uv_run(&test.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&test.loop);
}

// Fetches from a server that gives this answer and then closes.
static const char *canned;
static size_t canned_len;

static void give_canned(struct peer *p)
{
    if (hear(p))
        say_bytes(p, canned, canned_len);
}

static struct transfer *answer(const char *bytes, size_t n, int expected_error)
{
    struct server *s;
    struct transfer *t;

    canned = bytes;
    canned_len = n;
    s = server_begin(give_canned, NULL);
    t = fetch((struct transfer_request){.url = on_server(s)});
    server_end(s);
    if ((int)t->error != expected_error)
        print_error("answer was: %s\n", bytes);
    assert_int_equal(t->error, expected_error);
    return t;
}

#define ANSWER(text, error) answer(text, sizeof(text) - 1, error)

// --- plain calls ---

static void keep_answering(struct peer *p)
{
    while (hear(p))
        if (!say(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A:  b \r\n\r\nok"))
            break;
}

static void a_connection_is_used_again(void **state)
{
    struct server *s = server_begin(keep_answering, NULL);

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct transfer *t = fetch((struct transfer_request){.url = on_server(s)});

        assert_int_equal(t->error, TRANSFER_OK);
        assert_int_equal(t->status, 200);
        assert_string_equal(test.got, "ok");
        assert_string_equal(transfer_field(t, "x-a"), "b");
        assert_null(transfer_field(t, "x-b"));
        transfer_free(t);
    }
    assert_int_equal(server_end(s), 1);
}

static void trimming_closes_idle_connections(void **state)
{
    struct server *s = server_begin(keep_answering, NULL);

    (void)state;
    transfer_free(fetch((struct transfer_request){.url = on_server(s)}));
    upstream_trim(test.up);
    transfer_free(fetch((struct transfer_request){.url = on_server(s)}));
    assert_int_equal(server_end(s), 2);
}

static void a_request_carries_the_callers_fields_and_none_of_curls(void **state)
{
    static const char *const fields[] = {"User-Agent: me/1", "X-Empty:", NULL};
    struct server *s = server_begin(keep_answering, NULL);
    struct transfer *t;

    (void)state;
    t = fetch((struct transfer_request){.method = "POST", .url = on_server(s), .fields = fields,
                                        .body = "hello", .body_len = 5});
    assert_non_null(strstr(s->seen, "POST /v1/x?key=secret HTTP/1.1\r\n"));
    assert_non_null(strstr(s->seen, "User-Agent: me/1\r\n"));
    assert_non_null(strstr(s->seen, "X-Empty:\r\n"));
    assert_non_null(strstr(s->seen, "Content-Length: 5\r\n"));
    assert_null(strcasestr(s->seen, "expect:"));
    assert_null(strcasestr(s->seen, "content-type:"));
    assert_string_equal(s->peers[0].body, "hello");
    transfer_free(t);
    t = fetch((struct transfer_request){.method = "DELETE", .url = on_server(s)});
    assert_non_null(strstr(s->seen, "DELETE /v1/x"));
    assert_null(strcasestr(s->seen, "content-length"));
    transfer_free(t);
    server_end(s);
}

static void a_field_with_a_line_break_is_refused(void **state)
{
    static const char *const fields[] = {"A: b\r\nC: d", NULL};
    struct server *s = server_begin(keep_answering, NULL);
    struct transfer *t = fetch((struct transfer_request){.url = on_server(s), .fields = fields});

    (void)state;
    assert_int_equal(t->error, TRANSFER_UNREACHABLE);
    transfer_free(t);
    assert_int_equal(server_end(s), 0);
}

// --- response heads and bodies ---

static void informational_heads_are_not_reported(void **state)
{
    struct transfer *t = ANSWER("HTTP/1.1 103 Early\r\nX-A: early\r\n\r\n"
                                "HTTP/1.1 404 No\r\nX-B: late\r\nContent-Length: 0\r\n\r\n",
                                TRANSFER_OK);
    const char *name, *value;
    size_t pos = 0;

    (void)state;
    assert_int_equal(t->status, 404);
    assert_null(transfer_field(t, "X-A"));
    assert_string_equal(transfer_field(t, "X-B"), "late");
    assert_true(transfer_next_field(t, &pos, &name, &value));
    assert_string_equal(name, "X-B");
    assert_true(transfer_next_field(t, &pos, &name, &value));
    assert_false(transfer_next_field(t, &pos, &name, &value));
    transfer_free(t);
}

static void a_head_above_the_limit_is_refused(void **state)
{
    static char text[600 * 1024];
    size_t n = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\n");

    (void)state;
    while (n < sizeof(text) - 2000)
        n += (size_t)sprintf(text + n, "X-Long: %01000d\r\n", 1);
    transfer_free(answer(text, n, TRANSFER_BROKEN));
}

static size_t gzip(const char *text, char *out, size_t size)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)strlen(text),
                  .next_out = (Bytef *)out, .avail_out = (uInt)size};

    deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return z.total_out;
}

static void a_compressed_error_body_is_decoded(void **state)
{
    char packed[200], text[400];
    size_t len = gzip("{\"error\":1}", packed, sizeof(packed));
    int n = sprintf(text, "HTTP/1.1 429 No\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                    len);
    struct transfer *t;

    (void)state;
    memcpy(text + n, packed, len);
    t = answer(text, (size_t)n + len, TRANSFER_OK);
    assert_int_equal(t->status, 429);
    assert_string_equal(test.got, "{\"error\":1}");
    transfer_free(t);
}

static void broken_responses_are_told_apart_from_complete_ones(void **state)
{
    static const char *const broken[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nX-",
        "nonsense\r\n\r\n",
        "",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct transfer *t = answer(broken[i], strlen(broken[i]), TRANSFER_BROKEN);

        assert_true(t->message[0]);
        assert_null(strstr(t->message, "secret"));
        transfer_free(t);
    }
}

static void give_split(struct peer *p)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
                               "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    static size_t cut;

    for (cut = 0; hear(p) && cut < sizeof(text); cut++) {
        say_bytes(p, text, cut);
        poll(NULL, 0, 1); // makes a segment of its own likely
        say_bytes(p, text + cut, sizeof(text) - 1 - cut);
    }
}

static void a_response_may_be_split_anywhere(void **state)
{
    struct server *s = server_begin(give_split, NULL);

    (void)state;
    for (int i = 0; i < 75; i++) {
        struct transfer *t = fetch((struct transfer_request){.url = on_server(s)});

        assert_int_equal(t->error, TRANSFER_OK);
        assert_string_equal(test.got, "abcde");
        assert_string_equal(transfer_field(t, "x-a"), "b");
        transfer_free(t);
    }
    assert_int_equal(server_end(s), 1);
}

// --- limits and cancelling ---

static void say_nothing(struct peer *p)
{
    if (hear(p))
        until_end(p);
}

static void say_half(struct peer *p)
{
    if (hear(p) && say(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"))
        until_end(p);
}

static void a_silent_upstream_is_given_up(void **state)
{
    struct server *s = server_begin(say_nothing, NULL);
    struct transfer *t = fetch(
        (struct transfer_request){.url = on_server(s), .first_byte_seconds = 0.1});

    (void)state;
    assert_int_equal(t->error, TRANSFER_TIMEOUT);
    assert_string_equal(t->message, "no answer within 0.1 s");
    transfer_free(t);
    server_end(s);
    s = server_begin(say_half, NULL);
    t = fetch((struct transfer_request){.url = on_server(s), .idle_seconds = 0.1});
    assert_int_equal(t->error, TRANSFER_TIMEOUT);
    assert_int_equal(t->status, 200);
    assert_string_equal(t->message, "silent for 0.1 s");
    assert_string_equal(test.got, "half");
    transfer_free(t);
    server_end(s);
}

static void a_cancelled_call_closes_its_connection_at_once(void **state)
{
    struct server *s = server_begin(say_half, NULL);
    struct transfer *t = start(
        &(struct transfer_request){.method = "GET", .url = on_server(s)});

    (void)state;
    turn_until(has_head, t);
    transfer_free(t);
    // The loop does not run, and yet the server sees the end.
    while (!s->saw_end)
        poll(NULL, 0, 1);
    server_end(s);
}

// A port whose queue of connections is full, so that a further one hangs.
static int fill_queue(int fds[4])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fds[0], (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fds[0], 0), 0);
    getsockname(fds[0], (struct sockaddr *)&address, &size);
    for (int i = 1; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fds[i], (struct sockaddr *)&address, size);
    }
    return ntohs(address.sin_port);
}

static void a_connection_given_up_while_it_is_made_leaves_nothing_behind(void **state)
{
    struct server *s = server_begin(keep_answering, NULL);
    int fds[4];
    char url[64];

    (void)state;
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", fill_queue(fds));
    for (int i = 0; i < 4; i++) {
        struct transfer_request hanging = {.method = "GET", .url = url, .connect_seconds = 0.05};
        struct transfer *t = start(&hanging);

        if (i % 2 == 0) { // else it is cancelled
            turn_until(is_done, t);
            assert_int_equal(t->error, TRANSFER_TIMEOUT);
        } else {
            uv_run(&test.loop, UV_RUN_NOWAIT);
            assert_false(t->done);
        }
        transfer_free(t);
        upstream_trim(test.up);
        // Its socket has the number of the one that was given up.
        t = fetch((struct transfer_request){.url = on_server(s)});
        assert_int_equal(t->error, TRANSFER_OK);
        transfer_free(t);
        upstream_trim(test.up);
    }
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    server_end(s);
}

static void free_on_change(struct transfer *t)
{
    *(bool *)t->owner = true;
    transfer_free(t);
}

static void a_call_may_be_freed_from_its_own_callback(void **state)
{
    struct server *s = server_begin(say_half, NULL);
    bool freed = false;

    (void)state;
    transfer_start(test.up, &(struct transfer_request){.method = "GET", .url = on_server(s)},
                   free_on_change, &freed);
    while (!freed)
        uv_run(&test.loop, UV_RUN_ONCE);
    server_end(s);
}

static void unreachable_hosts_are_named_without_the_query(void **state)
{
    struct server *s = server_begin(keep_answering, NULL);
    char url[64], message[96];
    struct transfer *t;

    (void)state;
    snprintf(url, sizeof(url), "%s", on_server(s));
    snprintf(message, sizeof(message), "connection refused by 127.0.0.1:%d", s->port);
    server_end(s);
    t = fetch((struct transfer_request){.url = url});
    assert_int_equal(t->error, TRANSFER_UNREACHABLE);
    assert_string_equal(t->message, message);
    transfer_free(t);
    t = fetch((struct transfer_request){.url = "http://nowhere.invalid/?key=secret"});
    assert_int_equal(t->error, TRANSFER_UNREACHABLE);
    assert_string_equal(t->message, "could not resolve host nowhere.invalid");
    transfer_free(t);
}

// --- back-pressure ---

#define LARGE (50 * 1024 * 1024)

static void give_much(struct peer *p)
{
    static char block[64 * 1024];
    char head[100];

    memset(block, 'x', sizeof(block));
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LARGE);
    if (!hear(p) || !say(p, head))
        return;
    for (int i = 0; i < LARGE / (int)sizeof(block); i++)
        if (!say_bytes(p, block, sizeof(block)))
            return;
}

static void on_some_turns(uv_timer_t *timer)
{
    ++*(int *)timer->data;
}

static void a_slow_consumer_pauses_the_upstream(void **state)
{
    struct server *s = server_begin(give_much, NULL);
    uv_timer_t ticks;
    int count = 0;
    struct transfer *t;

    (void)state;
    test.hold = true;
    // While it is paused the idle limit does not count.
    t = start(&(struct transfer_request){.method = "GET", .url = on_server(s), .idle_seconds = 0.1});
    turn_until(is_full, t);
    uv_timer_init(&test.loop, &ticks);
    ticks.data = &count;
    uv_timer_start(&ticks, on_some_turns, 200, 200);
    while (count < 4)
        uv_run(&test.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&ticks, NULL);
    assert_false(t->done);
    assert_true(t->in.len <= TRANSFER_HIGH + 16 * 1024);
    test.hold = false;
    on_change(t);
    turn_until(is_done, t);
    assert_int_equal(t->error, TRANSFER_OK);
    assert_int_equal(test.total + t->in.len, LARGE);
    transfer_free(t);
    server_end(s);
}

// --- proxies ---

static int connect_to(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void relay(int a, int b)
{
    struct pollfd fds[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
    char bytes[4096];

    while (poll(fds, 2, -1) > 0)
        for (int i = 0; i < 2; i++) {
            ssize_t n = fds[i].revents ? read(fds[i].fd, bytes, sizeof(bytes)) : -2;

            if (n == 0 || n == -1)
                return;
            if (n > 0)
                send(fds[!i].fd, bytes, (size_t)n, MSG_NOSIGNAL);
        }
}

static void http_proxy(struct peer *p)
{
    int fd;

    while (hear(p)) {
        if (strncmp(p->head, "CONNECT ", 8) != 0) {
            say(p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy");
            continue;
        }
        fd = connect_to(p->server->target_port);
        say(p, "HTTP/1.1 200 Connected\r\nX-Proxy: 1\r\n\r\n");
        relay(p->fd, fd);
        close(fd);
        return;
    }
}

static void refusing_proxy(struct peer *p)
{
    if (hear(p))
        say(p, "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
}

// Speaks SOCKS5 with user and password; notes the user and the kind of address.
static void socks_proxy(struct peer *p)
{
    unsigned char in[300];
    size_t user, address;
    int fd;

    if (recv(p->fd, in, 2, MSG_WAITALL) != 2 || recv(p->fd, in + 2, in[1], MSG_WAITALL) <= 0)
        return;
    say_bytes(p, "\x05\x02", 2);
    recv(p->fd, in, 2, MSG_WAITALL);
    user = in[1];
    recv(p->fd, p->server->seen, user, MSG_WAITALL);
    recv(p->fd, in, 1, MSG_WAITALL);
    recv(p->fd, in + 1, in[0], MSG_WAITALL);
    say_bytes(p, "\x01\x00", 2);
    recv(p->fd, in, 5, MSG_WAITALL);
    snprintf(p->server->seen + user, 20, " type %d", in[3]);
    address = in[3] == 3 ? in[4] : 3;
    recv(p->fd, in + 5, address + 2, MSG_WAITALL);
    fd = connect_to(p->server->target_port);
    say_bytes(p, "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", 10);
    relay(p->fd, fd);
    close(fd);
}

static void a_plain_call_goes_through_an_http_proxy(void **state)
{
    struct server *s = server_begin(http_proxy, NULL);
    char proxy[64];
    struct transfer *t;

    (void)state;
    snprintf(proxy, sizeof(proxy), "http://us%%40er:word@127.0.0.1:%d", s->port);
    t = fetch((struct transfer_request){.url = "http://example.invalid/a", .proxy = proxy});
    assert_int_equal(t->error, TRANSFER_OK);
    assert_string_equal(test.got, "proxy");
    assert_non_null(strstr(s->seen, "GET http://example.invalid/a HTTP/1.1"));
    assert_non_null(strstr(s->seen, "Proxy-Authorization: Basic dXNAZXI6d29yZA==\r\n"));
    transfer_free(t);
    server_end(s);
}

static void a_socks_proxy_is_given_user_and_address(void **state)
{
    struct server *target = server_begin(keep_answering, NULL);
    struct server *s = server_begin(socks_proxy, NULL);
    char proxy[64];
    struct transfer *t;

    (void)state;
    s->target_port = target->port;
    snprintf(proxy, sizeof(proxy), "socks5h://user:word@127.0.0.1:%d", s->port);
    t = fetch((struct transfer_request){.url = "http://example.invalid/a", .proxy = proxy});
    assert_int_equal(t->error, TRANSFER_OK);
    assert_string_equal(s->seen, "user type 3");
    transfer_free(t);
    snprintf(proxy, sizeof(proxy), "socks5://user:word@127.0.0.1:%d", s->port);
    t = fetch((struct transfer_request){.url = "http://127.0.0.2:80/a", .proxy = proxy});
    assert_int_equal(t->error, TRANSFER_OK);
    assert_string_equal(s->seen, "user type 1");
    transfer_free(t);
    server_end(s);
    server_end(target);
}

static void an_unusable_proxy_never_means_a_direct_connection(void **state)
{
    static const char *const bad[] = {"ftp://127.0.0.1:1", "socks4://127.0.0.1:1", "127.0.0.1:1",
                                      "http://", "http://127.0.0.1:99999", "http://a/b@c:1",
                                      "http:// x"};
    struct server *s = server_begin(keep_answering, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct transfer *t = fetch(
            (struct transfer_request){.url = on_server(s), .proxy = bad[i]});

        assert_int_equal(t->error, TRANSFER_BAD_PROXY);
        transfer_free(t);
    }
    assert_int_equal(server_end(s), 0);
}

static void the_environments_proxy_is_used_only_without_one_of_our_own(void **state)
{
    struct server *s = server_begin(http_proxy, NULL), *direct = server_begin(keep_answering, NULL);
    char text[64];
    struct transfer *t;

    (void)state;
    snprintf(text, sizeof(text), "127.0.0.1:%d", s->port);
    setenv("HTTP_PROXY", text, 1);
    setenv("NO_PROXY", "other.invalid", 1);
    close_upstream();
    open_upstream();
    t = fetch((struct transfer_request){.url = "http://example.invalid/a"});
    assert_int_equal(t->error, TRANSFER_OK);
    assert_string_equal(test.got, "proxy");
    transfer_free(t);
    t = fetch((struct transfer_request){.url = "http://other.invalid/a"});
    assert_int_equal(t->error, TRANSFER_UNREACHABLE);
    transfer_free(t);
    t = fetch((struct transfer_request){.url = "http://example.invalid/a", .proxy = "direct"});
    assert_int_equal(t->error, TRANSFER_UNREACHABLE);
    transfer_free(t);
    // NO_PROXY does not weaken a proxy that was asked for.
    snprintf(text, sizeof(text), "http://127.0.0.1:%d", s->port);
    t = fetch((struct transfer_request){.url = "http://other.invalid/a", .proxy = text});
    assert_int_equal(t->error, TRANSFER_OK);
    transfer_free(t);
    // This machine is reached directly.
    t = fetch((struct transfer_request){.url = on_server(direct)});
    assert_string_equal(test.got, "ok");
    transfer_free(t);
    server_end(s);
    server_end(direct);
}

// --- TLS ---

static EVP_PKEY *make_key(void)
{
    return EVP_EC_gen("P-256");
}

static X509 *make_certificate(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *x = X509_new();
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    char alternative[100];

    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
    X509V3_set_ctx(&ctx, issuer ? issuer : x, x, NULL, NULL, 0);
    snprintf(alternative, sizeof(alternative), "DNS:%s", name);
    extension = issuer ? X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, alternative)
                       : X509V3_EXT_conf_nid(NULL, &ctx, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(x, issuer_key, EVP_sha256());
    return x;
}

// A server context for `host`, whose authority is written to `ca_file`.
static SSL_CTX *make_tls(const char *host, const char *ca_file)
{
    EVP_PKEY *ca_key = make_key(), *key = make_key();
    X509 *ca = make_certificate("Test CA", ca_key, NULL, ca_key);
    X509 *leaf = make_certificate(host, key, ca, ca_key);
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    FILE *f = fopen(ca_file, "w");

    assert_non_null(f);
    PEM_write_X509(f, ca);
    fclose(f);
    assert_int_equal(SSL_CTX_use_certificate(tls, leaf), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    X509_free(ca);
    X509_free(leaf);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    return tls;
}

static void certificates_are_always_verified(void **state)
{
    char ca[] = "test-ca-XXXXXX", resolve[128], url[64], proxy[64];
    int fd = mkstemp(ca);
    SSL_CTX *tls = make_tls("good.test", ca);
    struct server *s = server_begin(keep_answering, tls);
    struct server *tunnel = server_begin(http_proxy, NULL);
    struct server *refusing = server_begin(refusing_proxy, NULL);
    struct transfer *t;

    (void)state;
    close(fd);
    tunnel->target_port = s->port;
    snprintf(resolve, sizeof(resolve), "good.test:%d:127.0.0.1,bad.test:%d:127.0.0.1", s->port,
             s->port);
    setenv("CLIPROXY_RESOLVE", resolve, 1);
    snprintf(url, sizeof(url), "https://good.test:%d/?key=secret", s->port);

    // Without the authority.
    close_upstream();
    open_upstream();
    t = fetch((struct transfer_request){.url = url});
    assert_int_equal(t->error, TRANSFER_UNREACHABLE);
    assert_non_null(strstr(t->message, "TLS: certificate"));
    assert_null(strstr(t->message, "secret"));
    transfer_free(t);

    setenv("SSL_CERT_FILE", ca, 1);
    close_upstream();
    open_upstream();
    for (int i = 0; i < 2; i++) {
        t = fetch((struct transfer_request){.url = url});
        assert_int_equal(t->error, TRANSFER_OK);
        assert_string_equal(test.got, "ok");
        transfer_free(t);
        upstream_trim(test.up); // and the addresses are known afterwards
    }
    // Through a tunnel, whose own answer is not reported.
    snprintf(proxy, sizeof(proxy), "http://u:word@127.0.0.1:%d", tunnel->port);
    t = fetch((struct transfer_request){.url = url, .proxy = proxy});
    assert_int_equal(t->error, TRANSFER_OK);
    assert_null(transfer_field(t, "X-Proxy"));
    transfer_free(t);
    transfer_free(fetch((struct transfer_request){.url = url, .proxy = proxy})); // the same tunnel
    // Another user of the same proxy gets a tunnel of its own.
    snprintf(proxy, sizeof(proxy), "http://v:word@127.0.0.1:%d", tunnel->port);
    t = fetch((struct transfer_request){.url = url, .proxy = proxy});
    assert_int_equal(t->error, TRANSFER_OK);
    assert_non_null(strstr(tunnel->seen, "Proxy-Authorization: Basic djp3b3Jk\r\n"));
    transfer_free(t);
    snprintf(proxy, sizeof(proxy), "http://u:word@127.0.0.1:%d", refusing->port);
    t = fetch((struct transfer_request){.url = url, .proxy = proxy});
    assert_int_equal(t->error, TRANSFER_UNREACHABLE);
    assert_non_null(strstr(t->message, "status 407"));
    assert_null(strstr(t->message, "word"));
    transfer_free(t);
    // Under the port that everybody knows; a proxy is told that name and port.
    snprintf(resolve, sizeof(resolve), "other.test:443:[::1]:1,*:443:127.0.0.1:%d", s->port);
    setenv("CLIPROXY_RESOLVE", resolve, 1);
    close_upstream();
    open_upstream();
    t = fetch((struct transfer_request){.url = "https://good.test/"});
    assert_int_equal(t->error, TRANSFER_OK);
    transfer_free(t);
    snprintf(proxy, sizeof(proxy), "http://w:word@127.0.0.1:%d", tunnel->port);
    transfer_free(fetch((struct transfer_request){.url = "https://good.test/", .proxy = proxy}));
    assert_non_null(strstr(tunnel->seen, "CONNECT good.test:443 "));
    snprintf(resolve, sizeof(resolve), "bad.test:%d:127.0.0.1", s->port);
    setenv("CLIPROXY_RESOLVE", resolve, 1);
    close_upstream();
    open_upstream();
    // The certificate of another host.
    snprintf(url, sizeof(url), "https://bad.test:%d/", s->port);
    t = fetch((struct transfer_request){.url = url});
    assert_int_equal(t->error, TRANSFER_UNREACHABLE);
    assert_non_null(strstr(t->message, "TLS: certificate"));
    transfer_free(t);

    server_end(refusing);
    assert_int_equal(server_end(tunnel), 3);
    server_end(s);
    SSL_CTX_free(tls);
    unlink(ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_connection_is_used_again),
        TEST(trimming_closes_idle_connections),
        TEST(a_request_carries_the_callers_fields_and_none_of_curls),
        TEST(a_field_with_a_line_break_is_refused),
        TEST(informational_heads_are_not_reported),
        TEST(a_head_above_the_limit_is_refused),
        TEST(a_compressed_error_body_is_decoded),
        TEST(broken_responses_are_told_apart_from_complete_ones),
        TEST(a_response_may_be_split_anywhere),
        TEST(a_silent_upstream_is_given_up),
        TEST(a_cancelled_call_closes_its_connection_at_once),
        TEST(a_connection_given_up_while_it_is_made_leaves_nothing_behind),
        TEST(a_call_may_be_freed_from_its_own_callback),
        TEST(unreachable_hosts_are_named_without_the_query),
        TEST(a_slow_consumer_pauses_the_upstream),
        TEST(a_plain_call_goes_through_an_http_proxy),
        TEST(a_socks_proxy_is_given_user_and_address),
        TEST(an_unusable_proxy_never_means_a_direct_connection),
        TEST(the_environments_proxy_is_used_only_without_one_of_our_own),
        TEST(certificates_are_always_verified),
    };
    int rc;

    if (!upstream_global_init())
        return 1;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    upstream_global_cleanup();
    return rc;
}
