// local_get.h - one GET of a server on this machine, on the calling thread.  For commands.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct local_get {
    const char *url;
    const char *bearer; // of the Authorization header
    bool from_loopback; // connect from 127.0.0.1, also to another IPv4 address of this machine
};

// True when the answer is a 200, whose body is then in `text`.  Else `failure` says what was wrong.
// Certificates are not verified: they name public hosts, and the connection stays on the machine.
bool local_get(const struct local_get *request, struct buf *text, char *failure, size_t size);
