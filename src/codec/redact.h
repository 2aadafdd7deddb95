// redact.h - secrets in request targets and headers, made harmless for logs (spec http-api 8.2).

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

// Appends a request target with the values of secret query parameters masked: `key`, names that
// hold `api-key`, `apikey`, `api_key`, `token` or `secret`, and on callback paths `code` and
// `state`.  Control characters become `?`.
void redact_target(struct buf *out, const char *target);

// True for names of headers whose values are secrets.
bool redact_is_secret(const char *name);

// Appends a header value, masked when the name says that it is a secret.
void redact_field(struct buf *out, const char *name, const char *value);
