#include "config/validate.h"

#include <stdlib.h>
#include <string.h>

#include "config/checker.h"

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
        checker_warning(c, at, "blank: the entry has no effect", "", "");
        return true;
    }
    if (rule->needs) {
        const struct config_node *member = config_member(item, rule->needs);

        if (!member || is_blank(member->text)) {
            checker_warning(c, at, "no ", rule->needs, ": the entry has no effect");
            return true;
        }
    }
    return false;
}

// One map may stand for a list of itself.
static struct config_node *check_list(struct checker *c, const struct config_rule *rule,
                                      const struct yaml_value *value, const struct place *at)
{
    bool single = value->kind == YAML_MAP && rule->flags & RULE_ONE_IS_LIST;
    size_t count = single ? value->count > 0 : value->count;
    struct config_node *list;

    if (checker_is_null(value))
        count = 0;
    else if (value->kind != YAML_LIST && !single)
        return checker_wrong_type(c, rule, value, at);
    list = checker_node(c, CONFIG_LIST, rule, at);
    if (!list)
        return NULL;
    list->items = checker_allocate(c, (count + 1) * sizeof(*list->items), at);
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
        checker_warning(c, at, "unknown key, did you mean ", nearest, "?");
    else
        checker_warning(c, at, "unknown key", "", "");
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
            checker_stop(c, &here, "out of memory");
            return;
        }
        if (rule->type == RULE_MAP && !known && !(rule->flags & RULE_OPEN))
            warn_unknown(c, rule, &here);
        here.line = from->line;
        // A known key without a value is as good as absent.
        if (known && checker_is_null(from) && rule->type == RULE_MAP && known->type != RULE_ANY)
            continue;
        add_member(map, name, check(c, known ? known : &any, from, &here));
    }
}

static bool map_reserve(struct checker *c, struct config_node *map, size_t count,
                        const struct place *at)
{
    map->items = checker_allocate(c, (count + 1) * sizeof(*map->items), at);
    if (map->items)
        map->names = checker_allocate(c, (count + 1) * sizeof(*map->names), at);
    return map->items && map->names;
}

// `value` may be NULL, then all members have their defaults.
static struct config_node *check_map(struct checker *c, const struct config_rule *rule,
                                     const struct yaml_value *value, const struct place *at)
{
    struct config_node *map;
    size_t count = value ? value->count : 0;

    if (value && checker_is_null(value) && rule->type == RULE_TABLE)
        count = 0;
    else if (value && value->kind != YAML_MAP)
        return checker_wrong_type(c, rule, value, at);
    map = checker_node(c, CONFIG_MAP, rule, at);
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
    return checker_any_scalar(c, &any, value, at);
}

static struct config_node *check(struct checker *c, const struct config_rule *rule,
                                 const struct yaml_value *value, const struct place *at)
{
    if (at->depth > YAML_DEPTH_MAX)
        return checker_stop(c, at, "nested too deeply");
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
    if (value->kind != YAML_SCALAR || checker_is_null(value))
        return checker_wrong_type(c, rule, value, at);
    return checker_scalar(c, rule, value, at);
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
        return checker_node(c, CONFIG_LIST, rule, &at);
    if (!rule->fallback)
        return checker_node(c, CONFIG_NULL, rule, &at);
    if (host) {
        at.name = "CLIPROXY_HOST";
        value.text = host;
    }
    value.len = strlen(value.text);
    value.plain = true;
    return checker_scalar(c, rule, &value, &at);
}

struct config_node *validate_tree(struct arena *a, const char *file, const struct yaml_value *tree,
                                  struct config_report *report)
{
    struct checker c = {.arena = a, .file = file, .report = report};
    struct place at = {.line = tree ? tree->line : 0};
    struct config_node *node;

    if (tree && checker_is_null(tree))
        tree = NULL;
    node = check_map(&c, schema_root(), tree, &at);
    return c.failed ? NULL : node;
}
