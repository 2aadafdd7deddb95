// server_internal.h - what the files of the HTTP server share.
//
//   server.c        listeners, the set of connections, time limits
//   connection.c    one client connection: reading, phases, closing
//   request_head.c  strict parsing of a request head
//   request_body.c  body framing, limits and content decoding
//   response.c      response heads, bodies, chunks
//   output.c        writing to the socket, back-pressure
//   connection_tls.c  TLS between the socket and the connection
//   upgrade.c       connections that have left HTTP (upgrade.h)

#pragma once

#include <llhttp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/list.h"
#include "net/server.h"

#define INPUT_SIZE (64 * 1024)          // one read of the socket
#define BACKLOG_MAX (64 * 1024)         // unparsed input above which reading stops
#define OUTPUT_MAX (256 * 1024 * 1024)  // last line of defence; writers heed server_writable()
#define FIELDS_MAX 1024                 // header fields in a head; 431 above
#define FRAMING_MAX (16 * 1024)         // chunk lines in a body, besides FRAMING_PER_CHUNK each
#define FRAMING_PER_CHUNK 32
#define LINGER_BYTES (256 * 1024)
#define LINGER_SECONDS 2.0
#define TICK_MS 250

struct content;
struct tls_session;
struct upgrade;

enum phase {
    PHASE_HEAD,     // waits for, or collects, a request head
    PHASE_REQUEST,  // from a complete head until the user has released the request
    PHASE_UPGRADED, // it speaks WebSocket
    PHASE_LAST,     // the last response is complete; its output has to leave
    PHASE_LINGER,   // our side is shut down; input is dropped so that the client can read
    PHASE_CLOSED    // the handle is closing or closed
};

// Where head_scan() is within the lines of a head.
enum head_position { HEAD_LINE_START, HEAD_IN_LINE, HEAD_AFTER_CR, HEAD_AFTER_LAST_CR };

struct server {
    uv_loop_t *loop;
    struct log *log;
    struct server_limits limits;
    struct server_handler handler;
    SSL_CTX *tls;
    uv_timer_t tick; // all time limits; runs while there are connections
    uv_idle_t idle;  // runs while `work` is not empty
    struct list listeners;
    struct list connections;
    struct list dirty; // connections with collected output
    struct list work;  // connections that go on in the next loop iteration
    size_t connection_count;
    size_t open_requests;
    int handles; // not yet closed: tick, idle and listeners
    bool draining;
    bool stopped;
    double accept_warned; // clock_mono() of the last warning
    llhttp_settings_t parser_settings;
    time_t date_second; // second for which `date` was made
    char date[48];      // a whole `Date:` line
    char input[INPUT_SIZE];
    char plain[17 * 1024]; // one decrypted TLS record
};

struct connection {
    struct server_request req; // first: a request is its connection
    struct server *server;
    uv_tcp_t handle;
    union {
        uv_write_t write;       // in flight while `writing`
        uv_shutdown_t shutdown; // afterwards, once
    } op;
    char *writing; // memory of the write in flight
    struct list link;
    struct list dirty;
    struct list work;
    enum phase phase;
    llhttp_t parser;
    struct tls_session *tls;
    struct upgrade *upgrade; // NULL while it speaks HTTP
    double since;       // when the phase, or the head, began
    double last_input;  // last byte read
    double last_output; // last progress of pending output
    size_t queue_seen;  // write queue at the last tick, to see progress of a long write

    struct buf head;    // the bytes that `fields` and `target` point into
    struct buf backlog; // read, not yet parsed
    struct buf coded;   // body bytes not yet given to `content`
    struct buf out;     // collected, not yet given to the kernel
    struct content *content;
    struct server_field *fields;
    size_t field_cap;
    size_t head_len; // of the complete head
    size_t body_raw; // body bytes before decoding
    size_t framing;  // bytes of chunk lines
    size_t chunks;
    size_t drained;
    char *target;
    size_t target_len;
    int refused; // status of a head that is refused, 0 if fine
    enum head_position position;

    char last_byte;  // of the body bytes before
    bool handle_closed;
    bool open;         // the user holds the request
    bool served;       // had a request before
    bool feeding;      // connection_take() is on the stack
    bool reading;      // uv_read_start is on
    bool announce;     // on_request is due
    bool wanted;       // the user wants the body
    bool expects;      // Expect: 100-continue, not yet answered
    bool message_done; // llhttp has seen the end of the message
    bool decoding;     // `content` has more output
    bool http10;
    bool head_only; // HEAD
    bool keep_alive;
    bool chunked;   // response framing
    bool body_sent; // the response may have a body (not HEAD, 204, 304)
    bool blocked;   // output went above output_high
    bool blank;     // an empty line was skipped before the head
    char peer[INET6_ADDRSTRLEN];
};

// --- server.c ---

// Makes a connection of an accepted socket, which it owns even when that fails.
struct connection *server_adopt(struct server *s, int fd, const struct sockaddr *peer);

// Has connection_resume() called in the next loop iteration.
void server_schedule(struct server *s, struct connection *c);
void server_forget(struct server *s, struct connection *c);
const char *server_date(struct server *s);

// --- connection.c ---

struct connection *connection_new(struct server *s, int fd, const struct sockaddr *peer);
void connection_feed(struct connection *c, const char *bytes, size_t n);
void connection_resume(struct connection *c);
void connection_end_of_input(struct connection *c);
void connection_tick(struct connection *c, double now);

// Closes at once; an open request becomes `gone` and is told.
void connection_break(struct connection *c);

// Answers a head nobody will see and closes.
void connection_refuse(struct connection *c, int status);
void connection_changed(struct connection *c);
void connection_update_reading(struct connection *c);

// Half-closes and waits for the client to do the same.
void connection_linger(struct connection *c);
bool connection_is_idle(const struct connection *c);

// --- request_head.c ---

void head_settings(llhttp_settings_t *settings);

// Takes bytes up to the end of the head at most; returns how many.  A complete head starts
// PHASE_REQUEST, a bad one is refused.
size_t head_take(struct connection *c, const char *bytes, size_t n);

// --- request_body.c ---

// Decides from the head how the body will be read.
void body_begin(struct connection *c);
bool body_takes(const struct connection *c);
// Where the next bytes of a plain body can be read to, so that they are in place: behind those that
// are there, and no more than are missing.  False when they go through the shared buffer.
bool body_place(struct connection *c, uv_buf_t *place);
size_t body_take(struct connection *c, const char *bytes, size_t n);
int body_on_bytes(llhttp_t *parser, const char *at, size_t n);

// One bounded step of content decoding.
void body_decode(struct connection *c);
void body_fail(struct connection *c, enum server_body state);
void body_end(struct connection *c);

// --- output.c ---

void connection_flush(struct connection *c);
void connection_mark_dirty(struct connection *c);
size_t connection_pending(const struct connection *c);

// Bytes were added to `out`: notes whether that is too much, and has them flushed.
void connection_queued(struct connection *c);

// What the kernel takes at once: a count, maybe 0, or a negative libuv code.
ssize_t connection_try_write(struct connection *c, const uv_buf_t *bufs, unsigned int count);

// --- response.c ---

void response_refuse(struct connection *c, int status);
void response_continue(struct connection *c);

// Queues a 101 response with these fields.  False when there is nobody to answer.
bool response_switch(struct connection *c, const char *fields, size_t n);

// --- upgrade.c: for connections with an `upgrade` ---

// The request that asked for it is released.
void upgrade_begin(struct connection *c);

// The connection is closed: tells the user and frees the upgrade.
void upgrade_over(struct connection *c);
void upgrade_drain(struct connection *c);
void upgrade_stop(struct connection *c);
bool upgrade_busy(const struct connection *c);
bool upgrade_takes(const struct connection *c);

// Takes one event at most; how many bytes were used.
size_t upgrade_take(struct connection *c, const char *bytes, size_t n);

// The client has closed its side.  True while something it sent before has to be read.
bool upgrade_end_of_input(struct connection *c);
bool upgrade_ended(const struct connection *c);
void upgrade_writable_again(struct connection *c);
void upgrade_tick(struct connection *c, double now);
double upgrade_write_seconds(const struct connection *c);

// --- connection_tls.c ---

struct tls_session *tls_session_new(SSL_CTX *context);
void tls_session_free(struct tls_session *t);

// Bytes from the socket; calls connection_feed() with what they decrypt to.
void tls_input(struct connection *c, const char *bytes, size_t n);

// Encrypts up to one record of c->out, and what the handshake has to say, into memory of the
// session.  False when the session is broken.
bool tls_output(struct connection *c, char **bytes, size_t *n);
void tls_output_taken(struct connection *c);
void tls_close(struct connection *c);
bool tls_ready(const struct connection *c);
void tls_trim(struct connection *c);
