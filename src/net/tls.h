// tls.h - the TLS context of the listener.

#pragma once

#include <openssl/ssl.h>
#include <stddef.h>

// Loads a certificate chain and key (PEM); TLS 1.2 and up, ALPN http/1.1.  NULL with a message
// that names the file in `error`.  The caller owns it (SSL_CTX_free).
SSL_CTX *tls_context_new(const char *cert_path, const char *key_path, char *error,
                         size_t error_size);
