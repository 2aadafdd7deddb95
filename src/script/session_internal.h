// session_internal.h - what the two files of sessions.h share: a call as both its threads see it.
//
//   sessions.c      the sessions, on the thread of their sockets ("home")
//   session_call.c  the calls: what passes between their task's thread and home

#pragma once

#include "net/upgrade.h"
#include "script/mailbox.h"
#include "script/sessions.h"

#include "base/map.h"

struct session {
    char id[SESSION_ID_SIZE];
    char provider[32];
    struct mailbox *home;
    int refs;           // atomic: of its socket and its calls
    struct list in_all; // sessions->all, under its lock
    // At home:
    struct script_host *host;
    struct upgrade *upgrade; // NULL once it is over
    struct list in_host;
    struct map calls;    // by id: whose message was sent
    struct list waiting; // whose message was not
    size_t full;         // calls with too much to take
    bool keyed;
};

struct session_call {
    char id[64];
    struct session *session; // NULL: there was none
    struct mailbox *caller;
    int refs;   // atomic: of the caller, the session, and each letter on its way
    char *text; // the message to send; at home once the first letter is there
    size_t len;
    uv_mutex_t lock;
    // Under `lock`:
    struct list messages;
    size_t buffered;             // their bytes
    bool over;                   // the session has gone
    bool closed;                 // the caller has left
    bool full;                   // holds the reading of the session
    bool going_home, going_back; // the letter is on its way
    // Letters say no more than: look at the call.
    struct letter to_home, to_caller;
    // At home:
    bool known; // the session has it
    struct list in_waiting;
    // At the caller:
    void (*on_news)(void *owner);
    void *owner;
};

// A reference to the session of that id, or NULL.  Any thread.
struct session *sessions_find(struct sessions *s, const char *id);
void session_unref(struct session *s);
void session_call_unref(struct session_call *c);

// At home: the session learns of a call, or of its end; there is room again.
void session_take_call(struct session_call *c);
void session_drop_call(struct session_call *c);
void session_has_room(struct session *s);

// At home: appends a message (taken over).  True when it made the call full.
bool session_call_deliver(struct session_call *c, struct session_message *m);

// No message will come any more.  Any thread.
void session_call_end(struct session_call *c);
