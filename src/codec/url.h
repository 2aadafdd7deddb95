// url.h - the parts of URLs and query strings that we need.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct url {
    const char *scheme;
    size_t scheme_len;
    const char *host; // without brackets for IPv6
    size_t host_len;
    int port;         // explicit, or the scheme's (80, 443), or 0
    const char *path; // starts with `/`, or empty; the query included
    size_t path_len;
    bool userinfo;    // user:password@ is present
};

// Splits an absolute URL.  False when it has no scheme or no host, or either holds characters that
// do not belong there.
bool url_parse(const char *text, size_t len, struct url *out);

// True when host (a `Host` header without port, or an Origin's host) names this machine:
// localhost, 127.0.0.0/8, ::1, [::1].
bool url_host_is_loopback(const char *host, size_t len);

// Splits `host[:port]` of a Host header; *port is 0 when there is none.  False when it is
// malformed.
bool url_split_host(const char *text, size_t len, const char **host, size_t *host_len, int *port);

// Appends the percent-decoded text.  `plus`: `+` means space (query strings).  A stray `%` stays.
bool url_decode(struct buf *out, const char *text, size_t len, bool plus);

// Appends text with everything but unreserved characters percent-encoded.
bool url_encode(struct buf *out, const char *text, size_t len);

// Finds the first parameter of that decoded name in a query string and appends its decoded value.
// False when it is absent, or does not fit.
bool url_query(struct buf *out, const char *query, size_t len, const char *name);
