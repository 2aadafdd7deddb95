#include "store/traces.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"

enum { TEXTS = 7, TEXT_MAX = 255 };

// The texts, in the order in which they lie behind the record, each with its NUL; then the steps.
static const char *const names[TEXTS] = {"id",    "method",   "path",      "dialect",
                                         "model", "provider", "credential"};

struct record {
    double time, seconds, first_byte;
    int status;
    size_t bytes; // of the whole allocation
    size_t steps_len;
    char text[];
};

struct traces {
    pthread_mutex_t lock;
    struct record *ring[TRACES_MAX];
    size_t first, count; // the oldest, and how many
    size_t bytes, max_bytes;
};

struct traces *traces_new(size_t max_bytes)
{
    struct traces *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    t->max_bytes = max_bytes;
    return t;
}

static void drop_oldest(struct traces *t)
{
    struct record *r = t->ring[t->first];

    t->first = (t->first + 1) % TRACES_MAX;
    t->count--;
    t->bytes -= r->bytes;
    free(r);
}

void traces_free(struct traces *t)
{
    if (!t)
        return;
    while (t->count > 0)
        drop_oldest(t);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct record *make_record(const struct trace *trace)
{
    const char *const texts[TEXTS] = {trace->id,        trace->method, trace->path,
                                      trace->dialect,   trace->model,  trace->provider,
                                      trace->credential};
    size_t steps_len = trace->steps_len <= TRACE_STEPS_MAX ? trace->steps_len : 0;
    size_t lengths[TEXTS], bytes = sizeof(struct record) + steps_len;
    struct record *r;
    char *at;

    for (size_t i = 0; i < TEXTS; i++) {
        lengths[i] = strnlen(texts[i], TEXT_MAX);
        bytes += lengths[i] + 1;
    }
    r = malloc(bytes);
    if (!r)
        return NULL;
    *r = (struct record){trace->time,   trace->seconds, trace->first_byte,
                         trace->status, bytes,          steps_len};
    at = r->text;
    for (size_t i = 0; i < TEXTS; i++) {
        memcpy(at, texts[i], lengths[i]);
        at += lengths[i];
        *at++ = '\0';
    }
    if (steps_len > 0)
        memcpy(at, trace->steps, steps_len);
    return r;
}

void traces_add(struct traces *t, const struct trace *trace)
{
    struct record *r = t ? make_record(trace) : NULL;

    if (!r)
        return;
    pthread_mutex_lock(&t->lock);
    while (t->count > 0 && (t->count == TRACES_MAX || t->bytes + r->bytes > t->max_bytes))
        drop_oldest(t);
    t->ring[(t->first + t->count++) % TRACES_MAX] = r;
    t->bytes += r->bytes;
    pthread_mutex_unlock(&t->lock);
}

static void write_record(const struct record *r, struct buf *out)
{
    const char *text = r->text;

    buf_putc(out, '{');
    for (size_t i = 0; i < TEXTS; i++) {
        if (*text) {
            buf_printf(out, "\"%s\":", names[i]);
            json_quote(out, text, strlen(text));
            buf_putc(out, ',');
        }
        text += strlen(text) + 1;
    }
    buf_printf(out, "\"time\":%.3f,\"seconds\":%.4f,", r->time, r->seconds);
    if (r->first_byte >= 0)
        buf_printf(out, "\"first_byte\":%.4f,", r->first_byte);
    buf_printf(out, "\"status\":%d,\"steps\":[", r->status);
    buf_append(out, text, r->steps_len);
    buf_puts(out, "]}");
}

bool traces_find(struct traces *t, const char *id, struct buf *out)
{
    const struct record *found = NULL;

    if (!t)
        return false;
    pthread_mutex_lock(&t->lock);
    for (size_t i = t->count; i > 0 && !found; i--) {
        const struct record *r = t->ring[(t->first + i - 1) % TRACES_MAX];

        if (strcmp(r->text, id) == 0)
            found = r;
    }
    if (found)
        write_record(found, out);
    pthread_mutex_unlock(&t->lock);
    return found && !out->overflow;
}
