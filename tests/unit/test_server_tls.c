// Tests of the TLS listener: a client on memory BIOs, a certificate made on the spot.

#include "server_world.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "net/tls.h"
#include "net/upgrade.h"
#include "websocket_frames.h"

struct tls_world {
    struct world world;
    char cert[64], key[64];
    SSL_CTX *client;
};

struct tls_client {
    struct client plain; // its `in` holds ciphertext
    SSL *ssl;
    struct buf in;
    bool ended; // a close notice came
};

static void write_certificate(struct tls_world *t)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    FILE *file;

    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    file = fdopen(mkstemp(strcpy(t->cert, "/tmp/test-cert-XXXXXX")), "w");
    PEM_write_X509(file, cert);
    fclose(file);
    file = fdopen(mkstemp(strcpy(t->key, "/tmp/test-key-XXXXXX")), "w");
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int setup(void **state)
{
    struct tls_world *t = calloc(1, sizeof(*t));
    char error[256];
    SSL_CTX *context;

    world_init(&t->world);
    write_certificate(t);
    context = tls_context_new(t->cert, t->key, error, sizeof(error));
    assert_non_null(context);
    server_set_tls(t->world.server, context);
    SSL_CTX_free(context);
    t->client = SSL_CTX_new(TLS_client_method());
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct tls_world *t = *state;

    world_deinit(&t->world);
    SSL_CTX_free(t->client);
    unlink(t->cert);
    unlink(t->key);
    free(t);
    return 0;
}

static void tls_client_init(struct tls_world *t, struct tls_client *c)
{
    memset(c, 0, sizeof(*c));
    client_init(&t->world, &c->plain);
    buf_init(&c->in, SIZE_MAX / 2);
    c->ssl = SSL_new(t->client);
    SSL_set_bio(c->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(c->ssl);
}

static void tls_client_deinit(struct tls_client *c)
{
    SSL_free(c->ssl);
    buf_deinit(&c->in);
    client_deinit(&c->plain);
}

// Carries bytes both ways, at most `piece` at once to the server.
static void carry(struct tls_world *t, struct tls_client *c, size_t piece)
{
    char *bytes;
    int n;

    for (int i = 0; i < 200; i++) {
        size_t len = (size_t)BIO_get_mem_data(SSL_get_wbio(c->ssl), &bytes);

        for (size_t at = 0; at < len; at += piece) {
            client_send(&t->world, &c->plain, bytes + at, len - at < piece ? len - at : piece);
            if (piece < len)
                world_turn(&t->world, UV_RUN_NOWAIT);
        }
        (void)BIO_reset(SSL_get_wbio(c->ssl));
        world_turn(&t->world, UV_RUN_NOWAIT);
        client_read(&c->plain);
        if (c->plain.in.len > 0)
            BIO_write(SSL_get_rbio(c->ssl), c->plain.in.data, (int)c->plain.in.len);
        buf_clear(&c->plain.in);
        while ((n = SSL_read(c->ssl, buf_reserve(&c->in, 16384), 16384)) > 0)
            buf_commit(&c->in, (size_t)n);
        if (SSL_get_error(c->ssl, n) == SSL_ERROR_ZERO_RETURN)
            c->ended = true;
    }
}

static void say(struct tls_world *t, struct tls_client *c, const char *text, size_t piece)
{
    carry(t, c, piece);
    assert_true(SSL_is_init_finished(c->ssl));
    assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), strlen(text));
    carry(t, c, piece);
}

static void requests_over_tls_are_answered(void **state)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 7, 500};
    struct tls_world *t = *state;

    for (size_t i = 0; i < 4; i++) {
        struct tls_client c;

        tls_client_init(t, &c);
        say(t, &c, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", pieces[i]);
        assert_non_null(strstr(buf_cstr(&c.in), "POST /p 5:hello"));
        assert_true(t->world.tls);
        buf_clear(&c.in);
        say(t, &c, "GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", pieces[i]);
        assert_non_null(strstr(buf_cstr(&c.in), "3\r\none\r\n"));
        assert_true(c.ended);
        tls_client_deinit(&c);
    }
}

static void a_large_answer_arrives_whole_over_tls(void **state)
{
    struct tls_world *t = *state;
    size_t n = 3 * 1024 * 1024;
    char *big = malloc(n);
    struct tls_client c;

    for (size_t i = 0; i < n; i++)
        big[i] = (char)(i * 31 >> 3);
    tls_client_init(t, &c);
    say(t, &c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n", SIZE_MAX);
    server_respond(t->world.held, 200, "", 0, big, n);
    server_release(t->world.held);
    t->world.held = NULL;
    for (int i = 0; i < 20 && c.in.len < n; i++)
        carry(t, &c, SIZE_MAX);
    assert_true(c.in.len > n);
    assert_memory_equal(c.in.data + c.in.len - n, big, n);
    free(big);
    tls_client_deinit(&c);
}

struct talk {
    struct upgrade *upgrade;
    size_t len; // of the last message
    int closed;
};

static void on_text(void *ctx, const char *text, size_t len)
{
    struct talk *talk = ctx;

    talk->len = len;
    upgrade_send(talk->upgrade, text, len);
}

static void on_writable(void *ctx)
{
    (void)ctx;
}

static void on_close(void *ctx, int status)
{
    ((struct talk *)ctx)->closed = status;
}

// Sends `frame` (freed) and carries until the client has got as much back.
static void exchange(struct tls_world *t, struct tls_client *c, struct buf *frame, size_t wanted)
{
    for (size_t at = 0; at < frame->len; at += 16384)
        SSL_write(c->ssl, frame->data + at,
                  (int)(frame->len - at < 16384 ? frame->len - at : 16384));
    for (int i = 0; i < 20 && c->in.len < wanted; i++)
        carry(t, c, SIZE_MAX);
    assert_int_equal(c->in.len, wanted);
    buf_deinit(frame);
}

static void an_upgraded_connection_speaks_tls_too(void **state)
{
    static const struct upgrade_limits limits = {1 << 20, 30, 60, 10};
    struct tls_world *t = *state;
    struct talk talk = {0};
    struct upgrade_handler handler = {&talk, on_text, on_writable, on_close};
    struct tls_client c;
    struct buf frame;
    char *text = malloc(300000);

    tls_client_init(t, &c);
    say(t, &c,
        "GET /hold HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        SIZE_MAX);
    talk.upgrade = upgrade_accept(t->world.held, "", 0, &limits, &handler);
    server_release(t->world.held);
    t->world.held = NULL;
    carry(t, &c, SIZE_MAX);
    assert_non_null(strstr(buf_cstr(&c.in), "HTTP/1.1 101 "));
    buf_clear(&c.in);
    for (size_t i = 0; i < 300000; i++)
        text[i] = (char)('a' + i % 19);
    buf_init(&frame, 1 << 20);
    frame_put(&frame, 0x81, text, 300000);
    exchange(t, &c, &frame, 300010);
    assert_int_equal(talk.len, 300000);
    assert_memory_equal(c.in.data + 10, text, 300000);
    buf_clear(&c.in);
    buf_init(&frame, 1000);
    frame_put(&frame, 0x88, "\x03\xe8", 2);
    exchange(t, &c, &frame, 4);
    assert_true(c.ended);
    assert_int_equal(talk.closed, 0);
    tls_client_deinit(&c);
    world_run(&t->world);
    assert_int_equal(talk.closed, 1000);
    free(text);
}

static void a_client_that_sends_a_close_notice_is_gone(void **state)
{
    struct tls_world *t = *state;
    struct tls_client c;

    tls_client_init(t, &c);
    say(t, &c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n", SIZE_MAX);
    SSL_shutdown(c.ssl);
    carry(t, &c, SIZE_MAX);
    assert_true(t->world.held->gone);
    tls_client_deinit(&c);
}

static void plain_text_on_the_tls_listener_ends_the_connection(void **state)
{
    struct tls_world *t = *state;
    struct client c;

    client_init(&t->world, &c);
    client_say(&t->world, &c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(c.closed);
    assert_int_equal(t->world.requests, 0);
    client_deinit(&c);
}

static void a_handshake_that_stops_is_given_up(void **state)
{
    struct tls_world *t = *state;
    struct client c;

    t->world.limits.head_seconds = 0.05;
    server_set_limits(t->world.server, &t->world.limits);
    client_init(&t->world, &c);
    client_say(&t->world, &c, "\x16\x03\x01");
    client_await_close(&t->world, &c, 10);
    assert_true(c.closed);
    client_deinit(&c);
}

static void an_idle_session_gives_memory_back_and_goes_on(void **state)
{
    struct tls_world *t = *state;
    struct tls_client c;
    struct list *node = &t->world.server->connections;

    tls_client_init(t, &c);
    say(t, &c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", SIZE_MAX);
    connection_tick(list_entry(node->next, struct connection, link), clock_mono() + 5);
    buf_clear(&c.in);
    say(t, &c, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n", SIZE_MAX);
    assert_non_null(strstr(buf_cstr(&c.in), "GET /b 0:"));
    tls_client_deinit(&c);
}

static void an_error_names_the_file(void **state)
{
    struct tls_world *t = *state;
    char error[256] = "";

    assert_null(tls_context_new("/nonexistent/cert.pem", t->key, error, sizeof(error)));
    assert_non_null(strstr(error, "/nonexistent/cert.pem"));
    assert_null(tls_context_new(t->cert, "/nonexistent/key.pem", error, sizeof(error)));
    assert_non_null(strstr(error, "/nonexistent/key.pem"));
    assert_null(tls_context_new(t->cert, t->cert, error, sizeof(error)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        test(requests_over_tls_are_answered),
        test(a_large_answer_arrives_whole_over_tls),
        test(an_upgraded_connection_speaks_tls_too),
        test(a_client_that_sends_a_close_notice_is_gone),
        test(plain_text_on_the_tls_listener_ends_the_connection),
        test(a_handshake_that_stops_is_given_up),
        test(an_idle_session_gives_memory_back_and_goes_on),
        test(an_error_names_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
