// connection_tls.c - TLS between the socket and the connection, over memory BIOs.
//
// Input is decrypted completely each time, so nothing waits inside OpenSSL while reading is
// paused.  Output is encrypted a record at a time, when the kernel took the one before.

#include <openssl/err.h>
#include <stdlib.h>

#include "net/server_internal.h"

#define RECORD (16 * 1024)

struct tls_session {
    SSL *ssl;
    BIO *in;  // owned by ssl
    BIO *out; // owned by ssl
};

struct tls_session *tls_session_new(SSL_CTX *context)
{
    struct tls_session *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->ssl = SSL_new(context);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (!t->ssl || !t->in || !t->out) {
        BIO_free(t->in);
        BIO_free(t->out);
        SSL_free(t->ssl);
        free(t);
        return NULL;
    }
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_accept_state(t->ssl);
    return t;
}

void tls_session_free(struct tls_session *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

bool tls_ready(const struct connection *c)
{
    return SSL_is_init_finished(c->tls->ssl);
}

void tls_input(struct connection *c, const char *bytes, size_t n)
{
    struct tls_session *t = c->tls;
    char *plain = c->server->plain;
    int got;

    if (c->phase == PHASE_LINGER) {
        connection_feed(c, bytes, n);
        return;
    }
    ERR_clear_error();
    if (BIO_write(t->in, bytes, (int)n) != (int)n) {
        connection_break(c);
        return;
    }
    // SSL_read() does the handshake as well.
    while (c->phase != PHASE_CLOSED &&
           (got = SSL_read(t->ssl, plain, (int)sizeof(c->server->plain))) > 0)
        connection_feed(c, plain, (size_t)got);
    if (c->phase == PHASE_CLOSED)
        return;
    switch (SSL_get_error(t->ssl, got)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        connection_flush(c);
        break;
    case SSL_ERROR_ZERO_RETURN:
        connection_end_of_input(c);
        break;
    default:
        // The alert that tells the client why, if the kernel takes it.
        connection_flush(c);
        connection_break(c);
    }
}

bool tls_output(struct connection *c, char **bytes, size_t *n)
{
    struct tls_session *t = c->tls;
    int taken;

    if (BIO_pending(t->out) == 0 && c->out.len > 0 && tls_ready(c)) {
        ERR_clear_error();
        taken = SSL_write(t->ssl, c->out.data, (int)(c->out.len < RECORD ? c->out.len : RECORD));
        if (taken <= 0)
            return false;
        buf_consume(&c->out, (size_t)taken);
    }
    *n = (size_t)BIO_get_mem_data(t->out, bytes);
    return true;
}

void tls_output_taken(struct connection *c)
{
    (void)BIO_reset(c->tls->out);
}

void tls_close(struct connection *c)
{
    char *bytes;
    long n;

    ERR_clear_error();
    if (!tls_ready(c))
        return;
    SSL_shutdown(c->tls->ssl);
    n = BIO_get_mem_data(c->tls->out, &bytes);
    if (n > 0) {
        uv_buf_t buf = uv_buf_init(bytes, (unsigned int)n);

        // A close notice the kernel has no room for is not worth waiting for.
        uv_try_write((uv_stream_t *)&c->handle, &buf, 1);
        tls_output_taken(c);
    }
}

void tls_trim(struct connection *c)
{
    struct tls_session *t = c->tls;
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

    // A memory BIO never shrinks; a half received record has to stay.
    if (!in || !out || BIO_pending(t->in) > 0 || BIO_pending(t->out) > 0) {
        BIO_free(in);
        BIO_free(out);
        return;
    }
    SSL_set0_rbio(t->ssl, in);
    SSL_set0_wbio(t->ssl, out);
    t->in = in;
    t->out = out;
}
