// secrets.h - takes known secrets out of texts that people will see.
//
// Upstreams repeat keys in their error messages, and scripts quote what they were given.  What a
// state knows as secret (values that the configuration's schema marks, values of configured
// headers, proxy passwords, secrets of accounts) is replaced by `***` wherever it stands, also in
// the forms that JSON and URLs give it.  Values shorter than 8 bytes are left alone: they are words
// like any other.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct script_state;
struct secrets;

// What the state's configuration holds; made when it is first needed.
void secrets_free(struct secrets *known);

// Writes the text without secrets to `out` (cleared first; `***` alone where there is no room).
// False when there are none in it: `out` is of no use then.  `own` is one more secret, or NULL.
bool secrets_redact(struct script_state *s, const char *text, size_t len, const char *own,
                    struct buf *out);

// Puts `***` in the place of a secret of 8 bytes or more, wherever it stands in a text.
void secrets_replace(struct buf *text, const char *secret, size_t len);

// Logs why a script failed, without secrets.  `req` (may be NULL) is the request it served: what
// its client sent as keys is taken out, too.
struct server_request;
void secrets_log_failure(struct script_state *s, const char *request_id, const char *message,
                         const struct server_request *req);
