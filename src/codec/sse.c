#include "codec/sse.h"

#include <string.h>

void sse_init(struct sse *s, size_t event_max)
{
    *s = (struct sse){0};
    buf_init(&s->in, event_max ? event_max : SSE_EVENT_MAX);
}

void sse_deinit(struct sse *s)
{
    buf_deinit(&s->in);
}

// Drops the bytes of the event that was handed out last.
static void drop_taken(struct sse *s)
{
    if (s->taken == 0)
        return;
    buf_consume(&s->in, s->taken);
    s->scanned = s->scanned > s->taken ? s->scanned - s->taken : 0;
    s->taken = 0;
}

bool sse_feed(struct sse *s, const char *bytes, size_t n)
{
    drop_taken(s);
    if (!buf_append(&s->in, bytes, n))
        s->too_large = true;
    return !s->too_large;
}

void sse_end(struct sse *s)
{
    drop_taken(s);
    s->ended = true;
    s->scanned = 0; // a last line may end without a line break now
}

// The end of the line at `at`: the first byte of its line break, and behind it.  False when the
// line is not complete.  A CR at the very end may be half of a CRLF.
static bool find_line(const struct sse *s, const char *at, const char *end, const char **stop,
                      const char **next)
{
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    const char *cr = memchr(at, '\r', (size_t)((lf ? lf : end) - at));

    if (cr && cr + 1 < end) {
        *stop = cr;
        *next = cr + 1 + (cr[1] == '\n');
        return true;
    }
    if (cr && s->ended) {
        *stop = cr;
        *next = end;
        return true;
    }
    if (cr || !lf) {
        *stop = *next = end;
        return !cr && s->ended && at < end;
    }
    *stop = lf;
    *next = lf + 1;
    return true;
}

// The value of a field: what follows the colon, without one leading space.
static bool field_value(const char *line, const char *stop, const char *name, size_t name_len,
                        const char **value)
{
    if ((size_t)(stop - line) < name_len || memcmp(line, name, name_len) != 0)
        return false;
    if (line + name_len == stop) {
        *value = stop;
        return true;
    }
    if (line[name_len] != ':')
        return false;
    *value = line + name_len + 1;
    if (*value < stop && **value == ' ')
        (*value)++;
    return true;
}

// Takes one line into the event under way.  Several data lines are joined in place: the joined text
// never outgrows the lines it came from.
static void take_line(struct sse *s, struct sse_event *event, const char *line, const char *stop)
{
    const char *value;
    char *to;

    if (*line == ':') {
        s->comments++;
    } else if (field_value(line, stop, "data", 4, &value)) {
        if (!event->data) {
            event->data = value;
            event->data_len = (size_t)(stop - value);
            return;
        }
        to = (char *)event->data + event->data_len;
        *to++ = '\n';
        memmove(to, value, (size_t)(stop - value));
        event->data_len += 1 + (size_t)(stop - value);
    } else if (field_value(line, stop, "event", 5, &value)) {
        event->name = value;
        event->name_len = (size_t)(stop - value);
    }
}

// Finds the blank line that ends the event at the start of the input.  `*length` gets the bytes of
// the event with it.
static bool find_event(struct sse *s, size_t *length)
{
    const char *data = s->in.data, *end = data + s->in.len;
    const char *at = data + s->scanned, *stop, *next;

    while (at < end && find_line(s, at, end, &stop, &next)) {
        if (stop == at) {
            *length = (size_t)(next - data);
            return true;
        }
        at = next;
        s->scanned = (size_t)(at - data);
    }
    if (s->ended && s->in.len > 0) {
        *length = s->in.len;
        return true;
    }
    return false;
}

bool sse_next(struct sse *s, struct sse_event *event)
{
    static const char bom[] = "\xef\xbb\xbf";
    size_t length;

    drop_taken(s);
    if (!s->started && s->in.len > 0) {
        if (s->in.len < 3 && !s->ended && memcmp(s->in.data, bom, s->in.len) == 0)
            return false;
        if (s->in.len >= 3 && memcmp(s->in.data, bom, 3) == 0)
            buf_consume(&s->in, 3);
        s->started = true;
    }
    while (s->in.len > 0 && find_event(s, &length)) {
        const char *at = s->in.data, *end = at + length, *stop, *next;

        *event = (struct sse_event){.name = ""};
        while (at < end && find_line(s, at, end, &stop, &next)) {
            if (stop > at)
                take_line(s, event, at, stop);
            at = next;
        }
        s->scanned = length;
        s->taken = length;
        if (event->data || event->name_len > 0) {
            if (!event->data)
                event->data = "";
            return true;
        }
        drop_taken(s);
    }
    return false;
}

static bool write_line(struct buf *out, const char *field, const char *text, size_t len)
{
    return buf_puts(out, field) && buf_append(out, text, len) && buf_putc(out, '\n');
}

bool sse_write(struct buf *out, const char *name, size_t name_len, const char *data,
               size_t data_len)
{
    const char *end = data + data_len;
    bool ok = name_len == 0 || write_line(out, "event: ", name, name_len);

    while (ok) {
        const char *lf = memchr(data, '\n', (size_t)(end - data));

        ok = write_line(out, "data: ", data, (size_t)((lf ? lf : end) - data));
        if (!lf)
            break;
        data = lf + 1;
    }
    return ok && buf_putc(out, '\n');
}
