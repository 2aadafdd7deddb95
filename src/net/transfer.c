// One upstream call from its start to its end, and its response as it is collected.

#include "net/upstream_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

#define HEAD_MAX (256 * 1024)
#define IDLE_CALLS 128
#define KEPT_BYTES (16 * 1024) // buffers above this are not kept with an idle call

// --- what curl gives us ---

static void take_status_line(struct call *c, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    int status = 0;

    for (size_t i = space ? (size_t)(space - line) + 1 : n; i < n && isdigit((unsigned char)line[i]);
         i++)
        if (status < 1000)
            status = status * 10 + (line[i] - '0');
    c->head_status = status;
    buf_clear(&c->fields);
}

static bool take_field(struct call *c, const char *line, size_t n)
{
    const char *colon;
    size_t name_len;
    bool folded = *line == ' ' || *line == '\t';

    if (folded && !c->fields.len)
        return true;
    if (folded) {
        c->fields.len--; // the NUL of the value that goes on
        colon = line;
    } else {
        colon = memchr(line, ':', n);
        if (!colon)
            return true;
    }
    name_len = (size_t)(colon - line);
    if (!folded && (!buf_append(&c->fields, line, name_len) || !buf_putc(&c->fields, '\0')))
        return false;
    colon++;
    n -= name_len + 1;
    while (n && (*colon == ' ' || *colon == '\t'))
        colon++, n--;
    while (n && (colon[n - 1] == ' ' || colon[n - 1] == '\t'))
        n--;
    if (folded && !buf_putc(&c->fields, ' '))
        return false;
    return buf_append(&c->fields, colon, n) && buf_putc(&c->fields, '\0');
}

// The request is about to be sent, on a new connection or one that was kept.
static int on_connected(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
    struct call *c = ctx;

    (void)ip;
    (void)local_ip;
    (void)port;
    c->local_port = local_port;
    return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct call *c = ctx;
    size_t total = size * count, n = total;

    if (c->public.head_done) // trailers
        return total;
    if (memchr(line, 0, total)) // would end a name or a value early
        return 0;
    while (n && (line[n - 1] == '\r' || line[n - 1] == '\n'))
        n--;
    if (n > 5 && memcmp(line, "HTTP/", 5) == 0) {
        take_status_line(c, line, n);
    } else if (n) {
        if (!take_field(c, line, n))
            return 0;
    } else if (c->head_status >= 200 || c->head_status == 101) {
        c->public.status = c->head_status;
        c->public.head_done = true;
        c->public.head_at = c->last = clock_mono();
        upstream_changed(c);
    }
    return total;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct call *c = ctx;
    size_t n = size * count;

    if (c->public.in.len >= TRANSFER_HIGH) {
        c->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!c->public.head_done || !buf_append(&c->public.in, bytes, n))
        return 0;
    c->last = clock_mono();
    upstream_changed(c);
    return n;
}

// --- the end ---

// Curl 7.88 to 8.14 queue the RST_STREAM of an HTTP/2 call that is given up, but send it with the
// next frame of that connection, which may never come.  Touching another call makes curl send.
// (One that waits for its client cannot be touched; it sends when it goes on.)
static void flush_shared(struct call *c)
{
    list_each(it, following, &c->up->active) {
        struct call *other = list_entry(it, struct call, link);

        if (other == c || other->paused || other->local_port != c->local_port)
            continue;
        // What goes wrong here is told by the next action of curl.
        curl_easy_pause(other->easy, CURLPAUSE_SEND);
        curl_easy_pause(other->easy, CURLPAUSE_CONT);
        return;
    }
}

static void take_from_curl(struct call *c, bool complete)
{
    // A call that is given up and has its connection for itself takes it along: the only sure way
    // to end it.
    if (!complete)
        curl_easy_setopt(c->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_multi_remove_handle(c->up->multi, c->easy);
    c->added = false;
    if (complete)
        return;
    curl_easy_setopt(c->easy, CURLOPT_FORBID_REUSE, 0L);
    if (c->local_port)
        flush_shared(c);
}

void call_finish(struct call *c, enum transfer_error error)
{
    struct transfer *t = &c->public;

    if (c->added)
        take_from_curl(c, error == TRANSFER_OK);
    list_remove(&c->link);
    c->paused = false;
    t->error = error;
    t->done = true;
    upstream_changed(c);
}

void call_fail(struct call *c, enum transfer_error error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->public.message, sizeof(c->public.message), format, args);
    va_end(args);
    call_finish(c, error);
}

void call_check_limits(struct call *c, double now)
{
    if (!c->public.head_done) {
        if (now - c->public.started > c->first_byte_seconds)
            call_fail(c, TRANSFER_TIMEOUT, "no answer within %g s", c->first_byte_seconds);
    } else if (!c->paused && now - c->last > c->idle_seconds) {
        call_fail(c, TRANSFER_TIMEOUT, "silent for %g s", c->idle_seconds);
    }
}

// --- life ---

void call_destroy(struct call *c)
{
    if (!c)
        return;
    if (c->easy)
        curl_easy_cleanup(c->easy);
    buf_deinit(&c->public.in);
    buf_deinit(&c->fields);
    free(c->block);
    free(c);
}

static struct call *call_new(struct upstream *u)
{
    struct call *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->up = u;
    list_init(&c->link);
    list_init(&c->change);
    buf_init(&c->public.in, TRANSFER_HIGH + CURL_MAX_WRITE_SIZE);
    buf_init(&c->fields, HEAD_MAX);
    c->easy = curl_easy_init();
    if (!c->easy || !upstream_prepare_easy(u, c->easy) ||
        curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c) ||
        curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error_text) ||
        curl_easy_setopt(c->easy, CURLOPT_PREREQFUNCTION, on_connected) ||
        curl_easy_setopt(c->easy, CURLOPT_PREREQDATA, c) ||
        curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header) ||
        curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c) ||
        curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body) ||
        curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c)) {
        call_destroy(c);
        return NULL;
    }
    return c;
}

static struct call *call_take(struct upstream *u)
{
    struct list *node = u->idle.prev; // the one used last

    if (node == &u->idle)
        return call_new(u);
    list_remove(node);
    u->idle_count--;
    return list_entry(node, struct call, link);
}

static double limit(double seconds, double otherwise)
{
    return seconds > 0 ? seconds : otherwise;
}

struct transfer *transfer_start(struct upstream *u, const struct transfer_request *request,
                                void (*on_change)(struct transfer *t), void *owner)
{
    struct call *c = call_take(u);
    struct transfer *t;
    const char *no_proxy;
    CURLcode rc;
    int running;

    if (!c)
        return NULL;
    t = &c->public;
    t->on_change = on_change;
    t->owner = owner;
    t->started = c->last = clock_mono();
    c->url = request->url;
    c->connect_seconds = limit(request->connect_seconds, 30);
    c->first_byte_seconds = limit(request->first_byte_seconds, 600);
    c->idle_seconds = limit(request->idle_seconds, 600);
    if (!u->multi) {
        call_fail(c, TRANSFER_UNREACHABLE, "shut down");
        return t;
    }
    if (!transfer_request_is_clean(request)) {
        call_fail(c, TRANSFER_UNREACHABLE, "the method or a request field is malformed");
        return t;
    }
    if (!upstream_environment_proxy(&u->env, request->url, request->proxy, &c->proxy, &no_proxy)) {
        call_fail(c, TRANSFER_BAD_PROXY,
                  "the proxy URL cannot be used (http, https, socks5 and socks5h can)");
        return t;
    }
    rc = call_set_request(c, request, no_proxy);
    if (rc != CURLE_OK || curl_multi_add_handle(u->multi, c->easy) != CURLM_OK) {
        call_ended(c, rc ? rc : CURLE_OUT_OF_MEMORY);
        return t;
    }
    c->added = true;
    list_append(&u->active, &c->link);
    upstream_watch_limits(u);
    // Sends now what would else be sent in the next turn of the loop.
    curl_multi_socket_action(u->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    upstream_collect(u);
    return t;
}

static void resume(struct call *c)
{
    CURLcode rc;

    c->paused = false;
    c->last = clock_mono();
    rc = curl_easy_pause(c->easy, CURLPAUSE_CONT); // may call on_body()
    if (rc != CURLE_OK)
        call_ended(c, rc);
}

void transfer_consume(struct transfer *t, size_t n)
{
    struct call *c = (struct call *)t;

    buf_consume(&t->in, n);
    if (c->paused && t->in.len <= TRANSFER_HIGH / 2)
        resume(c);
}

static void keep_small(struct buf *b)
{
    if (b->cap > KEPT_BYTES)
        buf_deinit(b);
    else
        buf_clear(b);
}

void transfer_free(struct transfer *t)
{
    struct call *c = (struct call *)t;
    struct upstream *u;

    if (!t)
        return;
    u = c->up;
    if (c->added)
        call_finish(c, TRANSFER_BROKEN);
    list_remove(&c->change);
    if (!u->multi || u->idle_count >= IDLE_CALLS) {
        call_destroy(c);
        return;
    }
    keep_small(&t->in);
    keep_small(&c->fields);
    if (c->block_cap > KEPT_BYTES) {
        free(c->block);
        c->block = NULL;
        c->block_cap = 0;
        curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, NULL);
    }
    call_set_upload(c, 0);
    t->status = 0;
    t->head_done = t->done = false;
    t->error = TRANSFER_OK;
    t->message[0] = '\0';
    t->head_at = 0;
    c->head_status = 0;
    c->local_port = 0;
    c->proxy = NULL;
    c->error_text[0] = '\0';
    list_append(&u->idle, &c->link);
    u->idle_count++;
}

// --- the response head ---

bool transfer_next_field(const struct transfer *t, size_t *pos, const char **name,
                         const char **value)
{
    const struct call *c = (const struct call *)t;

    if (!t->head_done || *pos >= c->fields.len)
        return false;
    *name = c->fields.data + *pos;
    *value = *name + strlen(*name) + 1;
    *pos += (size_t)(*value - *name) + strlen(*value) + 1;
    return true;
}

const char *transfer_field(const struct transfer *t, const char *name)
{
    const char *found, *value;
    size_t pos = 0;

    while (transfer_next_field(t, &pos, &found, &value))
        if (strcasecmp(found, name) == 0)
            return value;
    return NULL;
}
