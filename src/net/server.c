// server.c - listeners, the set of connections, time limits.
//
// Listening sockets are polled and accepted from directly: so accepting can pause when file
// descriptors run out, and the peer's address comes without another system call.

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/server_internal.h"

#define BACKLOG 1024
#define ACCEPT_BATCH 64
#define ACCEPT_WARN_SECONDS 60.0

struct listener {
    uv_poll_t poll;
    struct server *server;
    int fd;
    bool paused;
    double paused_at;
    struct list link;
};

static void on_tick(uv_timer_t *timer);

static void start_tick(struct server *s)
{
    if (!s->stopped && !uv_is_active((uv_handle_t *)&s->tick))
        uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
}

// --- accepting ---

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;

    close(l->fd);
    l->server->handles--;
    free(l);
}

static void close_listeners(struct server *s)
{
    struct list *node;

    while ((node = list_shift(&s->listeners))) {
        struct listener *l = list_entry(node, struct listener, link);

        uv_close((uv_handle_t *)&l->poll, on_listener_closed);
    }
}

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void pause_accepting(struct listener *l, int error)
{
    struct server *s = l->server;
    double now = clock_mono();

    uv_poll_stop(&l->poll);
    l->paused = true;
    l->paused_at = now;
    start_tick(s);
    if (s->accept_warned == 0 || now - s->accept_warned > ACCEPT_WARN_SECONDS) {
        s->accept_warned = now;
        log_warn(s->log, "cannot accept connections: %s", strerror(error));
    }
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            server_adopt(l->server, fd, (struct sockaddr *)&peer);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            pause_accepting(l, errno);
            return;
        }
    }
}

// False while a listener is still paused.
static bool resume_accepting(struct server *s, double now)
{
    bool all = true;

    list_each(it, next, &s->listeners) {
        struct listener *l = list_entry(it, struct listener, link);

        if (l->paused && now - l->paused_at >= 0.1) {
            l->paused = false;
            uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
        }
        all = all && !l->paused;
    }
    return all;
}

struct connection *server_adopt(struct server *s, int fd, const struct sockaddr *peer)
{
    start_tick(s);
    return connection_new(s, fd, peer);
}

static int open_socket(const struct sockaddr *address, int port, bool shared)
{
    struct sockaddr_storage copy = {0};
    bool v6 = address->sa_family == AF_INET6;
    socklen_t len = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int on = 1, error;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    memcpy(&copy, address, len);
    if (v6)
        ((struct sockaddr_in6 *)&copy)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)&copy)->sin_port = htons((uint16_t)port);
    // Accepted sockets inherit TCP_NODELAY.
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
        (!v6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
        bind(fd, (struct sockaddr *)&copy, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    error = -errno;
    close(fd);
    return error;
}

static int bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return -errno;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static int listen_on(struct server *s, const struct sockaddr *address, int *port, bool shared)
{
    struct listener *l;
    int result, fd;

    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return UV_EAFNOSUPPORT;
    fd = open_socket(address, *port, shared);
    if (fd < 0)
        return fd;
    l = calloc(1, sizeof(*l));
    result = l ? bound_port(fd) : UV_ENOMEM;
    if (result >= 0) {
        *port = result;
        result = uv_poll_init(s->loop, &l->poll, fd);
    }
    if (result < 0) {
        close(fd);
        free(l);
        return result;
    }
    l->server = s;
    l->fd = fd;
    l->poll.data = l;
    list_append(&s->listeners, &l->link);
    s->handles++;
    return uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
}

int server_listen(struct server *s, const struct sockaddr *address, int *port)
{
    return listen_on(s, address, port, true);
}

int server_listen_alone(struct server *s, const struct sockaddr *address, int *port)
{
    return listen_on(s, address, port, false);
}

// --- what goes on later ---

static void on_idle(uv_idle_t *idle)
{
    struct server *s = idle->data;
    struct list now;
    struct list *node;

    list_init(&now);
    list_splice(&now, &s->work);
    uv_idle_stop(&s->idle);
    while ((node = list_shift(&now)))
        connection_resume(list_entry(node, struct connection, work));
    server_flush(s);
}

void server_schedule(struct server *s, struct connection *c)
{
    if (s->stopped || c->phase == PHASE_CLOSED || !list_empty(&c->work))
        return;
    list_append(&s->work, &c->work);
    uv_idle_start(&s->idle, on_idle);
}

void server_forget(struct server *s, struct connection *c)
{
    (void)s;
    list_remove(&c->dirty);
    list_remove(&c->work);
}

static void on_tick(uv_timer_t *timer)
{
    struct server *s = timer->data;
    double now = clock_mono();

    list_each(it, next, &s->connections) {
        connection_tick(list_entry(it, struct connection, link), now);
    }
    if (resume_accepting(s, now) && list_empty(&s->connections))
        uv_timer_stop(timer);
}

const char *server_date(struct server *s)
{
    time_t now = time(NULL);
    struct tm tm;

    if (now != s->date_second && gmtime_r(&now, &tm)) {
        strftime(s->date, sizeof(s->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        s->date_second = now;
    }
    return s->date;
}

// --- the server ---

struct server *server_new(uv_loop_t *loop, struct log *log, const struct server_limits *limits,
                          const struct server_handler *handler)
{
    struct server *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->loop = loop;
    s->log = log;
    s->limits = *limits;
    s->handler = *handler;
    list_init(&s->listeners);
    list_init(&s->connections);
    list_init(&s->dirty);
    list_init(&s->work);
    head_settings(&s->parser_settings);
    // Neither can fail.
    uv_timer_init(loop, &s->tick);
    uv_idle_init(loop, &s->idle);
    s->tick.data = s->idle.data = s;
    s->handles = 2;
    return s;
}

void server_set_tls(struct server *s, SSL_CTX *tls)
{
    if (tls)
        SSL_CTX_up_ref(tls);
    SSL_CTX_free(s->tls);
    s->tls = tls;
}

void server_set_limits(struct server *s, const struct server_limits *limits)
{
    s->limits = *limits;
}

void server_drain(struct server *s)
{
    s->draining = true;
    close_listeners(s);
    list_each(it, next, &s->connections) {
        struct connection *c = list_entry(it, struct connection, link);

        if (connection_is_idle(c))
            connection_break(c);
        else if (c->phase == PHASE_UPGRADED)
            upgrade_drain(c);
    }
}

size_t server_busy(const struct server *s)
{
    size_t busy = s->open_requests;

    for (const struct list *it = s->connections.next; it != &s->connections; it = it->next) {
        const struct connection *c = list_entry(it, struct connection, link);

        if (!c->open && c->phase != PHASE_CLOSED &&
            (connection_pending(c) > 0 || (c->phase == PHASE_UPGRADED && upgrade_busy(c))))
            busy++;
    }
    return busy;
}

size_t server_connections(const struct server *s)
{
    return s->connection_count;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct server *s = handle->data;

    s->handles--;
}

void server_stop(struct server *s)
{
    if (s->stopped)
        return;
    s->draining = s->stopped = true;
    close_listeners(s);
    uv_close((uv_handle_t *)&s->tick, on_handle_closed);
    uv_close((uv_handle_t *)&s->idle, on_handle_closed);
    list_each(it, next, &s->connections) {
        struct connection *c = list_entry(it, struct connection, link);

        if (c->phase == PHASE_UPGRADED)
            upgrade_stop(c);
        connection_break(c);
    }
}

bool server_closed(const struct server *s)
{
    return s->stopped && s->handles == 0 && s->connection_count == 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    SSL_CTX_free(s->tls);
    free(s);
}
