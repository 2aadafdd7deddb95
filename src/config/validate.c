#include "config/validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/scalar.h"

#define LINE_ROOM 8192

struct checker {
    struct arena *arena;
    const char *file;
    struct config_report *report;
    size_t nodes; // aliases make one YAML value many nodes
    bool failed;
    bool stopped; // a limit was hit: no point in going on
};

// Where in the document a value stands; spelled out only for a message.
struct place {
    const struct place *up;
    const char *name; // NULL: element `index`
    size_t index;
    int line;
    int depth;
};

static void put_place(struct buf *out, const struct place *at)
{
    if (!at->up)
        return;
    put_place(out, at->up);
    if (!at->name) {
        buf_printf(out, "[%zu]", at->index);
        return;
    }
    if (at->up->up)
        buf_putc(out, '.');
    yaml_quote(out, at->name, strlen(at->name));
}

static void put_line(const struct checker *c, struct buf *out, const struct place *at,
                     const char *what, const char *quoted, const char *after)
{
    // A report that is nearly full takes no further line, rather than half of one.
    if (out->overflow || out->max - out->len < LINE_ROOM) {
        out->overflow = true;
        return;
    }
    if (at->line > 0)
        buf_printf(out, "%s:%d: ", c->file, at->line);
    else
        buf_puts(out, "environment: ");
    put_place(out, at);
    buf_puts(out, at->up ? ": " : "");
    buf_puts(out, what);
    yaml_quote(out, quoted, strlen(quoted));
    buf_puts(out, after);
    buf_putc(out, '\n');
}

// One finding: `file:line: key: what quoted after`.
static void put_error(struct checker *c, const struct place *at, const char *what,
                      const char *quoted, const char *after)
{
    c->failed = true;
    put_line(c, &c->report->errors, at, what, quoted, after);
}

static void put_warning(struct checker *c, const struct place *at, const char *what,
                        const char *quoted, const char *after)
{
    put_line(c, &c->report->warnings, at, what, quoted, after);
}

static struct config_node *stop(struct checker *c, const struct place *at, const char *what)
{
    if (!c->stopped)
        put_error(c, at, what, "", "");
    c->stopped = true;
    return NULL;
}

static void *allocate(struct checker *c, size_t size, const struct place *at)
{
    void *p = arena_alloc(c->arena, size);

    return p ? p : (void *)stop(c, at, "out of memory");
}

static struct config_node *node_new(struct checker *c, enum config_type type,
                                    const struct config_rule *rule, const struct place *at)
{
    struct config_node *node;

    if (c->stopped)
        return NULL;
    if (++c->nodes > YAML_NODES_MAX)
        return stop(c, at, "too many values (aliases included)");
    node = allocate(c, sizeof(*node), at);
    if (!node)
        return NULL;
    node->type = type;
    node->line = at->line;
    node->secret = (rule->flags & RULE_SECRET) != 0;
    node->text = "";
    return node;
}

static bool is_null(const struct yaml_value *value)
{
    return value->kind == YAML_SCALAR && value->plain && scalar_is_null(value->text);
}

static const char *got(const struct yaml_value *value)
{
    bool boolean;
    int64_t integer;
    double number;

    if (value->kind != YAML_SCALAR)
        return value->kind == YAML_LIST ? "list" : "map";
    if (!value->plain)
        return "string";
    if (scalar_is_null(value->text))
        return "null";
    if (scalar_bool(value->text, false, &boolean))
        return "boolean";
    if (scalar_int(value->text, &integer))
        return "integer";
    return scalar_number(value->text, &number) ? "number" : "string";
}

static const char *expected(const struct config_rule *rule)
{
    switch (rule->type) {
    case RULE_BOOL:
        return "true or false";
    case RULE_INT:
        return "integer";
    case RULE_NUMBER:
        return "number";
    case RULE_LIST:
        return "list";
    case RULE_MAP:
    case RULE_TABLE:
        return "map";
    case RULE_DURATION:
        return "duration such as 30m, 1h30m or seconds";
    case RULE_HOST:
        return "IP address, localhost or \"\"";
    case RULE_URL:
        return "http:// or https:// URL with a host";
    case RULE_PROXY:
        return "http, https, socks5 or socks5h URL, direct or none";
    case RULE_ADDRESS:
        return "IP address or CIDR block";
    case RULE_LISTEN:
        return "host:port";
    case RULE_TIME:
        return "time such as 2030-01-31T12:00:00Z";
    default:
        return "string";
    }
}

static struct config_node *wrong_type(struct checker *c, const struct config_rule *rule,
                                      const struct yaml_value *value, const struct place *at)
{
    char what[96];

    snprintf(what, sizeof(what), "expected %s, got ", expected(rule));
    put_error(c, at, what, got(value), "");
    return NULL;
}

// A string of the right type and the wrong form.  Secrets are not repeated.
static struct config_node *wrong_form(struct checker *c, const struct config_rule *rule,
                                      const char *text, const struct place *at)
{
    char what[128];

    if (rule->type == RULE_ENUM)
        snprintf(what, sizeof(what), "expected one of %s", rule->choices);
    else
        snprintf(what, sizeof(what), "expected %s", expected(rule));
    if (rule->flags & RULE_SECRET) {
        put_error(c, at, what, "", ", got another string");
    } else {
        size_t n = strlen(what);

        snprintf(what + n, sizeof(what) - n, ", got \"");
        put_error(c, at, what, text, "\"");
    }
    return NULL;
}

static bool in_range(struct checker *c, const struct config_rule *rule, double value,
                     const char *text, const struct place *at)
{
    char what[96];

    if (value >= rule->min && value <= rule->max)
        return true;
    snprintf(what, sizeof(what), "expected %.0f to %.0f, got ", rule->min, rule->max);
    put_error(c, at, what, text, "");
    return false;
}

static struct config_node *check_bool(struct checker *c, const struct config_rule *rule,
                                      const struct yaml_value *value, const struct place *at)
{
    struct config_node *node;
    bool boolean;

    if (!value->plain || !scalar_bool(value->text, true, &boolean))
        return wrong_type(c, rule, value, at);
    node = node_new(c, CONFIG_BOOL, rule, at);
    if (node)
        node->boolean = boolean;
    return node;
}

static struct config_node *check_int(struct checker *c, const struct config_rule *rule,
                                     const struct yaml_value *value, const struct place *at)
{
    struct config_node *node;
    int64_t integer;
    double number;

    if (!value->plain || !scalar_int(value->text, &integer)) {
        // An integer beyond 64 bits reads as a number: it is out of range, not of another type.
        if (value->plain && strpbrk(value->text, ".eE") == NULL &&
            scalar_number(value->text, &number) && !in_range(c, rule, number, value->text, at))
            return NULL;
        return wrong_type(c, rule, value, at);
    }
    if (!in_range(c, rule, (double)integer, value->text, at))
        return NULL;
    node = node_new(c, CONFIG_INT, rule, at);
    if (node) {
        node->integer = integer;
        node->number = (double)integer;
    }
    return node;
}

static struct config_node *check_number(struct checker *c, const struct config_rule *rule,
                                        const struct yaml_value *value, const struct place *at)
{
    struct config_node *node;
    double number;

    if (!value->plain || !scalar_number(value->text, &number))
        return wrong_type(c, rule, value, at);
    if (!in_range(c, rule, number, value->text, at))
        return NULL;
    node = node_new(c, CONFIG_NUMBER, rule, at);
    if (node)
        node->number = number;
    return node;
}

static bool has_form(const struct config_rule *rule, const char *text, double *seconds)
{
    switch (rule->type) {
    case RULE_ENUM:
        return scalar_is_choice(text, rule->choices);
    case RULE_DURATION:
        return scalar_duration(text, seconds);
    case RULE_HOST:
        return scalar_is_host(text);
    case RULE_URL:
        return *text == '\0' || scalar_is_url(text);
    case RULE_PROXY:
        return *text == '\0' || scalar_is_proxy(text);
    case RULE_ADDRESS:
        return scalar_is_address(text);
    case RULE_LISTEN:
        return scalar_is_listen(text);
    case RULE_TIME:
        return *text == '\0' || scalar_is_time(text);
    default:
        return true;
    }
}

// Numbers and booleans stand for their source text here, as in `api-keys: [123]`.
static struct config_node *check_text(struct checker *c, const struct config_rule *rule,
                                      const struct yaml_value *value, const struct place *at)
{
    struct config_node *node;
    double seconds = 0;

    if (!has_form(rule, value->text, &seconds))
        return wrong_form(c, rule, value->text, at);
    node = node_new(c, CONFIG_STRING, rule, at);
    if (node) {
        node->text = arena_text(c->arena, value->text, value->len);
        node->number = seconds;
        if (!node->text)
            return stop(c, at, "out of memory");
    }
    return node;
}

static struct config_node *check_any_scalar(struct checker *c, const struct config_rule *rule,
                                            const struct yaml_value *value, const struct place *at)
{
    struct config_node *node = node_new(c, CONFIG_NULL, rule, at);

    if (!node || is_null(value))
        return node;
    if (value->plain && scalar_bool(value->text, false, &node->boolean)) {
        node->type = CONFIG_BOOL;
    } else if (value->plain && scalar_int(value->text, &node->integer)) {
        node->type = CONFIG_INT;
        node->number = (double)node->integer;
    } else if (value->plain && scalar_number(value->text, &node->number)) {
        node->type = CONFIG_NUMBER;
    } else {
        node->type = CONFIG_STRING;
        node->text = arena_text(c->arena, value->text, value->len);
        if (!node->text)
            return stop(c, at, "out of memory");
    }
    return node;
}

static struct config_node *check(struct checker *c, const struct config_rule *rule,
                                 const struct yaml_value *value, const struct place *at);
static struct config_node *make_default(struct checker *c, const struct config_rule *rule,
                                        const struct place *up);

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

// True when a list's element has no effect; says so.
static bool has_no_effect(struct checker *c, const struct config_rule *rule,
                          const struct config_node *item, const struct place *at)
{
    if (rule->flags & RULE_NO_BLANKS && is_blank(item->text)) {
        put_warning(c, at, "blank: the entry has no effect", "", "");
        return true;
    }
    if (rule->needs) {
        const struct config_node *member = config_member(item, rule->needs);

        if (!member || is_blank(member->text)) {
            put_warning(c, at, "no ", rule->needs, ": the entry has no effect");
            return true;
        }
    }
    return false;
}

// `up` is the list's own place; one map may stand for a list of itself.
static struct config_node *check_list(struct checker *c, const struct config_rule *rule,
                                      const struct yaml_value *value, const struct place *at)
{
    bool single = value->kind == YAML_MAP && rule->flags & RULE_ONE_IS_LIST;
    size_t count = single ? value->count > 0 : value->count;
    struct config_node *list;

    if (is_null(value))
        count = 0;
    else if (value->kind != YAML_LIST && !single)
        return wrong_type(c, rule, value, at);
    list = node_new(c, CONFIG_LIST, rule, at);
    if (!list)
        return NULL;
    list->items = allocate(c, (count + 1) * sizeof(*list->items), at);
    if (!list->items)
        return NULL;
    for (size_t i = 0; i < count && !c->stopped; i++) {
        const struct yaml_value *from = single ? value : value->items[i];
        struct place here = {at, NULL, i, from->line, at->depth + 1};
        struct config_node *item = check(c, rule->member, from, &here);

        if (item && !has_no_effect(c, rule, item, &here))
            list->items[list->count++] = item;
    }
    return list;
}

static void warn_unknown(struct checker *c, const struct config_rule *map, const struct place *at)
{
    const char *nearest;

    if (c->report->warnings.overflow)
        return;
    nearest = schema_nearest(map, at->name);
    if (nearest)
        put_warning(c, at, "unknown key, did you mean ", nearest, "?");
    else
        put_warning(c, at, "unknown key", "", "");
}

static void add_member(struct config_node *map, const char *name, struct config_node *value)
{
    if (!value)
        return;
    map->names[map->count] = name;
    map->items[map->count++] = value;
}

static void check_members(struct checker *c, const struct config_rule *rule,
                          const struct yaml_value *value, struct config_node *map,
                          const struct place *at)
{
    static const struct config_rule any = {.key = "", .type = RULE_ANY};

    for (size_t i = 0; i < value->count && !c->stopped; i++) {
        const struct yaml_value *from = value->items[i];
        const struct config_rule *known =
            rule->type == RULE_MAP ? schema_member(rule, value->names[i]) : rule->member;
        struct place here = {at, value->names[i], 0, value->name_lines[i], at->depth + 1};
        const char *name = arena_text(c->arena, here.name, strlen(here.name));

        if (!name) {
            stop(c, &here, "out of memory");
            return;
        }
        if (rule->type == RULE_MAP && !known && !(rule->flags & RULE_OPEN))
            warn_unknown(c, rule, &here);
        here.line = from->line;
        // A known key without a value is as good as absent.
        if (known && is_null(from) && rule->type == RULE_MAP && known->type != RULE_ANY)
            continue;
        add_member(map, name, check(c, known ? known : &any, from, &here));
    }
}

static bool map_reserve(struct checker *c, struct config_node *map, size_t count,
                        const struct place *at)
{
    map->items = allocate(c, (count + 1) * sizeof(*map->items), at);
    if (map->items)
        map->names = allocate(c, (count + 1) * sizeof(*map->names), at);
    return map->items && map->names;
}

// `value` may be NULL, then all members have their defaults.
static struct config_node *check_map(struct checker *c, const struct config_rule *rule,
                                     const struct yaml_value *value, const struct place *at)
{
    struct config_node *map;
    size_t count = value ? value->count : 0;

    if (value && is_null(value) && rule->type == RULE_TABLE)
        count = 0;
    else if (value && value->kind != YAML_MAP)
        return wrong_type(c, rule, value, at);
    map = node_new(c, CONFIG_MAP, rule, at);
    if (!map)
        return NULL;
    for (const struct config_rule *r = rule->member; rule->type == RULE_MAP && r->key; r++)
        count++;
    if (!map_reserve(c, map, count, at))
        return NULL;
    if (value && value->kind == YAML_MAP)
        check_members(c, rule, value, map, at);
    for (const struct config_rule *r = rule->member; rule->type == RULE_MAP && r->key; r++) {
        if (!config_member(map, r->key))
            add_member(map, r->key, make_default(c, r, at));
    }
    return map;
}

static struct config_node *check_any(struct checker *c, const struct yaml_value *value,
                                     const struct place *at)
{
    static const struct config_rule any = {.key = "", .type = RULE_ANY};
    static const struct config_rule list = {.key = "", .type = RULE_LIST, .member = &any};
    static const struct config_rule table = {.key = "", .type = RULE_TABLE, .member = &any};

    if (value->kind == YAML_LIST)
        return check_list(c, &list, value, at);
    if (value->kind == YAML_MAP)
        return check_map(c, &table, value, at);
    return check_any_scalar(c, &any, value, at);
}

static struct config_node *check(struct checker *c, const struct config_rule *rule,
                                 const struct yaml_value *value, const struct place *at)
{
    if (at->depth > YAML_DEPTH_MAX)
        return stop(c, at, "nested too deeply");
    switch (rule->type) {
    case RULE_ANY:
        return check_any(c, value, at);
    case RULE_LIST:
        return check_list(c, rule, value, at);
    case RULE_MAP:
    case RULE_TABLE:
        return check_map(c, rule, value, at);
    default:
        break;
    }
    if (value->kind != YAML_SCALAR || is_null(value))
        return wrong_type(c, rule, value, at);
    switch (rule->type) {
    case RULE_BOOL:
        return check_bool(c, rule, value, at);
    case RULE_INT:
        return check_int(c, rule, value, at);
    case RULE_NUMBER:
        return check_number(c, rule, value, at);
    default:
        return check_text(c, rule, value, at);
    }
}

// The environment's word on `host`, trimmed; blank counts as unset.
static const char *host_from_environment(struct arena *a)
{
    const char *text = getenv("CLIPROXY_HOST");
    size_t len;

    if (!text || is_blank(text))
        return NULL;
    text += strspn(text, " \t\r\n");
    len = strlen(text);
    while (strchr(" \t\r\n", text[len - 1]))
        len--;
    return arena_text(a, text, len);
}

static struct config_node *make_default(struct checker *c, const struct config_rule *rule,
                                        const struct place *up)
{
    struct place at = {up, rule->key, 0, 0, up->depth + 1};
    struct yaml_value value = {.kind = YAML_SCALAR, .text = rule->fallback};
    const char *host = rule->type == RULE_HOST ? host_from_environment(c->arena) : NULL;

    if (rule->type == RULE_MAP || rule->type == RULE_TABLE)
        return check_map(c, rule, NULL, &at);
    if (rule->type == RULE_LIST)
        return node_new(c, CONFIG_LIST, rule, &at);
    if (!rule->fallback)
        return node_new(c, CONFIG_NULL, rule, &at);
    if (host) {
        at.name = "CLIPROXY_HOST";
        value.text = host;
    }
    value.len = strlen(value.text);
    value.plain = true;
    switch (rule->type) {
    case RULE_BOOL:
        return check_bool(c, rule, &value, &at);
    case RULE_INT:
        return check_int(c, rule, &value, &at);
    case RULE_NUMBER:
        return check_number(c, rule, &value, &at);
    default:
        return check_text(c, rule, &value, &at);
    }
}

struct config_node *validate_tree(struct arena *a, const char *file, const struct yaml_value *tree,
                                  struct config_report *report)
{
    struct checker c = {.arena = a, .file = file, .report = report};
    struct place at = {.line = tree ? tree->line : 0};
    struct config_node *node;

    if (tree && is_null(tree))
        tree = NULL;
    node = check_map(&c, schema_root(), tree, &at);
    return c.failed ? NULL : node;
}
