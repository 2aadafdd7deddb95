// upstream_internal.h - what upstream.c, upstream_environment.c and transfer*.c share.
//
// Reentrancy: curl calls us back from inside its own functions.  Those callbacks only store bytes
// and queue the transfer on `changed`; the user is called from upstream_dispatch(), never from
// inside curl, so from on_change every function of upstream.h may be used.

#pragma once

#include <curl/curl.h>

#include "base/list.h"
#include "net/upstream.h"

// The parts of the environment that matter, read once.  Unset values are NULL.
struct upstream_environment {
    char *ca_file;
    char *http_proxy, *https_proxy;
    char *no_proxy;             // what bypasses the two, this machine included; never NULL
    struct curl_slist *resolve;    // fixed addresses
    struct curl_slist *connect_to; // fixed addresses and ports
    char *checked_proxy;        // the proxy URL last found good, so that it is not parsed again
};

bool upstream_environment_init(struct upstream_environment *env);
void upstream_environment_deinit(struct upstream_environment *env);

// What to tell curl: "" for no proxy.  False when the proxy cannot be used.
bool upstream_environment_proxy(struct upstream_environment *env, const char *url,
                                const char *wanted, const char **proxy, const char **no_proxy);

struct socket_watch;

struct upstream {
    uv_loop_t *loop;
    struct log *log;
    CURLM *multi;              // NULL after upstream_stop()
    uv_timer_t curl_timer;     // when curl wants to be called
    uv_timer_t limit_timer;    // checks time limits while transfers are active
    uv_idle_t later;           // runs upstream_dispatch() in the next turn of the loop
    size_t handles;            // libuv handles not closed yet
    struct list active;        // calls that curl works on
    struct list changed;       // calls whose on_change is due
    struct list idle;          // ended calls kept for their easy handle
    size_t idle_count;
    struct socket_watch **sockets; // by file descriptor
    size_t socket_cap;
    bool limit_running;
    bool dispatching;
    struct upstream_environment env;
};

// A transfer and what stays with its easy handle when it is used again.
struct call {
    struct transfer public;
    struct upstream *up;
    CURL *easy;
    struct list link;   // in `active` or `idle`
    struct list change; // in `changed`
    const char *url, *proxy;
    bool added; // curl works on it
    bool paused;
    int local_port;    // of the connection in use, 0 before; HTTP/2 calls may share one
    int head_status;   // of the head being read
    struct buf fields; // "name\0value\0" of the head being read, or read
    double last;       // when the upstream last gave something, or we let it go on
    double connect_seconds, first_byte_seconds, idle_seconds;
    long upload; // bytes of the request's body that go out at once
    void *block; // curl_slist nodes and text of the request fields
    size_t block_cap;
    char error_text[CURL_ERROR_SIZE];
};

// Sets what is the same for all calls on a new easy handle.
bool upstream_prepare_easy(struct upstream *u, CURL *easy);

// Collects the calls that curl ended.
void upstream_collect(struct upstream *u);

// After curl worked in a callback of the loop: collects ended calls and tells the user.
void upstream_acted(struct upstream *u);

// Queues on_change.
void upstream_changed(struct call *c);

// Makes the limit timer run.
void upstream_watch_limits(struct upstream *u);

// Whether nothing in it would change the shape of the request on the wire.
bool transfer_request_is_clean(const struct transfer_request *request);

// Sets how much of a body of that length goes out at once.  Not while curl works on the call.
CURLcode call_set_upload(struct call *c, size_t body_len);

// Tells curl of the request; its fields are copied.
CURLcode call_set_request(struct call *c, const struct transfer_request *request,
                          const char *no_proxy);

// Takes the call from curl (its connection is closed if it was in use) and ends it.
void call_finish(struct call *c, enum transfer_error error);

// Curl is done with the call: finishes it, or says why it failed.
void call_ended(struct call *c, CURLcode result);

// Ends the call when it exceeded a limit.
void call_check_limits(struct call *c, double now);

// Finishes the call with a message for the log.
void call_fail(struct call *c, enum transfer_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Frees an idle call.
void call_destroy(struct call *c);
