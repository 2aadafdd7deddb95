// base64.h - base64 and base64url (RFC 4648).

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

// Appends the encoding.  `url`: the URL alphabet, without padding.
bool base64_encode(struct buf *out, const void *bytes, size_t n, bool url);

// Appends the decoding; accepts both alphabets, with or without padding.  False on other bytes;
// then nothing is appended.
bool base64_decode(struct buf *out, const char *text, size_t n);
