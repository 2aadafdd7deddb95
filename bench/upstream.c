// upstream.c - the mock upstream: canned answers as fast as one core can send them.
//
// One epoll loop a process.  The path picks the dialect, "stream" and the model's name (or the
// target) pick the mode: see replies.h.  GET /healthz and GET /stats answer the measuring script.

#include "replies.h"
#include "request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define SMALL_MAX 512
#define PROCESSES_MAX 64
// Bodies written in one turn of the loop to one connection, so that others get theirs.
#define TURN_MAX 64

enum phase { PHASE_READING, PHASE_FIRST, PHASE_BODY, PHASE_LAST, PHASE_HANGING };

struct conn {
    int fd;
    uint32_t mask; // what epoll watches
    enum phase phase;
    size_t offset; // in the text being sent
    size_t repeat_left;
    uint64_t due; // paced: when the next body may leave; 0 when not waiting
    const struct reply *reply;
    struct conn *next_due; // paced connections, soonest first
    struct conn *previous_due;
    struct request request;
    struct reply small; // an answer of its own, in small_data
    char small_data[SMALL_MAX];
};

struct server {
    int epoll;
    int listener;
    uint64_t delay; // of MODE_PACED, nanoseconds
    struct conn *first_due;
    struct conn *last_due;
    struct replies replies;
    uint64_t requests;
    uint64_t open;
    uint64_t left; // connections that ended before their reply did
    uint64_t left_at;
};

struct options {
    int port;
    int processes;
    double delay_ms;
    struct reply_options reply;
};

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// --- the queue of paced connections: one delay for all, so appending keeps it sorted ----------

static void due_remove(struct server *s, struct conn *c)
{
    if (!c->due)
        return;
    if (c->previous_due)
        c->previous_due->next_due = c->next_due;
    else
        s->first_due = c->next_due;
    if (c->next_due)
        c->next_due->previous_due = c->previous_due;
    else
        s->last_due = c->previous_due;
    c->next_due = c->previous_due = NULL;
    c->due = 0;
}

static void due_append(struct server *s, struct conn *c, uint64_t due)
{
    c->due = due;
    c->previous_due = s->last_due;
    c->next_due = NULL;
    if (s->last_due)
        s->last_due->next_due = c;
    else
        s->first_due = c;
    s->last_due = c;
}

// --- connections -----------------------------------------------------------------------------

static void conn_close(struct server *s, struct conn *c)
{
    if (c->phase != PHASE_READING) {
        s->left++;
        s->left_at = now();
    }
    due_remove(s, c);
    close(c->fd);
    request_deinit(&c->request);
    free(c);
    s->open--;
}

static bool conn_watch(struct server *s, struct conn *c, uint32_t mask)
{
    struct epoll_event event = {.events = mask, .data.ptr = c};

    if (c->mask == mask)
        return true;
    c->mask = mask;
    return epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event) == 0;
}

static void small_reply(struct conn *c, const char *status, const char *json)
{
    int len = snprintf(c->small_data, SMALL_MAX,
                       "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       status, strlen(json), json);

    c->small = (struct reply){.first = {.data = c->small_data, .len = (size_t)len}};
    c->reply = &c->small;
}

static void choose_reply(struct server *s, struct conn *c)
{
    enum dialect dialect;
    enum mode mode;
    char json[SMALL_MAX / 2];

    if (request_route(&c->request, &dialect, &mode)) {
        s->requests++;
        c->reply = &s->replies.table[dialect][mode];
    } else if (request_is_get(&c->request, "/healthz")) {
        small_reply(c, "200 OK", "{\"status\":\"ok\"}");
    } else if (request_is_get(&c->request, "/stats")) {
        snprintf(json, sizeof(json),
                 "{\"requests\":%llu,\"open\":%llu,\"left\":%llu,\"left_at_ns\":%llu}",
                 (unsigned long long)s->requests, (unsigned long long)s->open,
                 (unsigned long long)s->left, (unsigned long long)s->left_at);
        small_reply(c, "200 OK", json);
    } else {
        small_reply(c, "404 Not Found", "{\"error\":{\"message\":\"no such route\"}}");
    }
    c->phase = PHASE_FIRST;
    c->offset = 0;
    c->repeat_left = c->reply->repeat;
}

enum sent { SENT_ALL, SENT_SOME, SENT_ERROR };

static enum sent send_text(struct conn *c, const struct text *text)
{
    while (c->offset < text->len) {
        ssize_t n = send(c->fd, text->data + c->offset, text->len - c->offset, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? SENT_SOME : SENT_ERROR;
        c->offset += (size_t)n;
    }
    c->offset = 0;
    return SENT_ALL;
}

// Which phase follows one that was sent whole.
static void next_phase(struct server *s, struct conn *c)
{
    if (c->phase == PHASE_BODY)
        c->repeat_left--;
    if (c->reply->hang)
        c->phase = PHASE_HANGING;
    else if (c->repeat_left)
        c->phase = PHASE_BODY;
    else
        c->phase = c->phase == PHASE_LAST || !c->reply->last.len ? PHASE_READING : PHASE_LAST;
    if (c->phase == PHASE_BODY && c->reply->paced)
        due_append(s, c, now() + s->delay);
}

// Sends until the reply ends, the socket is full or its next body is not due.  False: close.
static bool send_reply(struct server *s, struct conn *c)
{
    for (int turn = 0; c->phase != PHASE_READING && c->phase != PHASE_HANGING && !c->due; turn++) {
        const struct text *text = c->phase == PHASE_FIRST  ? &c->reply->first
                                  : c->phase == PHASE_BODY ? &c->reply->body
                                                           : &c->reply->last;
        enum sent sent = turn < TURN_MAX ? send_text(c, text) : SENT_SOME;

        if (sent == SENT_ERROR)
            return false;
        if (sent == SENT_SOME)
            return conn_watch(s, c, EPOLLOUT | EPOLLRDHUP);
        next_phase(s, c);
    }
    if (c->phase == PHASE_READING)
        return conn_watch(s, c, EPOLLIN);
    return conn_watch(s, c, EPOLLRDHUP);
}

// Answers every complete request in the buffer.  False: close.
static bool serve(struct server *s, struct conn *c, size_t added)
{
    for (;;) {
        enum request_result result = request_feed(&c->request, added);

        added = 0;
        if (result == REQUEST_BAD)
            return false;
        if (result == REQUEST_MORE)
            return true;
        if (result == REQUEST_CONTINUE) {
            if (send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) != 25)
                return false;
            continue;
        }
        choose_reply(s, c);
        if (!send_reply(s, c))
            return false;
        if (c->phase != PHASE_READING)
            return true;
        if (c->request.close)
            return false;
        request_next(&c->request);
    }
}

static bool on_readable(struct server *s, struct conn *c)
{
    size_t room;
    char *to = request_room(&c->request, &room);
    ssize_t n = to ? recv(c->fd, to, room, 0) : 0;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    return n > 0 && serve(s, c, (size_t)n);
}

// Goes on with a reply that had to wait, then with the requests behind it.
static bool on_writable(struct server *s, struct conn *c)
{
    if (!send_reply(s, c))
        return false;
    if (c->phase != PHASE_READING)
        return true;
    if (c->request.close)
        return false;
    request_next(&c->request);
    return serve(s, c, 0);
}

static void on_event(struct server *s, struct conn *c, uint32_t events)
{
    bool good = true;

    if (events & (EPOLLERR | EPOLLHUP) || (events & EPOLLRDHUP && c->phase != PHASE_READING))
        good = false;
    else if (events & EPOLLOUT)
        good = on_writable(s, c);
    else if (events & EPOLLIN)
        good = on_readable(s, c);
    if (!good)
        conn_close(s, c);
}

static void accept_all(struct server *s)
{
    int one = 1;
    int fd;

    while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof(*c));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

        if (!c) {
            close(fd);
            continue;
        }
        c->fd = fd;
        c->mask = EPOLLIN;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        s->open++;
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            conn_close(s, c);
    }
}

// Sends what is due; returns the milliseconds until the next is, or -1.
static int run_due(struct server *s)
{
    uint64_t time = s->first_due ? now() : 0;

    while (s->first_due && s->first_due->due <= time) {
        struct conn *c = s->first_due;

        due_remove(s, c);
        if (!on_writable(s, c))
            conn_close(s, c);
    }
    if (!s->first_due)
        return -1;
    return (int)((s->first_due->due - time + 999999) / 1000000);
}

static int run(struct server *s)
{
    struct epoll_event events[EVENTS_MAX];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &event) < 0) {
        perror("epoll");
        return 1;
    }
    for (;;) {
        int n = epoll_wait(s->epoll, events, EVENTS_MAX, run_due(s));

        if (n < 0 && errno != EINTR) {
            perror("epoll_wait");
            return 1;
        }
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_event(s, events[i].data.ptr, events[i].events);
            else
                accept_all(s);
        }
    }
}

// --- start -----------------------------------------------------------------------------------

// Listens on the loopback; `*port` 0 takes a free one and tells it.
static int listen_on(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)*port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static bool parse_options(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        double value;

        if (i + 1 >= argc)
            return false;
        value = atof(argv[i + 1]);
        if (value < 0)
            return false;
        if (strcmp(argv[i], "--port") == 0)
            o->port = (int)value;
        else if (strcmp(argv[i], "--processes") == 0)
            o->processes = (int)value;
        else if (strcmp(argv[i], "--events") == 0)
            o->reply.events = (size_t)value;
        else if (strcmp(argv[i], "--paced-events") == 0)
            o->reply.paced_events = (size_t)value;
        else if (strcmp(argv[i], "--delay-ms") == 0)
            o->delay_ms = value;
        else if (strcmp(argv[i], "--endless-mb") == 0)
            o->reply.endless_bytes = (size_t)(value * 1048576);
        else
            return false;
    }
    return o->processes >= 1 && o->processes <= PROCESSES_MAX && o->port <= 65535 &&
           o->reply.events <= 100000 && o->reply.paced_events <= 1000000;
}

// Forks the other processes; each dies with the first and has a listener of its own.
static bool start_others(struct server *s, int count, int port)
{
    for (int i = 1; i < count; i++) {
        pid_t pid = fork();

        if (pid < 0)
            return false;
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            close(s->listener);
            s->listener = listen_on(&port);
            return s->listener >= 0;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {
        .processes = 1,
        .delay_ms = 5,
        .reply = {.events = 16, .paced_events = 400, .endless_bytes = (size_t)50 << 20}};
    struct server server = {0};
    struct rlimit files;
    int code;

    if (!parse_options(&options, argc, argv)) {
        fprintf(stderr, "usage: bench_upstream [--port N] [--processes N] [--events N]\n"
                        "       [--paced-events N] [--delay-ms N] [--endless-mb N]\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    server.delay = (uint64_t)(options.delay_ms * 1e6);
    server.listener = listen_on(&options.port);
    if (server.listener < 0) {
        perror("listen");
        return 1;
    }
    if (!replies_init(&server.replies, &options.reply)) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    printf("listening %d\n", options.port);
    fflush(stdout);
    code = start_others(&server, options.processes, options.port) ? run(&server) : 1;
    replies_deinit(&server.replies);
    return code;
}
