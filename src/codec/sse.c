#include "codec/sse.h"

#include <stdint.h>
#include <string.h>

void sse_init(struct sse *s, size_t event_max)
{
    *s = (struct sse){.event_max = event_max ? event_max : SSE_EVENT_MAX};
    if (s->event_max > SIZE_MAX / 2)
        s->event_max = SIZE_MAX / 2;
    buf_init(&s->in, s->event_max + SSE_FEED_MAX);
    buf_init(&s->late_name, s->event_max);
}

void sse_deinit(struct sse *s)
{
    buf_deinit(&s->in);
    buf_deinit(&s->late_name);
}

// Drops the bytes of the event that was handed out last.
static void drop_taken(struct sse *s)
{
    if (s->taken == 0)
        return;
    buf_consume(&s->in, s->taken);
    s->taken = s->line = s->scanned = 0;
    s->data_len = s->name_len = 0;
    s->has_data = s->name_is_late = false;
}

// Finds the end of the line under way: `*stop` gets the first byte of its line break, and the
// line that follows becomes the one under way once the caller sets s->line to s->scanned.  False
// when the line is not complete; its bytes are not looked at again.
static bool find_line_end(struct sse *s, size_t *stop)
{
    const char *data = s->in.data, *end = data + s->in.len, *lf, *cr, *at;

    at = data + s->scanned;
    lf = memchr(at, '\n', (size_t)(end - at));
    cr = memchr(at, '\r', (size_t)((lf ? lf : end) - at));
    if (!lf && !cr) {
        *stop = s->scanned = s->in.len;
        return s->ended && s->line < s->in.len;
    }
    at = cr ? cr : lf;
    *stop = (size_t)(at - data);
    s->after_cr = cr && cr + 1 == end;
    s->scanned = *stop + 1 + (cr && cr + 1 == lf);
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

// Several data lines are joined in place: the text never outgrows the lines it came from.
static void take_data(struct sse *s, const char *value, size_t len)
{
    char *to;

    if (!s->has_data) {
        s->has_data = true;
        s->data_at = (size_t)(value - s->in.data);
        s->data_len = len;
        return;
    }
    to = s->in.data + s->data_at + s->data_len;
    *to = '\n';
    memmove(to + 1, value, len);
    s->data_len += 1 + len;
}

static void take_name(struct sse *s, const char *value, size_t len)
{
    s->name_at = (size_t)(value - s->in.data);
    s->name_len = len;
    s->name_is_late = s->has_data;
    if (!s->name_is_late)
        return;
    // Further data may be joined over this place.
    buf_clear(&s->late_name);
    if (!buf_append(&s->late_name, value, len))
        s->too_large = true;
}

static void take_line(struct sse *s, const char *line, const char *stop)
{
    const char *value;

    if (*line == ':')
        s->comments++;
    else if (field_value(line, stop, "data", 4, &value))
        take_data(s, value, (size_t)(stop - value));
    else if (field_value(line, stop, "event", 5, &value))
        take_name(s, value, (size_t)(stop - value));
}

// Takes lines until one is blank.  False when the event under way is not complete.
static bool take_event(struct sse *s)
{
    size_t stop;

    while (find_line_end(s, &stop)) {
        bool blank = stop == s->line;

        if (!blank)
            take_line(s, s->in.data + s->line, s->in.data + stop);
        s->line = s->scanned;
        if (blank)
            return true;
    }
    s->line = s->ended ? s->in.len : s->line;
    return s->ended;
}

// Only called when there is more than one event may have: looks whether it is one.
static bool holds_too_large(struct sse *s)
{
    struct sse ahead = *s;
    size_t begin = 0, stop;

    while (find_line_end(&ahead, &stop)) {
        bool blank = stop == ahead.line;

        ahead.line = ahead.scanned;
        if (!blank)
            continue;
        if (stop - begin > s->event_max)
            return true;
        begin = ahead.line;
    }
    return s->in.len - begin > s->event_max;
}

// The CR at the end of the last read was all of a line break, or half of one.
static void pass_lf(struct sse *s)
{
    if (!s->after_cr || s->line == s->in.len)
        return;
    s->after_cr = false;
    if (s->in.data[s->line] != '\n')
        return;
    if (s->line > 0)
        s->scanned = ++s->line;
    else
        buf_consume(&s->in, 1); // belongs to the event before
}

// Skips a BOM at the start of the stream.  False when more bytes are needed to know.
static bool pass_bom(struct sse *s)
{
    static const char bom[] = "\xef\xbb\xbf";

    if (s->started || s->in.len == 0)
        return true;
    if (s->in.len < 3 && !s->ended && memcmp(s->in.data, bom, s->in.len) == 0)
        return false;
    if (s->in.len >= 3 && memcmp(s->in.data, bom, 3) == 0)
        buf_consume(&s->in, 3);
    s->started = true;
    return true;
}

bool sse_feed(struct sse *s, const char *bytes, size_t n)
{
    drop_taken(s);
    s->too_large = s->too_large || !buf_append(&s->in, bytes, n);
    if (!s->too_large) {
        pass_bom(s); // no part of the first event
        pass_lf(s);
        s->too_large = s->in.len > s->event_max && holds_too_large(s);
    }
    return !s->too_large;
}

void sse_end(struct sse *s)
{
    drop_taken(s);
    s->ended = true;
}

bool sse_next(struct sse *s, struct sse_event *event)
{
    drop_taken(s);
    if (!pass_bom(s))
        return false;
    while (s->in.len > 0 && !s->too_large && take_event(s)) {
        s->taken = s->line;
        if (s->has_data || s->name_len > 0) {
            event->data = s->has_data ? s->in.data + s->data_at : "";
            event->data_len = s->data_len;
            event->name = s->name_is_late ? s->late_name.data : s->in.data + s->name_at;
            event->name_len = s->name_len;
            if (s->name_len == 0)
                event->name = "";
            return !s->too_large;
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
        const char *cr = memchr(data, '\r', (size_t)((lf ? lf : end) - data));
        const char *stop = cr ? cr : lf;

        ok = write_line(out, "data: ", data, (size_t)((stop ? stop : end) - data));
        if (!stop)
            break;
        data = stop + 1 + (cr && cr + 1 == lf);
    }
    return ok && buf_putc(out, '\n');
}
