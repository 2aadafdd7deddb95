// sessions.h - clients that serve requests: WebSocket sessions, and the calls they are given.
//
// A session lives on the worker that accepted it; its calls come from tasks of any worker.  Its
// messages are JSON objects with an `id`, a `type` and mostly a `payload`: the id leads a message
// to its call, others are dropped, and a `ping` is answered with a `pong` of the same id.
//
// Messages reach their call in order and none is lost: while a call has more than SESSION_BUFFERED
// bytes waiting, the session's socket is not read.  While a session lives it is a credential.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "codec/json.h"
#include "net/server.h"

#define SESSION_BUFFERED (16 * 1024 * 1024)
#define SESSION_MESSAGE_MAX (64 * 1024 * 1024)
#define SESSION_ID_SIZE 64

struct accounts;
struct script_host;
struct sessions;
struct session_call;

// All sessions of a process.  `accounts` outlives it; it outlives all hosts.  NULL without memory.
struct sessions *sessions_new(struct accounts *accounts);
void sessions_free(struct sessions *s);

// --- sessions: on the thread of their host ---

// Makes the client of a request a session of that provider.  Its id, `<provider>-` and 16 random
// characters, goes to `id`.  `keyed`: it showed a client key.  False when the handshake is bad (and
// answered), or its client has left.  `fields` as for server_respond().
bool session_accept(struct script_host *h, struct server_request *req, const char *fields,
                    size_t fields_len, const char *provider, bool keyed, char id[SESSION_ID_SIZE]);

// A host has a new configuration: when sessions need a key now, those without one are closed.
void sessions_configure(struct script_host *h, bool key_required);

// --- calls: on the thread of the host that makes them ---

struct session_message {
    struct list in_call;
    char *text;
    size_t len;
    struct json_slice type, payload; // in `text`; their type is JSON_NONE when they are missing
};

// Gives a message (taken over, freed in any case) to a session; what the client sends with that id
// comes back.  `on_news` is called when session_call_next() would give something new; never from
// inside of a function here.  NULL without memory.
struct session_call *session_call_new(struct script_host *h, const char *session, const char *id,
                                      char *text, size_t len, void (*on_news)(void *owner),
                                      void *owner);

// Takes the next message, to be freed with session_message_free().  NULL when there is none yet;
// then `*over` says that none will come, because the session has gone.
struct session_message *session_call_next(struct session_call *c, bool *over);
void session_message_free(struct session_message *m);

// Ends the call: what is still to come for it is dropped.
void session_call_free(struct session_call *c);
