// load.c - closed-loop load generator for one target on the loopback.
//
// Each connection sends a request, reads the whole answer, checks it and sends the next.  It stops
// after a number of requests or seconds and prints one JSON object.  With --rate it is a slow
// reader; with --hold it opens streams, says "ready" when each has had its first byte of body, and
// keeps them open.

#include "histogram.h"
#include "response.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define READ_MAX 65536
#define REQUEST_MAX ((size_t)64 << 20)
#define HEADERS_MAX 4096
#define CONNECTIONS_MAX 100000
#define TICK_MS 100
#define HOLD_OPENING_MAX 64
// How long answers under way may take once nothing new is sent.
#define GRACE_NS 5000000000u

struct options {
    int port;
    int connections;
    uint64_t requests; // 0: until the time is over
    double seconds;
    const char *target;
    const char *body_file;
    const char *expect; // must be in the end of every body
    char headers[HEADERS_MAX];
    size_t rate; // bytes a second each connection reads; 0: all it can
    bool hold;
};

struct conn {
    int fd; // -1: not open
    uint32_t mask;
    bool fresh; // nothing was answered on this connection yet
    size_t sent;
    size_t budget; // bytes it may read until the next tick
    uint64_t started;
    uint64_t last_read; // 0: no body yet
    struct response response;
};

struct load {
    const struct options *options;
    int epoll;
    char *request;
    size_t request_len;
    struct conn *conns;
    int started_conns;
    int active; // requests under way
    bool stopping;
    uint64_t time; // of this turn of the loop
    uint64_t begin;
    uint64_t end; // when the last answer was complete
    uint64_t issued;
    uint64_t completed;
    uint64_t errors;
    uint64_t connects;
    uint64_t held;
    uint64_t bytes;
    int bad_status;
    const char *first_error;
    struct histogram latency;
    struct histogram first_byte;
    struct histogram gap;
    char buffer[READ_MAX];
};

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// --- one connection --------------------------------------------------------------------------

static void conn_close(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static bool conn_watch(struct load *l, struct conn *c, uint32_t mask)
{
    struct epoll_event event = {.events = mask, .data.ptr = c};

    if (c->mask == mask)
        return true;
    c->mask = mask;
    return epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &event) == 0;
}

static bool conn_open(struct load *l, struct conn *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)l->options->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    int one = 1;
    int small = 4096;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (l->options->rate)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    l->connects++;
    c->fresh = true;
    c->mask = event.events;
    if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
        return false;
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0;
}

static bool send_request(struct load *l, struct conn *c)
{
    while (c->sent < l->request_len) {
        ssize_t n = send(c->fd, l->request + c->sent, l->request_len - c->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN && conn_watch(l, c, EPOLLIN | EPOLLOUT);
        c->sent += (size_t)n;
    }
    return conn_watch(l, c, EPOLLIN);
}

static bool may_start(const struct load *l)
{
    return !l->stopping && (!l->options->requests || l->issued < l->options->requests);
}

// Counts an error.  The connection starts again on a later turn, see restart_failed().
static void fail(struct load *l, struct conn *c, const char *why)
{
    l->errors++;
    l->active--;
    if (!l->first_error)
        l->first_error = why;
    conn_close(c);
}

static void start_request(struct load *l, struct conn *c)
{
    if (!may_start(l)) {
        conn_close(c);
        return;
    }
    l->issued++;
    l->active++;
    c->sent = 0;
    c->last_read = 0;
    c->started = now();
    response_init(&c->response);
    if (c->fd < 0) {
        if (!conn_open(l, c)) // sends when the connection is there
            fail(l, c, "cannot connect");
    } else if (!send_request(l, c)) {
        fail(l, c, "cannot send");
    }
}

static void finish(struct load *l, struct conn *c)
{
    const char *expect = l->options->expect;

    if (c->response.status != 200 && !l->bad_status)
        l->bad_status = c->response.status;
    if (c->response.status != 200) {
        fail(l, c, "status is not 200");
        return;
    }
    if (expect && !response_tail_has(&c->response, expect)) {
        fail(l, c, "the expected end is missing");
        return;
    }
    l->completed++;
    l->active--;
    l->end = now();
    histogram_add(&l->latency, l->end - c->started);
    c->fresh = false;
    if (c->response.close)
        conn_close(c);
    start_request(l, c);
}

// Opening thousands at once would measure listen queues: the next starts when one stands.
static void start_next_held(struct load *l)
{
    if (l->started_conns < l->options->connections)
        start_request(l, &l->conns[l->started_conns++]);
    if (l->held == (uint64_t)l->options->connections) {
        printf("ready\n");
        fflush(stdout);
    }
}

static void note_body(struct load *l, struct conn *c)
{
    if (c->last_read) {
        histogram_add(&l->gap, l->time - c->last_read);
    } else {
        histogram_add(&l->first_byte, l->time - c->started);
        if (l->options->hold) {
            l->held++;
            start_next_held(l);
        }
    }
    c->last_read = l->time;
}

static void on_readable(struct load *l, struct conn *c)
{
    size_t room = READ_MAX;
    ssize_t n;
    ptrdiff_t used;

    if (l->options->rate && c->budget < room)
        room = c->budget;
    if (!room) { // wait for the next tick
        if (!conn_watch(l, c, 0))
            fail(l, c, "epoll");
        return;
    }
    n = recv(c->fd, l->buffer, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        if (n == 0 && response_end(&c->response))
            finish(l, c);
        else
            fail(l, c, n == 0 ? "closed before the end of the answer" : "cannot read");
        return;
    }
    c->budget -= l->options->rate ? (size_t)n : 0;
    l->bytes += (uint64_t)n;
    used = response_feed(&c->response, l->buffer, (size_t)n);
    if (used < 0 || used < n) {
        fail(l, c, used < 0 ? "malformed answer" : "bytes behind the answer");
        return;
    }
    if (c->response.body_bytes)
        note_body(l, c);
    if (c->response.state == RESPONSE_DONE)
        finish(l, c);
}

static void on_event(struct load *l, struct conn *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (events & EPOLLOUT && c->sent < l->request_len) {
        if (!send_request(l, c))
            fail(l, c, c->fresh ? "cannot connect" : "cannot send");
    } else if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        on_readable(l, c);
    }
}

// --- the run ---------------------------------------------------------------------------------

static void restart_failed(struct load *l)
{
    if (l->options->hold) // a stream that ended early stays an error
        return;
    for (int i = 0; i < l->started_conns && may_start(l); i++) {
        if (l->conns[i].fd < 0)
            start_request(l, &l->conns[i]);
    }
}

static void on_tick(struct load *l)
{
    restart_failed(l);
    if (!l->options->rate)
        return;
    for (int i = 0; i < l->started_conns; i++) {
        struct conn *c = &l->conns[i];

        c->budget = l->options->rate * TICK_MS / 1000;
        if (c->fd >= 0 && !c->mask && !conn_watch(l, c, EPOLLIN))
            fail(l, c, "epoll");
    }
}

static bool watch_signals(struct load *l)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return false;
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd >= 0 && epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool over(struct load *l)
{
    uint64_t stop = l->begin + (uint64_t)(l->options->seconds * 1e9);

    if (l->time >= stop)
        l->stopping = true;
    if (!l->active && !may_start(l))
        return true;
    if (!l->stopping)
        return false;
    return l->options->hold || l->options->rate || l->time >= stop + GRACE_NS;
}

static void run(struct load *l)
{
    int first = l->options->connections;
    uint64_t tick;

    if (l->options->hold && first > HOLD_OPENING_MAX)
        first = HOLD_OPENING_MAX;
    l->begin = l->end = l->time = tick = now();
    l->started_conns = first;
    for (int i = 0; i < first; i++) {
        l->conns[i].budget = l->options->rate * TICK_MS / 1000;
        start_request(l, &l->conns[i]);
    }
    while (!over(l)) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(l->epoll, events, EVENTS_MAX, TICK_MS / 2);

        l->time = now();
        for (int i = 0; i < n; i++) {
            if (!events[i].data.ptr)
                return; // a signal
            on_event(l, events[i].data.ptr, events[i].events);
        }
        if (l->time - tick >= (uint64_t)TICK_MS * 1000000) {
            tick = l->time;
            on_tick(l);
        }
    }
}

static void print_histogram(const char *name, const struct histogram *h)
{
    printf("\"%s_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f},", name,
           (double)histogram_quantile(h, 0.5) / 1e3, (double)histogram_quantile(h, 0.9) / 1e3,
           (double)histogram_quantile(h, 0.99) / 1e3, (double)h->max / 1e3);
}

static void print_results(const struct load *l)
{
    double seconds = (double)((l->completed ? l->end : l->time) - l->begin) / 1e9;
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    printf("{\"seconds\":%.4f,\"completed\":%llu,\"errors\":%llu,\"unfinished\":%d,", seconds,
           (unsigned long long)l->completed, (unsigned long long)l->errors, l->active);
    printf("\"requests_per_second\":%.1f,\"bytes\":%llu,\"connects\":%llu,\"held\":%llu,",
           seconds > 0 ? (double)l->completed / seconds : 0, (unsigned long long)l->bytes,
           (unsigned long long)l->connects, (unsigned long long)l->held);
    print_histogram("latency", &l->latency);
    print_histogram("first_byte", &l->first_byte);
    print_histogram("gap", &l->gap);
    printf("\"cpu_seconds\":%.3f,\"bad_status\":%d,\"first_error\":\"%s\"}\n",
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           l->bad_status, l->first_error ? l->first_error : "");
}

// --- start -----------------------------------------------------------------------------------

static char *read_file(const char *path, size_t *len)
{
    FILE *in = fopen(path, "rb");
    char *data = NULL;
    long size;

    if (!in)
        return NULL;
    if (fseek(in, 0, SEEK_END) < 0 || (size = ftell(in)) < 0 || (size_t)size > REQUEST_MAX)
        goto done;
    rewind(in);
    data = malloc((size_t)size + 1);
    if (data && fread(data, 1, (size_t)size, in) != (size_t)size) {
        free(data);
        data = NULL;
    }
    *len = (size_t)size;
done:
    fclose(in);
    return data;
}

static bool build_request(struct load *l)
{
    const struct options *o = l->options;
    size_t body_len = 0;
    char *body = o->body_file ? read_file(o->body_file, &body_len) : NULL;
    FILE *out;

    if (o->body_file && !body)
        return false;
    out = open_memstream(&l->request, &l->request_len);
    if (out) {
        fprintf(out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s", body ? "POST" : "GET", o->target,
                o->port, o->headers);
        if (body)
            fprintf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body_len);
        fputs("\r\n", out);
        if (body)
            fwrite(body, 1, body_len, out);
        if (fclose(out) != 0)
            l->request_len = 0;
    }
    free(body);
    return l->request_len > 0;
}

static bool add_header(struct options *o, const char *header)
{
    size_t used = strlen(o->headers);

    if (strlen(header) + used + 3 > sizeof(o->headers))
        return false;
    snprintf(o->headers + used, sizeof(o->headers) - used, "%s\r\n", header);
    return true;
}

static bool parse_options(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--hold") == 0) {
            o->hold = true;
            continue;
        }
        if (!value)
            return false;
        if (strcmp(argv[i], "--port") == 0)
            o->port = atoi(value);
        else if (strcmp(argv[i], "--connections") == 0)
            o->connections = atoi(value);
        else if (strcmp(argv[i], "--requests") == 0)
            o->requests = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            o->seconds = atof(value);
        else if (strcmp(argv[i], "--target") == 0)
            o->target = value;
        else if (strcmp(argv[i], "--body") == 0)
            o->body_file = value;
        else if (strcmp(argv[i], "--expect") == 0)
            o->expect = value;
        else if (strcmp(argv[i], "--rate") == 0)
            o->rate = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--header") != 0 || !add_header(o, value))
            return false;
        i++;
    }
    return o->port > 0 && o->port <= 65535 && o->connections > 0 &&
           o->connections <= CONNECTIONS_MAX && o->seconds > 0 && o->seconds <= 86400 &&
           (!o->rate || o->rate >= 1000 / TICK_MS) && strlen(o->target) < HEADERS_MAX;
}

int main(int argc, char **argv)
{
    struct options options = {.connections = 32, .seconds = 600, .target = "/"};
    struct load *l = calloc(1, sizeof(*l));
    struct rlimit files;
    int code = 1;

    if (!l || !parse_options(&options, argc, argv)) {
        fprintf(stderr,
                "usage: bench_load --port N [--connections N] [--requests N] [--seconds N]\n"
                "       [--target PATH] [--body FILE] [--header LINE]... [--expect TEXT]\n"
                "       [--rate BYTES] [--hold]\n");
        free(l);
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    l->options = &options;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->conns = calloc((size_t)options.connections, sizeof(*l->conns));
    if (l->epoll < 0 || !l->conns || !watch_signals(l) || !build_request(l)) {
        fprintf(stderr, "cannot start (is the body file readable?)\n");
        goto done;
    }
    for (int i = 0; i < options.connections; i++)
        l->conns[i].fd = -1;
    run(l);
    print_results(l);
    for (int i = 0; i < options.connections; i++)
        conn_close(&l->conns[i]);
    code = 0;
done:
    free(l->request);
    free(l->conns);
    free(l);
    return code;
}
