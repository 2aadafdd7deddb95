#include "config/checker.h"

#include <stdio.h>
#include <string.h>

#include "config/scalar.h"

#define LINE_ROOM 8192

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

void checker_error(struct checker *c, const struct place *at, const char *what, const char *quoted,
                   const char *after)
{
    c->failed = true;
    put_line(c, &c->report->errors, at, what, quoted, after);
}

void checker_warning(struct checker *c, const struct place *at, const char *what,
                     const char *quoted, const char *after)
{
    put_line(c, &c->report->warnings, at, what, quoted, after);
}

struct config_node *checker_stop(struct checker *c, const struct place *at, const char *what)
{
    if (!c->stopped)
        checker_error(c, at, what, "", "");
    c->stopped = true;
    return NULL;
}

void *checker_allocate(struct checker *c, size_t size, const struct place *at)
{
    void *p = arena_alloc(c->arena, size);

    return p ? p : (void *)checker_stop(c, at, "out of memory");
}

struct config_node *checker_node(struct checker *c, enum config_type type,
                                 const struct config_rule *rule, const struct place *at)
{
    struct config_node *node;

    if (c->stopped)
        return NULL;
    if (++c->nodes > YAML_NODES_MAX)
        return checker_stop(c, at, "too many values (aliases included)");
    node = checker_allocate(c, sizeof(*node), at);
    if (!node)
        return NULL;
    node->type = type;
    node->line = at->line;
    node->secret = (rule->flags & RULE_SECRET) != 0;
    node->text = "";
    return node;
}

bool checker_is_null(const struct yaml_value *value)
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

struct config_node *checker_wrong_type(struct checker *c, const struct config_rule *rule,
                                       const struct yaml_value *value, const struct place *at)
{
    char what[96];

    snprintf(what, sizeof(what), "expected %s, got ", expected(rule));
    checker_error(c, at, what, got(value), "");
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
        checker_error(c, at, what, "", ", got another string");
    } else {
        size_t n = strlen(what);

        snprintf(what + n, sizeof(what) - n, ", got \"");
        checker_error(c, at, what, text, "\"");
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
    checker_error(c, at, what, text, "");
    return false;
}

static struct config_node *check_bool(struct checker *c, const struct config_rule *rule,
                                      const struct yaml_value *value, const struct place *at)
{
    struct config_node *node;
    bool boolean;

    if (!value->plain || !scalar_bool(value->text, true, &boolean))
        return checker_wrong_type(c, rule, value, at);
    node = checker_node(c, CONFIG_BOOL, rule, at);
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
        return checker_wrong_type(c, rule, value, at);
    }
    if (!in_range(c, rule, (double)integer, value->text, at))
        return NULL;
    node = checker_node(c, CONFIG_INT, rule, at);
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
        return checker_wrong_type(c, rule, value, at);
    if (!in_range(c, rule, number, value->text, at))
        return NULL;
    node = checker_node(c, CONFIG_NUMBER, rule, at);
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
    node = checker_node(c, CONFIG_STRING, rule, at);
    if (node) {
        node->text = arena_text(c->arena, value->text, value->len);
        node->number = seconds;
        if (!node->text)
            return checker_stop(c, at, "out of memory");
    }
    return node;
}

struct config_node *checker_scalar(struct checker *c, const struct config_rule *rule,
                                   const struct yaml_value *value, const struct place *at)
{
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

struct config_node *checker_any_scalar(struct checker *c, const struct config_rule *rule,
                                       const struct yaml_value *value, const struct place *at)
{
    struct config_node *node = checker_node(c, CONFIG_NULL, rule, at);

    if (!node || checker_is_null(value))
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
            return checker_stop(c, at, "out of memory");
    }
    return node;
}
