// tls.c - the TLS context of the listener.

#include "net/tls.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned int in_len, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    (void)ssl;
    (void)ctx;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void explain(char *error, size_t error_size, const char *what, const char *path)
{
    // The first error is the cause, later ones are what became of it.
    unsigned long first = ERR_peek_error();
    const char *why =
        ERR_SYSTEM_ERROR(first) ? strerror(ERR_GET_REASON(first)) : ERR_reason_error_string(first);

    snprintf(error, error_size, "%s %s: %s", what, path, why ? why : "cannot be used");
    ERR_clear_error();
}

SSL_CTX *tls_context_new(const char *cert_path, const char *key_path, char *error,
                         size_t error_size)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (!context) {
        explain(error, error_size, "TLS for", cert_path);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, cert_path) != 1)
        explain(error, error_size, "certificate", cert_path);
    else if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1)
        explain(error, error_size, "key", key_path);
    else if (SSL_CTX_check_private_key(context) != 1)
        explain(error, error_size, "certificate does not belong to key", key_path);
    else
        return context;
    SSL_CTX_free(context);
    return NULL;
}
