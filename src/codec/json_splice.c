// json_splice.c - replacing, inserting and removing one value, see json.h.

#include "codec/json_scan.h"

// Where the edit goes: bytes from `from` to `to` are replaced.
struct spot {
    const char *from, *to;
    bool exists;           // the value is there, else the place where it may be inserted
    bool parent;           // its parent is there
    bool first;            // inserting: the parent is empty
    const char *entry;     // existing: start of its entry (the name, for members)
    const char *previous;  // existing: end of the entry before it, NULL if it is the first
    const char *following; // existing: start of the entry after it, NULL if it is the last
};

static bool locate(struct json_scan *s, const struct json_step *path, size_t steps,
                   struct spot *spot);

// Reads the value of the entry that the step named: the target itself, or a way to it.
static bool take(struct json_scan *s, const struct json_step *path, size_t steps, struct spot *spot,
                 const char *entry, const char *previous)
{
    const char *from = s->at;

    if (steps > 1)
        return locate(s, path + 1, steps - 1, spot);
    if (!json_scan_value(s))
        return false;
    spot->exists = true;
    spot->entry = entry;
    spot->previous = previous;
    spot->from = from;
    spot->to = s->at;
    return true;
}

// Reads one entry of a container.  `*hit` becomes true when it is the one the step names.
static bool read_entry(struct json_scan *s, const struct json_step *path, size_t steps,
                       struct spot *spot, size_t index, const char *previous, bool *hit)
{
    const char *entry = s->at;
    struct json_slice name;
    bool plain;

    if (path->name) {
        if (!json_scan_name(s, &name, &plain))
            return false;
        if (json_name_is(&name, plain, path->name, path->name_len)) {
            // Readers differ in which of the two they take, so there is no right one to edit.
            if (*hit)
                return json_scan_fail(s, entry, "member given twice");
            *hit = true;
            return take(s, path, steps, spot, entry, previous);
        }
    } else if (index == path->index) {
        *hit = true;
        return take(s, path, steps, spot, entry, previous);
    }
    return json_scan_value(s);
}

// Walks the text's value completely, so that all of it is checked.
static bool locate(struct json_scan *s, const struct json_step *path, size_t steps,
                   struct spot *spot)
{
    char closer = path->name ? '}' : ']';
    const char *previous = NULL;
    size_t count = 0;
    bool more, hit = false;

    if (s->at == s->end || *s->at != (path->name ? '{' : '['))
        return json_scan_value(s);
    json_open(s, closer, &more);
    if (!more && steps == 1)
        spot->from = s->at - 1;
    while (more) {
        if (steps == 1 && hit && !spot->following)
            spot->following = s->at;
        if (!read_entry(s, path, steps, spot, count, previous, &hit))
            return false;
        previous = s->at;
        count++;
        if (!json_next(s, closer, &more))
            return false;
    }
    if (steps > 1)
        return true;
    spot->parent = true;
    spot->first = count == 0;
    if (!spot->exists) {
        if (previous)
            spot->from = previous;
        spot->to = spot->from;
        spot->parent = path->name || path->index == count;
    }
    return true;
}

static bool removal(struct buf *out, const char *text, const char *end, const struct spot *spot)
{
    const char *from = spot->entry, *to = spot->to;

    if (!spot->exists)
        return buf_append(out, text, (size_t)(end - text));
    if (spot->following)
        to = spot->following;
    else if (spot->previous)
        from = spot->previous;
    return buf_append(out, text, (size_t)(from - text)) && buf_append(out, to, (size_t)(end - to));
}

static bool insertion(struct buf *out, const struct json_step *last, const struct spot *spot)
{
    if (!spot->first && !buf_putc(out, ','))
        return false;
    return !last->name || (json_quote(out, last->name, last->name_len) && buf_putc(out, ':'));
}

static bool edit(struct buf *out, const char *text, const char *end, const struct json_step *last,
                 const struct spot *spot, const char *raw, size_t raw_len)
{
    if (!raw)
        return removal(out, text, end, spot);
    return buf_append(out, text, (size_t)(spot->from - text)) &&
           (spot->exists || insertion(out, last, spot)) && buf_append(out, raw, raw_len) &&
           buf_append(out, spot->to, (size_t)(end - spot->to));
}

static bool find_spot(struct json_scan *s, const struct json_step *path, size_t steps,
                      struct spot *spot)
{
    const char *from;

    json_scan_space(s);
    from = s->at;
    if (steps > 0)
        return locate(s, path, steps, spot) && json_scan_end(s);
    if (!json_scan_value(s))
        return false;
    *spot = (struct spot){.from = from, .to = s->at, .exists = true, .parent = true};
    return json_scan_end(s);
}

bool json_splice(struct buf *out, const char *text, size_t len, const struct json_step *path,
                 size_t steps, const char *raw, size_t raw_len, struct json_error *error)
{
    struct spot spot = {0};
    struct json_scan s;
    bool ok;

    json_scan_init(&s, text, len, 0);
    ok = find_spot(&s, path, steps, &spot);
    if (ok && raw && !spot.parent)
        ok = json_scan_fail(&s, text, "the path leads nowhere");
    else if (ok && !raw && steps == 0)
        ok = json_scan_fail(&s, text, "the whole text cannot be removed");
    else if (ok &&
             !edit(out, text, text + len, steps ? path + steps - 1 : NULL, &spot, raw, raw_len))
        ok = json_scan_fail(&s, text, "the result is too large");
    if (!ok)
        json_scan_error(&s, error);
    return ok;
}
