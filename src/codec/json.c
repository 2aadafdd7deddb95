// json.c - checking a text and reading members of it, see json.h.

#include "codec/json.h"

#include "codec/json_scan.h"

bool json_check(const char *text, size_t len, unsigned flags, struct json_error *error)
{
    struct json_scan s;

    json_scan_init(&s, text, len, flags);
    json_scan_space(&s);
    if (json_scan_value(&s) && json_scan_end(&s))
        return true;
    json_scan_error(&s, error);
    return false;
}

// --- members -------------------------------------------------------------------------------------

struct wanted {
    const char *const *names;
    size_t count;
    struct json_slice *out;
    unsigned flags;
};

static bool read_member(struct json_scan *s, const struct wanted *w)
{
    struct json_slice name, *slot = NULL;
    const char *from;
    bool plain;

    if (!json_scan_name(s, &name, &plain))
        return false;
    for (size_t i = 0; i < w->count && !slot; i++)
        if (json_name_is(&name, plain, w->names[i], strlen(w->names[i])))
            slot = &w->out[i];
    if (slot && slot->type != JSON_NONE && w->flags & JSON_UNIQUE)
        return json_scan_fail(s, name.at, "member given twice");
    from = s->at;
    if (!json_scan_value(s))
        return false;
    if (slot)
        *slot = (struct json_slice){json_type_of(*from), from, (size_t)(s->at - from)};
    return true;
}

static bool read_members(struct json_scan *s, const struct wanted *w)
{
    bool more;

    json_scan_space(s);
    if (s->at == s->end || *s->at != '{')
        return json_scan_fail(s, s->at, "expected an object");
    for (json_open(s, '}', &more); more;)
        if (!read_member(s, w) || !json_next(s, '}', &more))
            return false;
    return json_scan_end(s);
}

bool json_members(const char *text, size_t len, const char *const *names, size_t count,
                  struct json_slice *out, unsigned flags, struct json_error *error)
{
    struct wanted w = {names, count, out, flags};
    struct json_scan s;

    for (size_t i = 0; i < count; i++)
        out[i] = (struct json_slice){JSON_NONE, NULL, 0};
    json_scan_init(&s, text, len, flags);
    if (read_members(&s, &w))
        return true;
    json_scan_error(&s, error);
    return false;
}

// --- find ----------------------------------------------------------------------------------------

// Moves from a container to the child that a step names.  False when there is none.
static bool enter(struct json_scan *s, const struct json_step *step)
{
    char closer = step->name ? '}' : ']';
    bool more, plain;
    size_t index = 0;

    if (s->at == s->end || *s->at != (step->name ? '{' : '['))
        return false;
    for (json_open(s, closer, &more); more; index++) {
        if (step->name) {
            struct json_slice name;

            if (!json_scan_name(s, &name, &plain))
                return false;
            if (json_name_is(&name, plain, step->name, step->name_len))
                return true;
        } else if (index == step->index) {
            return true;
        }
        if (!json_scan_value(s) || !json_next(s, closer, &more))
            return false;
    }
    return false;
}

struct json_slice json_find(const char *text, size_t len, const struct json_step *path,
                            size_t steps)
{
    const struct json_slice none = {JSON_NONE, NULL, 0};
    struct json_scan s;
    const char *from;

    json_scan_init(&s, text, len, 0);
    json_scan_space(&s);
    for (size_t i = 0; i < steps; i++)
        if (!enter(&s, &path[i]))
            return none;
    from = s.at;
    if (!json_scan_value(&s))
        return none;
    return (struct json_slice){json_type_of(*from), from, (size_t)(s.at - from)};
}
