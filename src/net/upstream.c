// Curl tells which sockets it wants watched and when it wants to be called; libuv watches.
//
// uv_poll_start() costs two system calls whenever it is used, so a poll stays armed for reading
// while a connection waits in curl's cache and is only disarmed when an event comes that nobody
// wants.  It goes away when curl closes the socket.

#include "net/upstream_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define LIMIT_CHECK_MS 250
#define CACHED_CONNECTIONS 1024L
#define BUFFER_BYTES (16 * 1024L)

struct socket_watch {
    uv_poll_t poll;
    struct upstream *up;
    curl_socket_t fd;
    int wanted;   // UV_READABLE and UV_WRITABLE, as curl wants
    int armed;    // as libuv watches
    bool ours;    // made by open_socket()
    bool connected;
    bool polling; // `poll` is initialised
};

bool upstream_global_init(void)
{
    // OpenSSL writes to sockets without MSG_NOSIGNAL.
    signal(SIGPIPE, SIG_IGN);
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

void upstream_global_cleanup(void)
{
    curl_global_cleanup();
}

// --- sockets ---

static void on_handle_closed(uv_handle_t *handle)
{
    struct upstream *u = handle->data;

    u->handles--;
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct socket_watch *w = handle->data;

    w->up->handles--;
    free(w);
}

static struct socket_watch *watch_find(struct upstream *u, curl_socket_t fd)
{
    return fd >= 0 && (size_t)fd < u->socket_cap ? u->sockets[fd] : NULL;
}

static struct socket_watch *watch_new(struct upstream *u, curl_socket_t fd)
{
    struct socket_watch *w;

    if ((size_t)fd >= u->socket_cap) {
        size_t cap = u->socket_cap ? u->socket_cap : 64;
        struct socket_watch **fresh;

        while (cap <= (size_t)fd)
            cap *= 2;
        fresh = realloc(u->sockets, cap * sizeof(*fresh));
        if (!fresh)
            return NULL;
        memset(fresh + u->socket_cap, 0, (cap - u->socket_cap) * sizeof(*fresh));
        u->sockets = fresh;
        u->socket_cap = cap;
    }
    w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->up = u;
    w->fd = fd;
    u->sockets[fd] = w;
    return w;
}

static void watch_free(struct socket_watch *w)
{
    w->up->sockets[w->fd] = NULL;
    if (!w->polling) {
        free(w);
        return;
    }
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

static void on_socket_event(uv_poll_t *poll, int status, int events);

// Brings libuv in line with what curl wants.  Reading that is no longer wanted stays armed.
static int watch_arm(struct socket_watch *w)
{
    bool stale_write = w->armed & ~w->wanted & UV_WRITABLE;
    int rc;

    if (!(w->wanted & ~w->armed) && !stale_write)
        return 0;
    if (!w->polling) {
        rc = uv_poll_init(w->up->loop, &w->poll, w->fd);
        if (rc < 0)
            return rc;
        w->poll.data = w;
        w->polling = true;
        w->up->handles++;
    }
    rc = w->wanted ? uv_poll_start(&w->poll, w->wanted, on_socket_event) : uv_poll_stop(&w->poll);
    w->armed = rc < 0 ? 0 : w->wanted;
    return rc;
}

static void on_socket_event(uv_poll_t *poll, int status, int events)
{
    struct socket_watch *w = poll->data;
    struct upstream *u = w->up;
    curl_socket_t fd = w->fd;
    int flags = 0, running;

    if (status < 0) { // libuv has stopped the poll
        w->armed = 0;
        flags = CURL_CSELECT_ERR;
        events = w->wanted;
    } else if (!(events & w->wanted)) {
        uv_poll_stop(poll);
        w->armed = 0;
        watch_arm(w);
        return;
    }
    if (!w->wanted)
        return;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(u->multi, fd, flags, &running);
    if (status < 0) { // the watch may be gone, or another one
        w = watch_find(u, fd);
        if (w)
            watch_arm(w);
    }
    upstream_acted(u);
}

// Whether close_socket() will tell the end of the socket.  It does not when curl closes one of the
// resolver's, or one whose connection was not made in time or not wanted any more.
static bool watch_will_be_closed(struct socket_watch *w)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);

    if (w->ours && !w->connected)
        w->connected = getpeername(w->fd, (struct sockaddr *)&peer, &size) == 0;
    return w->connected;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *unused)
{
    struct upstream *u = ctx;
    struct socket_watch *w = watch_find(u, fd);

    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (!w)
            return 0;
        w->wanted = 0;
        if (watch_will_be_closed(w))
            watch_arm(w);
        else
            watch_free(w);
        return 0;
    }
    if (!w)
        w = watch_new(u, fd);
    if (!w)
        return -1;
    w->wanted = 0;
    if (what & CURL_POLL_IN)
        w->wanted |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        w->wanted |= UV_WRITABLE;
    return watch_arm(w) < 0 ? -1 : 0;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct upstream *u = ctx;
    struct socket_watch *w;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    w = watch_find(u, fd);
    if (w) // closed behind our back, and the number used again
        watch_free(w);
    w = watch_new(u, fd);
    if (!w) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    w->ours = true;
    return fd;
}

static int close_socket(void *ctx, curl_socket_t fd)
{
    struct upstream *u = ctx;
    struct socket_watch *w = watch_find(u, fd);

    if (w)
        watch_free(w);
    return close(fd);
}

// --- time ---

static void on_curl_timer(uv_timer_t *timer)
{
    struct upstream *u = timer->data;
    int running;

    curl_multi_socket_action(u->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    upstream_acted(u);
}

static int on_curl_timeout(CURLM *multi, long ms, void *ctx)
{
    struct upstream *u = ctx;

    (void)multi;
    if (uv_is_closing((uv_handle_t *)&u->curl_timer))
        return 0;
    if (ms < 0)
        uv_timer_stop(&u->curl_timer);
    else
        uv_timer_start(&u->curl_timer, on_curl_timer, (uint64_t)ms, 0);
    return 0;
}

static void on_limit_timer(uv_timer_t *timer)
{
    struct upstream *u = timer->data;
    double now = clock_mono();

    if (list_empty(&u->active)) {
        uv_timer_stop(timer);
        u->limit_running = false;
        return;
    }
    list_each(it, following, &u->active)
        call_check_limits(list_entry(it, struct call, link), now);
    upstream_acted(u);
}

void upstream_watch_limits(struct upstream *u)
{
    if (u->limit_running)
        return;
    u->limit_running = true;
    uv_timer_start(&u->limit_timer, on_limit_timer, LIMIT_CHECK_MS, LIMIT_CHECK_MS);
}

// --- telling the user ---

static void upstream_dispatch(uv_idle_t *idle)
{
    struct upstream *u = idle->data;
    struct list *node;

    u->dispatching = true;
    while ((node = list_shift(&u->changed))) {
        struct call *c = list_entry(node, struct call, change);

        if (c->public.on_change)
            c->public.on_change(&c->public);
    }
    u->dispatching = false;
    uv_idle_stop(idle);
}

void upstream_changed(struct call *c)
{
    struct upstream *u = c->up;

    if (list_empty(&c->change))
        list_append(&u->changed, &c->change);
    if (!u->dispatching && !uv_is_active((uv_handle_t *)&u->later) &&
        !uv_is_closing((uv_handle_t *)&u->later))
        uv_idle_start(&u->later, upstream_dispatch);
}

void upstream_collect(struct upstream *u)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(u->multi, &left))) {
        CURLcode result = message->data.result;
        char *owner = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
        call_ended((struct call *)(void *)owner, result);
    }
}

void upstream_acted(struct upstream *u)
{
    upstream_collect(u);
    if (!u->dispatching && !list_empty(&u->changed))
        upstream_dispatch(&u->later);
}

// --- life ---

static CURLM *make_multi(struct upstream *u)
{
    CURLM *multi = curl_multi_init();

    if (!multi)
        return NULL;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, u);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timeout);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, u);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, CACHED_CONNECTIONS);
    return multi;
}

bool upstream_prepare_easy(struct upstream *u, CURL *easy)
{
    const char *ca = u->env.ca_file;
    bool good = true;

#define SET(option, value) good = good && curl_easy_setopt(easy, option, value) == CURLE_OK
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, 60L);
    SET(CURLOPT_TCP_KEEPINTVL, 30L);
    SET(CURLOPT_ACCEPT_ENCODING, "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, u);
    SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, u);
    // A cancelled call must not wait for the resolver's thread.
    SET(CURLOPT_QUICK_EXIT, 1L);
    if (ca)
        SET(CURLOPT_CAINFO, ca);
    if (ca)
        SET(CURLOPT_PROXY_CAINFO, ca);
#undef SET
    return good;
}

struct upstream *upstream_new(uv_loop_t *loop, struct log *log)
{
    struct upstream *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->loop = loop;
    u->log = log;
    list_init(&u->active);
    list_init(&u->changed);
    list_init(&u->idle);
    if (!upstream_environment_init(&u->env) || !(u->multi = make_multi(u))) {
        upstream_environment_deinit(&u->env);
        free(u);
        return NULL;
    }
    // These do not fail.
    uv_timer_init(loop, &u->curl_timer);
    uv_timer_init(loop, &u->limit_timer);
    uv_idle_init(loop, &u->later);
    u->curl_timer.data = u->limit_timer.data = u->later.data = u;
    u->handles = 3;
    return u;
}

static void free_idle(struct upstream *u)
{
    struct list *node;

    while ((node = list_shift(&u->idle)))
        call_destroy(list_entry(node, struct call, link));
    u->idle_count = 0;
}

void upstream_trim(struct upstream *u)
{
    CURLM *fresh;

    if (!u->multi)
        return;
    free_idle(u);
    // Curl has no call that closes the connections it keeps, so they go with their multi handle
    // (and so do its caches of names and certificates).
    if (!list_empty(&u->active) || !(fresh = make_multi(u)))
        return;
    curl_multi_cleanup(u->multi);
    u->multi = fresh;
    uv_timer_stop(&u->curl_timer);
}

void upstream_stop(struct upstream *u)
{
    if (!u->multi)
        return;
    list_each(it, following, &u->active)
        call_fail(list_entry(it, struct call, link), TRANSFER_BROKEN, "shut down");
    free_idle(u);
    curl_multi_cleanup(u->multi);
    u->multi = NULL;
    uv_close((uv_handle_t *)&u->curl_timer, on_handle_closed);
    uv_close((uv_handle_t *)&u->limit_timer, on_handle_closed);
    uv_close((uv_handle_t *)&u->later, on_handle_closed);
}

bool upstream_closed(const struct upstream *u)
{
    return u->handles == 0;
}

void upstream_free(struct upstream *u)
{
    if (!u)
        return;
    upstream_environment_deinit(&u->env);
    free(u->sockets);
    free(u);
}
