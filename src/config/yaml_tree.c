#include "config/yaml_tree.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/map.h"

struct entry {
    const char *name;
    int name_line;
    struct yaml_value *value;
};

struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    const char *file;
    struct buf *errors;
    struct map anchors;
    struct entry *stack; // children of the collections being read, innermost last
    size_t stack_len, stack_cap;
    size_t nodes; // made so far, merged members included
};

void yaml_quote(struct buf *out, const char *text, size_t len)
{
    size_t n = len > 60 ? 60 : len;

    // Do not cut inside a UTF-8 sequence.
    while (n < len && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];

        buf_putc(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
    if (n < len)
        buf_puts(out, "...");
}

static void *fail(struct reader *r, size_t line, const char *what)
{
    buf_printf(r->errors, "%s:%zu: %s\n", r->file, line, what);
    return NULL;
}

static void *fail_memory(struct reader *r)
{
    return fail(r, r->parser.mark.line + 1, "out of memory");
}

static bool next(struct reader *r, yaml_event_t *event)
{
    const char *problem;

    if (yaml_parser_parse(&r->parser, event))
        return true;
    problem = r->parser.problem ? r->parser.problem : "not readable as YAML";
    if (r->parser.error == YAML_READER_ERROR)
        fail(r, r->parser.mark.line + 1, problem);
    else
        fail(r, r->parser.problem_mark.line + 1, problem);
    return false;
}

static bool count_node(struct reader *r, size_t line)
{
    if (++r->nodes <= YAML_NODES_MAX)
        return true;
    fail(r, line, "too many values");
    return false;
}

static bool push(struct reader *r, struct entry entry)
{
    if (r->stack_len == r->stack_cap) {
        size_t cap = r->stack_cap ? r->stack_cap * 2 : 64;
        struct entry *bigger = realloc(r->stack, cap * sizeof(*bigger));

        if (!bigger) {
            fail_memory(r);
            return false;
        }
        r->stack = bigger;
        r->stack_cap = cap;
    }
    r->stack[r->stack_len++] = entry;
    return true;
}

static struct yaml_value *value_new(struct reader *r, enum yaml_kind kind, const char *anchor,
                                    size_t line)
{
    struct yaml_value *value;

    if (!count_node(r, line))
        return NULL;
    value = arena_alloc(r->arena, sizeof(*value));
    if (!value)
        return fail_memory(r);
    value->kind = kind;
    value->line = (int)line;
    if (anchor && !map_set(&r->anchors, anchor, strlen(anchor), value, NULL))
        return fail_memory(r);
    return value;
}

// An explicit tag decides before the quotes do.
static bool typed_by_text(const yaml_event_t *event)
{
    const char *tag = (const char *)event->data.scalar.tag;
    static const char *const core[] = {YAML_INT_TAG, YAML_FLOAT_TAG, YAML_BOOL_TAG, YAML_NULL_TAG};

    if (!tag)
        return event->data.scalar.plain_implicit;
    for (size_t i = 0; i < sizeof(core) / sizeof(core[0]); i++) {
        if (strcmp(tag, core[i]) == 0)
            return true;
    }
    return false;
}

static struct yaml_value *read_scalar(struct reader *r, const yaml_event_t *event)
{
    struct yaml_value *value = value_new(r, YAML_SCALAR, (const char *)event->data.scalar.anchor,
                                         event->start_mark.line + 1);

    if (!value)
        return NULL;
    value->plain = typed_by_text(event);
    value->len = event->data.scalar.length;
    if (memchr(event->data.scalar.value, '\0', value->len))
        return fail(r, event->start_mark.line + 1, "text holds a NUL character");
    value->text =
        arena_text(r->arena, (const char *)event->data.scalar.value, event->data.scalar.length);
    return value->text ? value : fail_memory(r);
}

static struct yaml_value *read_alias(struct reader *r, const yaml_event_t *event)
{
    const char *anchor = (const char *)event->data.alias.anchor;
    struct yaml_value *value = map_get(&r->anchors, anchor, strlen(anchor));

    if (!value)
        return fail(r, event->start_mark.line + 1, "alias of an unknown anchor");
    if (value->open)
        return fail(r, event->start_mark.line + 1, "alias inside the value it names");
    return count_node(r, event->start_mark.line + 1) ? value : NULL;
}

// Moves the children pushed since `base` into the collection.
static bool close_collection(struct reader *r, struct yaml_value *value, size_t base)
{
    size_t n = r->stack_len - base;

    value->items = arena_alloc(r->arena, (n + 1) * sizeof(*value->items));
    if (value->kind == YAML_MAP) {
        value->names = arena_alloc(r->arena, (n + 1) * sizeof(*value->names));
        value->name_lines = arena_alloc(r->arena, (n + 1) * sizeof(*value->name_lines));
    }
    if (!value->items || (value->kind == YAML_MAP && (!value->names || !value->name_lines))) {
        fail_memory(r);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        struct entry *e = &r->stack[base + i];

        value->items[i] = e->value;
        if (value->kind == YAML_MAP) {
            value->names[i] = e->name;
            value->name_lines[i] = e->name_line;
        }
    }
    value->count = n;
    value->open = false;
    r->stack_len = base;
    return true;
}

static struct yaml_value *read_value(struct reader *r, const yaml_event_t *event, int depth);

static struct yaml_value *read_list(struct reader *r, const yaml_event_t *start, int depth)
{
    struct yaml_value *list = value_new(
        r, YAML_LIST, (const char *)start->data.sequence_start.anchor, start->start_mark.line + 1);
    size_t base = r->stack_len;

    if (!list)
        return NULL;
    list->open = true;
    for (;;) {
        struct yaml_value *item;
        yaml_event_t event;
        bool end;

        if (!next(r, &event))
            return NULL;
        end = event.type == YAML_SEQUENCE_END_EVENT;
        item = end ? NULL : read_value(r, &event, depth + 1);
        yaml_event_delete(&event);
        if (end)
            return close_collection(r, list, base) ? list : NULL;
        if (!item || !push(r, (struct entry){.value = item}))
            return NULL;
    }
}

// `<<`: members of another map that this one does not have itself.
static bool merge_map(struct reader *r, struct map *seen, const struct yaml_value *from, int line)
{
    if (from->kind != YAML_MAP) {
        fail(r, (size_t)line, "<<: expected a map or a list of maps");
        return false;
    }
    for (size_t i = 0; i < from->count; i++) {
        const char *name = from->names[i];
        struct entry entry = {name, from->name_lines[i], from->items[i]};

        // Members that are not taken count too, or a long chain of merges costs time for free.
        if (!count_node(r, (size_t)line))
            return false;
        if (map_get(seen, name, strlen(name)))
            continue;
        if (!map_set(seen, name, strlen(name), from->items[i], NULL)) {
            fail_memory(r);
            return false;
        }
        if (!push(r, entry))
            return false;
    }
    return true;
}

static bool merge(struct reader *r, struct map *seen, const struct yaml_value *from, int line)
{
    if (from->kind != YAML_LIST)
        return merge_map(r, seen, from, line);
    for (size_t i = 0; i < from->count; i++) {
        if (!merge_map(r, seen, from->items[i], line))
            return false;
    }
    return true;
}

static bool fail_duplicate(struct reader *r, const struct entry *entry)
{
    buf_printf(r->errors, "%s:%d: ", r->file, entry->name_line);
    yaml_quote(r->errors, entry->name, strlen(entry->name));
    buf_puts(r->errors, ": given twice\n");
    return false;
}

// Reads `name: value`.  `*merged` gets the value of a `<<` instead of the stack.
static bool read_member(struct reader *r, const yaml_event_t *key, struct map *seen,
                        struct yaml_value **merged, int depth)
{
    struct entry entry = {.name_line = (int)key->start_mark.line + 1};
    yaml_event_t event;
    struct yaml_value *name;
    bool is_merge;

    if (key->type != YAML_SCALAR_EVENT) {
        fail(r, key->start_mark.line + 1, "a member's name must be plain text");
        return false;
    }
    name = read_scalar(r, key);
    if (!name)
        return false;
    entry.name = name->text;
    is_merge = name->plain && strcmp(name->text, "<<") == 0;
    if (!next(r, &event))
        return false;
    entry.value = read_value(r, &event, depth + 1);
    yaml_event_delete(&event);
    if (!entry.value)
        return false;
    if (is_merge ? *merged != NULL : map_get(seen, entry.name, name->len) != NULL)
        return fail_duplicate(r, &entry);
    if (is_merge) {
        *merged = entry.value;
        return true;
    }
    if (!map_set(seen, entry.name, name->len, entry.value, NULL)) {
        fail_memory(r);
        return false;
    }
    return push(r, entry);
}

static bool read_members(struct reader *r, struct yaml_value *map, struct map *seen, int depth)
{
    size_t base = r->stack_len;
    struct yaml_value *merged = NULL;

    for (;;) {
        yaml_event_t event;
        bool end, ok;

        if (!next(r, &event))
            return false;
        end = event.type == YAML_MAPPING_END_EVENT;
        ok = end || read_member(r, &event, seen, &merged, depth);
        yaml_event_delete(&event);
        if (!ok)
            return false;
        if (end)
            break;
    }
    if (merged && !merge(r, seen, merged, map->line))
        return false;
    return close_collection(r, map, base);
}

static struct yaml_value *read_map(struct reader *r, const yaml_event_t *start, int depth)
{
    struct yaml_value *map = value_new(r, YAML_MAP, (const char *)start->data.mapping_start.anchor,
                                       start->start_mark.line + 1);
    struct map seen;
    bool ok;

    if (!map)
        return NULL;
    map->open = true;
    map_init(&seen);
    ok = read_members(r, map, &seen, depth);
    map_deinit(&seen);
    return ok ? map : NULL;
}

static struct yaml_value *read_value(struct reader *r, const yaml_event_t *event, int depth)
{
    if (depth > YAML_DEPTH_MAX)
        return fail(r, event->start_mark.line + 1, "nested too deeply");
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, event);
    case YAML_ALIAS_EVENT:
        return read_alias(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(r, event, depth);
    case YAML_MAPPING_START_EVENT:
        return read_map(r, event, depth);
    default:
        return fail(r, event->start_mark.line + 1, "expected a value");
    }
}

// Takes the next event and gives its type; YAML_NO_EVENT after an error.
static yaml_event_type_t skip(struct reader *r, size_t *line)
{
    yaml_event_type_t type;
    yaml_event_t event;

    if (!next(r, &event))
        return YAML_NO_EVENT;
    type = event.type;
    *line = event.start_mark.line + 1;
    yaml_event_delete(&event);
    return type;
}

static enum yaml_result read_document(struct reader *r, struct yaml_value **out)
{
    yaml_event_type_t type;
    yaml_event_t event;
    size_t line;

    if (skip(r, &line) == YAML_NO_EVENT)
        return YAML_BROKEN;
    type = skip(r, &line);
    if (type == YAML_STREAM_END_EVENT)
        return YAML_EMPTY;
    if (type == YAML_NO_EVENT || !next(r, &event))
        return YAML_BROKEN;
    *out = read_value(r, &event, 1);
    yaml_event_delete(&event);
    if (!*out || skip(r, &line) == YAML_NO_EVENT)
        return YAML_BROKEN;
    type = skip(r, &line);
    if (type == YAML_STREAM_END_EVENT)
        return YAML_OK;
    if (type != YAML_NO_EVENT)
        fail(r, line, "more than one document");
    return YAML_BROKEN;
}

enum yaml_result yaml_tree_read(struct arena *a, const char *file, const char *text, size_t len,
                                struct buf *errors, struct yaml_value **out)
{
    struct reader r = {.arena = a, .file = file, .errors = errors};
    enum yaml_result result;

    *out = NULL;
    if (!yaml_parser_initialize(&r.parser)) {
        buf_printf(errors, "%s:1: out of memory\n", file);
        return YAML_BROKEN;
    }
    map_init(&r.anchors);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    result = read_document(&r, out);
    map_deinit(&r.anchors);
    free(r.stack);
    yaml_parser_delete(&r.parser);
    return result;
}
