// test_local_get.c - a blocking GET, against a server of one answer in a thread.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/local_get.h"

// Gives one answer to whoever comes first.
struct server {
    int fd, port;
    const char *answer;
    char seen[4096], peer[INET_ADDRSTRLEN];
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct server *s = arg;
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    int fd = accept(s->fd, (struct sockaddr *)&from, &len);
    size_t n = 0;
    ssize_t got;

    inet_ntop(AF_INET, &from.sin_addr, s->peer, sizeof(s->peer));
    while (!strstr(s->seen, "\r\n\r\n") && n < sizeof(s->seen) - 1 &&
           (got = read(fd, s->seen + n, sizeof(s->seen) - 1 - n)) > 0)
        n += (size_t)got;
    if (write(fd, s->answer, strlen(s->answer)) < 0)
        perror("write");
    close(fd);
    return NULL;
}

static void server_open(struct server *s, const char *host, const char *answer)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t len = sizeof(in);

    *s = (struct server){.answer = answer, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(inet_pton(AF_INET, host, &in.sin_addr), 1);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&in, &len), 0);
    s->port = ntohs(in.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_close(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->fd);
}

// Asks the server for /path.
static bool ask(const struct server *s, const char *host, struct buf *body, char why[256])
{
    char url[128];
    struct local_get get = {.url = url, .bearer = "key-0123456789", .from_loopback = true};

    snprintf(url, sizeof(url), "http://%s:%d/path?a=b", host, s->port);
    *why = '\0';
    return local_get(&get, body, why, 256);
}

static void an_answer_is_read_whatever_proxies_the_environment_names(void **state)
{
    struct server s;
    struct buf body;
    char why[256];

    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    buf_init(&body, 1024);
    server_open(&s, "127.0.0.2", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_true(ask(&s, "127.0.0.2", &body, why));
    server_close(&s);
    assert_string_equal(buf_cstr(&body), "hello");
    assert_string_equal(s.peer, "127.0.0.1");
    assert_non_null(strstr(s.seen, "GET /path?a=b HTTP/1.1\r\n"));
    assert_non_null(strstr(s.seen, "\r\nHost: localhost\r\n"));
    assert_non_null(strstr(s.seen, "\r\nAuthorization: Bearer key-0123456789\r\n"));
    buf_deinit(&body);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

static void other_answers_are_told_by_their_status(void **state)
{
    struct server s;
    struct buf body;
    char why[256];

    (void)state;
    buf_init(&body, 1024);
    server_open(&s, "127.0.0.1",
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    assert_false(ask(&s, "127.0.0.1", &body, why));
    server_close(&s);
    assert_non_null(strstr(why, "302"));
    buf_deinit(&body);
}

static void what_goes_wrong_is_told(void **state)
{
    struct server s;
    struct buf body;
    char why[256];

    (void)state;
    buf_init(&body, 4);
    server_open(&s, "127.0.0.1", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_false(ask(&s, "127.0.0.1", &body, why));
    server_close(&s);
    assert_true(*why);
    assert_false(ask(&s, "127.0.0.1", &body, why)); // nobody listens any more
    assert_true(*why);
    server_open(&s, "127.0.0.1", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    assert_false(ask(&s, "127.0.0.1", &body, why));
    server_close(&s);
    assert_true(*why);
    buf_deinit(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_read_whatever_proxies_the_environment_names),
        cmocka_unit_test(other_answers_are_told_by_their_status),
        cmocka_unit_test(what_goes_wrong_is_told),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
