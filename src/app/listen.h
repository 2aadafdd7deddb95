// listen.h - which addresses to bind, and whether that is safe.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/config.h"

#define LISTEN_ADDRESSES 2

struct listen_plan {
    struct sockaddr_storage addresses[LISTEN_ADDRESSES];
    size_t count;
    bool loopback; // only this machine can connect
};

// Addresses for the keys `host` and `port`.  False with a message.
bool listen_plan(const struct config *config, struct listen_plan *plan, struct buf *error);

// 0 when nobody listens there yet, else a negative errno.  The listeners share their port with
// SO_REUSEPORT, so that a second program would take half of our connections in silence.
int listen_probe(const struct sockaddr_storage *address);

// Appends `http://127.0.0.1:8317`, bracketed for IPv6.
void listen_format(const struct sockaddr_storage *address, bool tls, struct buf *out);

// Why the client keys do not protect a bind that others can reach, or NULL when they do (static
// text).
const char *listen_unsafe(const struct config *config, bool loopback);

// True when somebody could set things right through the management API.
bool listen_has_management_key(const struct config *config);

// True when a key of config.example.yaml is in use (harmless on loopback, but worth a warning).
bool listen_sample_keys(const struct config *config);
