#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "config/sample_keys.h"
#include "config/schema.h"

// --- helpers ---

static struct config_report report;

static int setup(void **state)
{
    (void)state;
    unsetenv("CLIPROXY_HOST");
    config_report_init(&report);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config_report_deinit(&report);
    return 0;
}

static struct config *parse(const char *text)
{
    buf_clear(&report.errors);
    buf_clear(&report.warnings);
    return config_parse("f.yaml", text, strlen(text), &report);
}

static void no_findings(void)
{
    assert_string_equal(buf_cstr(&report.errors), "");
    assert_string_equal(buf_cstr(&report.warnings), "");
}

// Parses without any finding.
static struct config *good(const char *text)
{
    struct config *c = parse(text);

    no_findings();
    assert_non_null(c);
    return c;
}

static void bad(const char *text, const char *error)
{
    assert_null(parse(text));
    assert_string_equal(buf_cstr(&report.errors), error);
}

static struct config *warned(const char *text, const char *warning)
{
    struct config *c = parse(text);

    assert_string_equal(buf_cstr(&report.errors), "");
    assert_string_equal(buf_cstr(&report.warnings), warning);
    assert_non_null(c);
    return c;
}

static void warns(const char *text, const char *warning)
{
    config_unref(warned(text, warning));
}

static const struct config_node *item(const struct config *c, const char *path, size_t i)
{
    const struct config_node *list = config_at(c, path);

    assert_non_null(list);
    assert_int_equal(list->type, CONFIG_LIST);
    assert_true(i < list->count);
    return list->items[i];
}

static const char *text_of(const struct config_node *map, const char *name)
{
    const struct config_node *node = config_member(map, name);

    assert_non_null(node);
    assert_int_equal(node->type, CONFIG_STRING);
    return node->text;
}

// The content of a file of the source tree; caller frees.
static char *source_file(const char *name)
{
    char path[4096];
    FILE *f;
    char *text;
    size_t n;

    snprintf(path, sizeof(path), "%.*s/%s", (int)(strlen(FIXTURES) - strlen("/tests/fixtures")),
             FIXTURES, name);
    f = fopen(path, "r");
    assert_non_null(f);
    text = malloc(1 << 20);
    assert_non_null(text);
    n = fread(text, 1, (1 << 20) - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

// --- defaults ---

static void an_empty_file_has_all_defaults(void **state)
{
    static const char *const empty[] = {"", "\n", "# only a comment\n", "---\n", "~\n", "{}\n"};
    struct config *c;

    (void)state;
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
        config_unref(good(empty[i]));
    c = good("");
    assert_int_equal(config_int(c, "port"), 8317);
    assert_string_equal(config_string(c, "auth-dir"), "~/.cli-proxy-api");
    assert_string_equal(config_string(c, "proxy-url"), "");
    assert_int_equal(config_int(c, "request-retry"), 0);
    assert_false(config_bool(c, "remote-management.allow-remote"));
    assert_string_equal(config_string(c, "remote-management.secret-key"), "");
    assert_false(config_bool(c, "remote-management.disable-control-panel"));
    assert_true(config_bool(c, "quota-exceeded.switch-project"));
    assert_true(config_bool(c, "quota-exceeded.switch-preview-model"));
    assert_false(config_bool(c, "debug"));
    assert_true(config_bool(c, "logging-to-file"));
    assert_true(config_bool(c, "usage-statistics-enabled"));
    assert_false(config_bool(c, "request-log"));
    assert_true(config_bool(c, "ws-auth"));
    assert_string_equal(config_string(c, "host"), "localhost");
    assert_int_equal(config_int(c, "workers"), 0);
    assert_string_equal(config_string(c, "scripts-dir"), "lua");
    assert_int_equal(config_at(c, "mock")->type, CONFIG_NULL);
    assert_int_equal(config_int(c, "limits.body-mib"), 64);
    assert_int_equal(config_int(c, "limits.header-seconds"), 30);
    assert_int_equal(config_int(c, "limits.idle-seconds"), 120);
    assert_int_equal(config_int(c, "limits.drain-seconds"), 30);
    assert_int_equal(config_int(c, "timeouts.connect"), 30);
    assert_true(config_number(c, "timeouts.first-byte") == 600);
    assert_int_equal(config_int(c, "timeouts.idle"), 600);
    assert_int_equal(config_int(c, "scripts.memory-mib"), 512);
    assert_int_equal(config_int(c, "scripts.slice-ms"), 10);
    assert_int_equal(config_int(c, "scripts.hard-limit-ms"), 2000);
    assert_true(config_bool(c, "scripts.auto-rollback"));
    assert_int_equal(config_int(c, "usage-retention-days"), 90);
    assert_int_equal(config_int(c, "recorder.exchanges"), 50);
    assert_int_equal(config_int(c, "recorder.mib"), 16);
    assert_string_equal(config_string(c, "claude-oauth-clients"), "any");
    assert_false(config_bool(c, "cluster"));
    assert_int_equal(config_int(c, "streaming.keepalive-seconds"), 15);
    assert_int_equal(config_int(c, "max-retry-interval"), 30);
    assert_int_equal(config_int(c, "error-logs-max-files"), 10);
    assert_string_equal(config_string(c, "routing.strategy"), "round-robin");
    assert_true(config_number(c, "routing.session-affinity-ttl") == 3600);
    assert_string_equal(config_string(c, "disable-image-generation"), "false");
    config_unref(c);
}

struct path_check {
    const struct config *config;
    const char *text;
    size_t seen;
};

static void check_present(const char *path, const struct config_rule *rule, void *arg)
{
    struct path_check *check = arg;
    const struct config_node *node;

    if (strpbrk(path, "[*") || strncmp(path, "auth.", 5) == 0 || rule->flags & RULE_LEGACY)
        return;
    node = config_at(check->config, path);
    if (!node)
        fail_msg("no default for %s", path);
    assert_int_equal(node->line, 0);
    assert_non_null(node->text);
    check->seen++;
}

static void every_key_of_the_schema_has_a_node_when_absent(void **state)
{
    struct config *c = good("");
    struct path_check check = {.config = c};

    (void)state;
    schema_each(check_present, &check);
    assert_true(check.seen > 80);
    assert_null(config_at(c, "no-such-key"));
    assert_null(config_at(c, "port.inner"));
    config_unref(c);
}

static void a_key_without_value_counts_as_absent(void **state)
{
    struct config *c = good("port:\nremote-management:\napi-keys: ~\ncodex-api-key: null\n"
                            "oauth-model-alias:\n  claude:\ndebug: false\n");

    (void)state;
    assert_int_equal(config_int(c, "port"), 8317);
    assert_false(config_is_set(c, "port"));
    assert_true(config_is_set(c, "debug"));
    assert_int_equal(config_at(c, "api-keys")->count, 0);
    assert_int_equal(config_at(c, "oauth-model-alias.claude")->type, CONFIG_LIST);
    config_unref(c);
}

static void the_environment_gives_the_default_host(void **state)
{
    struct config *c;

    (void)state;
    setenv("CLIPROXY_HOST", " 0.0.0.0 ", 1);
    c = good("");
    assert_string_equal(config_string(c, "host"), "0.0.0.0");
    assert_false(config_is_set(c, "host"));
    config_unref(c);
    c = good("host: ''\n");
    assert_string_equal(config_string(c, "host"), "");
    config_unref(c);
    setenv("CLIPROXY_HOST", "  ", 1);
    c = good("");
    assert_string_equal(config_string(c, "host"), "localhost");
    config_unref(c);
    setenv("CLIPROXY_HOST", "nowhere!", 1);
    bad("", "environment: CLIPROXY_HOST: expected IP address, localhost or \"\", got "
            "\"nowhere!\"\n");
    unsetenv("CLIPROXY_HOST");
}

// --- values ---

static void values_carry_their_type_line_and_secrecy(void **state)
{
    struct config *c = good("port: 0x50\n"
                            "api-keys:\n"
                            "  - 123\n"
                            "  - \"456\"\n"
                            "  - true\n"
                            "  - 1.50\n"
                            "debug: yes\n"
                            "proxy-url: socks5://u:p@h:1080/\n"
                            "key-policies: [{api-key: a, daily-budget: 2.5}]\n"
                            "disable-image-generation: true\n");

    (void)state;
    assert_int_equal(config_int(c, "port"), 80);
    assert_string_equal(item(c, "api-keys", 0)->text, "123");
    assert_string_equal(item(c, "api-keys", 2)->text, "true");
    assert_string_equal(item(c, "api-keys", 3)->text, "1.50");
    assert_int_equal(item(c, "api-keys", 1)->line, 4);
    assert_true(item(c, "api-keys", 0)->secret);
    assert_true(config_bool(c, "debug"));
    assert_true(config_at(c, "proxy-url")->secret);
    assert_true(config_at(c, "remote-management.secret-key")->secret);
    assert_false(config_at(c, "port")->secret);
    assert_true(config_member(item(c, "key-policies", 0), "daily-budget")->number == 2.5);
    assert_string_equal(config_string(c, "disable-image-generation"), "true");
    config_unref(c);
}

static void entries_of_key_lists_have_their_defaults(void **state)
{
    struct config *c = good("claude-api-key:\n"
                            "  - api-key: k\n"
                            "    models: [{name: n, alias: a}]\n"
                            "    headers: {X-A: 1}\n"
                            "openai-compatibility:\n"
                            "  - name: o\n"
                            "    base-url: https://h.example/v1\n"
                            "    api-key-entries: [{api-key: z, proxy-url: direct}]\n");
    const struct config_node *claude = item(c, "claude-api-key", 0);
    const struct config_node *other = item(c, "openai-compatibility", 0);
    const struct config_node *key = config_member(other, "api-key-entries")->items[0];

    (void)state;
    assert_string_equal(text_of(claude, "base-url"), "");
    assert_true(config_member(claude, "api-key")->secret);
    assert_int_equal(config_member(claude, "weight")->integer, 1);
    assert_int_equal(config_member(claude, "request-retry")->type, CONFIG_NULL);
    assert_string_equal(text_of(config_member(claude, "models")->items[0], "alias"), "a");
    assert_string_equal(text_of(config_member(claude, "headers"), "X-A"), "1");
    assert_true(config_member(other, "stream-usage")->boolean);
    assert_true(config_member(key, "api-key")->secret);
    assert_string_equal(text_of(key, "proxy-url"), "direct");
    config_unref(c);
}

static void keys_of_later_features_are_kept(void **state)
{
    struct config *c = good("plugins: {a: [1, 2.5, null, false, x]}\n"
                            "payload: {override: [{models: [{name: m}], params: {p: 1}}]}\n"
                            "xai-api-key: [{api-key: x}]\n"
                            "codex: {live-media-relay: {on: true}}\n");
    const struct config_node *list = config_at(c, "plugins.a");

    (void)state;
    assert_int_equal(list->items[0]->type, CONFIG_INT);
    assert_int_equal(list->items[1]->type, CONFIG_NUMBER);
    assert_int_equal(list->items[2]->type, CONFIG_NULL);
    assert_int_equal(list->items[3]->type, CONFIG_BOOL);
    assert_int_equal(list->items[4]->type, CONFIG_STRING);
    assert_int_equal(config_at(c, "payload.override")->count, 1);
    assert_true(config_bool(c, "codex.live-media-relay.on"));
    config_unref(c);
}

static void members_stay_in_file_order(void **state)
{
    struct config *c = good("debug: true\nport: 1\n");

    (void)state;
    assert_string_equal(config_root(c)->names[0], "debug");
    assert_string_equal(config_root(c)->names[1], "port");
    config_unref(c);
}

static void durations_are_seconds(void **state)
{
    static const struct {
        const char *text;
        double seconds;
    } cases[] = {{"1h30m", 5400}, {"90", 90}, {"250ms", 0.25}, {"2d", 172800}, {"1.5h", 5400}};
    char text[80];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config *c;

        snprintf(text, sizeof(text), "routing: {session-affinity-ttl: %s}\n", cases[i].text);
        c = good(text);
        assert_true(config_number(c, "routing.session-affinity-ttl") == cases[i].seconds);
        config_unref(c);
    }
}

// --- errors ---

static void a_wrong_type_names_file_line_and_key(void **state)
{
    (void)state;
    bad("\nport: \"8317\"\n", "f.yaml:2: port: expected integer, got string\n");
    bad("port: 1.5\n", "f.yaml:1: port: expected integer, got number\n");
    bad("port: [1]\n", "f.yaml:1: port: expected integer, got list\n");
    bad("port: {a: 1}\n", "f.yaml:1: port: expected integer, got map\n");
    bad("debug: maybe\n", "f.yaml:1: debug: expected true or false, got string\n");
    bad("debug: 1\n", "f.yaml:1: debug: expected true or false, got integer\n");
    bad("debug: \"true\"\n", "f.yaml:1: debug: expected true or false, got string\n");
    bad("auth-dir: [a]\n", "f.yaml:1: auth-dir: expected string, got list\n");
    bad("api-keys: a\n", "f.yaml:1: api-keys: expected list, got string\n");
    bad("api-keys:\n- a\n- ~\n", "f.yaml:3: api-keys[1]: expected string, got null\n");
    bad("tls: true\n", "f.yaml:1: tls: expected map, got boolean\n");
    bad("codex-api-key:\n- sk\n", "f.yaml:2: codex-api-key[0]: expected map, got string\n");
    bad("- a\n", "f.yaml:1: expected map, got list\n");
    bad("hello\n", "f.yaml:1: expected map, got string\n");
    bad("claude-api-key:\n- api-key: k\n  models:\n  - name: [1]\n",
        "f.yaml:4: claude-api-key[0].models[0].name: expected string, got list\n");
    bad("key-policies: [{api-key: a, daily-budget: x}]\n",
        "f.yaml:1: key-policies[0].daily-budget: expected number, got string\n");
}

static void a_number_out_of_range_is_an_error(void **state)
{
    (void)state;
    bad("port: 65536\n", "f.yaml:1: port: expected 0 to 65535, got 65536\n");
    bad("port: -1\n", "f.yaml:1: port: expected 0 to 65535, got -1\n");
    bad("port: 99999999999999999999\n",
        "f.yaml:1: port: expected 0 to 65535, got 99999999999999999999\n");
    bad("transient-error-cooldown-seconds: -2\n",
        "f.yaml:1: transient-error-cooldown-seconds: expected -1 to 86400, got -2\n");
    config_unref(good("port: 0\n"));
    config_unref(good("port: 65535\n"));
}

static void all_errors_are_told_at_once(void **state)
{
    (void)state;
    bad("port: x\ndebug: 3\n", "f.yaml:1: port: expected integer, got string\n"
                               "f.yaml:2: debug: expected true or false, got integer\n");
}

static void text_of_the_wrong_form_is_an_error(void **state)
{
    static const char *const wrong[] = {
        "host: example.com",
        "host: 1.2.3",
        "routing: {strategy: random}",
        "claude-oauth-clients: none",
        "disable-image-generation: maybe",
        "routing: {session-affinity-ttl: soon}",
        "routing: {session-affinity-ttl: -1h}",
        "routing: {session-affinity-ttl: 1h30}",
        "routing: {session-affinity-ttl: 99999d}",
        "trusted-proxies: [10.0.0.0/33]",
        "trusted-proxies: ['::1/129']",
        "trusted-proxies: [10.0.0.0/]",
        "trusted-proxies: [localhost]",
        "pprof: {addr: localhost}",
        "pprof: {addr: 'localhost:70000'}",
        "key-policies: [{api-key: a, expires: tomorrow}]",
        "key-policies: [{api-key: a, expires: '2030-13-01T00:00:00Z'}]",
        "key-policies: [{api-key: a, expires: '2030-01-01T00:00:00'}]",
        "claude-api-key: [{api-key: a, base-url: example.com}]",
        "claude-api-key: [{api-key: a, base-url: 'ftp://example.com'}]",
        "claude-api-key: [{api-key: a, base-url: 'https://'}]",
        "claude-api-key: [{api-key: a, base-url: 'https:///path'}]",
        "claude-api-key: [{api-key: a, base-url: 'https://h:99999'}]",
        "claude-api-key: [{api-key: a, base-url: 'https://[::g]'}]",
        "claude-api-key: [{api-key: a, base-url: 'https://h h'}]",
        "proxy-url: 'socks4://h:1'",
        "proxy-url: 'h:1080'",
        "proxy-url: 'http://user:pass@'",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (parse(wrong[i]))
            fail_msg("accepted: %s", wrong[i]);
        assert_memory_equal(buf_cstr(&report.errors), "f.yaml:1: ", 10);
    }
}

static void text_of_the_right_form_is_accepted(void **state)
{
    static const char *const right[] = {
        "host: ''",
        "host: '::'",
        "host: 192.168.1.5",
        "proxy-url: 'http://user:p%40ss@proxy.example:3128'",
        "proxy-url: 'SOCKS5://192.168.1.1:1080/'",
        "proxy-url: 'socks5h://[::1]:1080'",
        "proxy-url: none",
        "proxy-url: DIRECT",
        "claude-api-key: [{api-key: a, base-url: 'https://[2001:db8::1]:8443/x?y'}]",
        "trusted-proxies: [127.0.0.1, 10.0.0.0/8, '::1', 'fd00::/8']",
        "routing: {strategy: fill-first}",
        "key-policies: [{api-key: a, expires: 2030-01-31T12:00:00.5+01:00}]",
        "pprof: {addr: '[::1]:8316'}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        config_unref(good(right[i]));
}

static void messages_do_not_repeat_secrets(void **state)
{
    (void)state;
    bad("proxy-url: 'ftp://user:hunter2@h'\n",
        "f.yaml:1: proxy-url: expected http, https, socks5 or socks5h URL, direct or none, "
        "got another string\n");
}

static void broken_yaml_names_its_line(void **state)
{
    static const char *const broken[] = {
        "a: 1\nb: [\n",  "a: 1\n\tb: 2\n",     "a: 1\nb: \"x\n", "a: 1\nb: *nowhere\n",
        "a: 1\nb: @x\n", "a: 1\nb: \"\\0\"\n", "a: \x01\n",      "a: \xc3\x28\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        assert_null(parse(broken[i]));
        assert_memory_equal(buf_cstr(&report.errors), "f.yaml:", 7);
    }
    bad("a: 1\nb: *nowhere\n", "f.yaml:2: alias of an unknown anchor\n");
    bad("debug: true\n---\ndebug: false\n", "f.yaml:2: more than one document\n");
    bad("? [a]\n: 1\n", "f.yaml:1: a member's name must be plain text\n");
}

static void a_key_given_twice_is_an_error(void **state)
{
    (void)state;
    bad("port: 1\ndebug: true\nport: 2\n", "f.yaml:3: port: given twice\n");
    bad("tls: {cert: a, 'cert': b}\n", "f.yaml:1: cert: given twice\n");
}

// --- warnings ---

static void an_unknown_key_warns_with_the_nearest_name_and_is_kept(void **state)
{
    struct config *c = warned("prot: 1\nremote-management:\n  secret_key: x\nxyzzy: {a: 1}\n",
                              "f.yaml:1: prot: unknown key, did you mean port?\n"
                              "f.yaml:3: remote-management.secret_key: unknown key, did you mean "
                              "secret-key?\n"
                              "f.yaml:4: xyzzy: unknown key\n");

    (void)state;
    assert_int_equal(config_int(c, "prot"), 1);
    assert_string_equal(config_string(c, "remote-management.secret_key"), "x");
    assert_int_equal(config_int(c, "xyzzy.a"), 1);
    config_unref(c);
    warns("codex-api-key:\n- base-url: http://h\n  api-kye: x\n",
          "f.yaml:3: codex-api-key[0].api-kye: unknown key, did you mean api-key?\n");
    warns("a: 1\n", "f.yaml:1: a: unknown key\n");
    warns("\"a\\nb\": 1\n", "f.yaml:1: a?b: unknown key\n");
}

static void entries_without_effect_warn_and_are_left_out(void **state)
{
    struct config *c = warned("codex-api-key:\n"
                              "- api-key: a\n"
                              "- api-key: b\n"
                              "  base-url: http://h\n"
                              "claude-api-key:\n"
                              "- base-url: http://h\n"
                              "openai-compatibility:\n"
                              "- name: x\n"
                              "api-keys:\n"
                              "- \"\"\n"
                              "- k\n",
                              "f.yaml:2: codex-api-key[0]: no base-url: the entry has no effect\n"
                              "f.yaml:6: claude-api-key[0]: no api-key: the entry has no effect\n"
                              "f.yaml:8: openai-compatibility[0]: no base-url: the entry has no "
                              "effect\n"
                              "f.yaml:10: api-keys[0]: blank: the entry has no effect\n");

    (void)state;
    assert_int_equal(config_at(c, "codex-api-key")->count, 1);
    assert_string_equal(text_of(item(c, "codex-api-key", 0), "api-key"), "b");
    assert_int_equal(config_at(c, "claude-api-key")->count, 0);
    assert_int_equal(config_at(c, "openai-compatibility")->count, 0);
    assert_string_equal(item(c, "api-keys", 0)->text, "k");
    config_unref(c);
}

// --- older forms ---

static void a_single_entry_stands_for_a_list_of_one(void **state)
{
    struct config *c = good("codex-api-key:\n  api-key: a\n  base-url: http://h\n"
                            "claude-api-key: {}\n");

    (void)state;
    assert_string_equal(text_of(item(c, "codex-api-key", 0), "api-key"), "a");
    assert_int_equal(config_at(c, "claude-api-key")->count, 0);
    config_unref(c);
}

static void auth_providers_give_client_keys_when_there_are_none(void **state)
{
    static const char legacy[] = "auth:\n"
                                 "  providers:\n"
                                 "  - {type: other, api-keys: [no]}\n"
                                 "  - {name: d, type: config-api-key, api-keys: [a, 2]}\n"
                                 "  - {type: config-api-key, api-keys: [no]}\n";
    char text[400];
    struct config *c = good(legacy);

    (void)state;
    assert_int_equal(config_at(c, "api-keys")->count, 2);
    assert_string_equal(item(c, "api-keys", 1)->text, "2");
    assert_true(item(c, "api-keys", 0)->secret);
    assert_null(config_at(c, "auth"));
    config_unref(c);
    snprintf(text, sizeof(text), "%sapi-keys: [mine]\n", legacy);
    c = good(text);
    assert_int_equal(config_at(c, "api-keys")->count, 1);
    assert_string_equal(item(c, "api-keys", 0)->text, "mine");
    config_unref(c);
    config_unref(good("auth:\n"));
    config_unref(good("auth: {providers: }\n"));
}

// --- anchors ---

static void aliases_and_merge_keys_work(void **state)
{
    struct config *c = good("gemini-api-key:\n"
                            "- &base {api-key: a, prefix: p}\n"
                            "- <<: *base\n"
                            "  prefix: q\n"
                            "- <<: [{weight: 2}, *base, {weight: 3}]\n"
                            "- *base\n");

    (void)state;
    assert_int_equal(config_at(c, "gemini-api-key")->count, 4);
    assert_string_equal(text_of(item(c, "gemini-api-key", 1), "api-key"), "a");
    assert_string_equal(text_of(item(c, "gemini-api-key", 1), "prefix"), "q");
    assert_int_equal(config_member(item(c, "gemini-api-key", 2), "weight")->integer, 2);
    assert_string_equal(text_of(item(c, "gemini-api-key", 3), "prefix"), "p");
    config_unref(c);
    bad("tls:\n  <<: 1\n", "f.yaml:2: <<: expected a map or a list of maps\n");
    bad("plugins: &p\n  a: *p\n", "f.yaml:2: alias inside the value it names\n");
    bad("plugins: &p\n  <<: *p\n", "f.yaml:2: alias inside the value it names\n");
}

static void a_bomb_of_aliases_is_refused(void **state)
{
    char text[2000];
    int n = snprintf(text, sizeof(text), "plugins:\n  l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");

    (void)state;
    for (int i = 1; i < 10; i++) {
        n += snprintf(text + n, sizeof(text) - (size_t)n, "  l%d: &l%d [", i, i);
        for (int k = 0; k < 10; k++)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "*l%d, ", i - 1);
        n += snprintf(text + n, sizeof(text) - (size_t)n, "]\n");
    }
    assert_null(parse(text));
    assert_non_null(strstr(buf_cstr(&report.errors), "too many values (aliases included)\n"));
}

static void a_bomb_of_merge_keys_is_refused(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 4 << 20);
    buf_puts(&text, "plugins:\n  b: &b {");
    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "k%d: 1, ", i);
    buf_puts(&text, "}\n");
    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "  m%d: {<<: *b}\n", i);
    assert_null(parse(buf_cstr(&text)));
    assert_non_null(strstr(buf_cstr(&report.errors), "too many values\n"));
    buf_deinit(&text);
}

static void deep_nesting_is_refused(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_puts(&text, "plugins: ");
    for (int i = 0; i < 60; i++)
        buf_putc(&text, '[');
    for (int i = 0; i < 60; i++)
        buf_putc(&text, ']');
    config_unref(good(buf_cstr(&text)));
    buf_clear(&text);
    buf_puts(&text, "plugins: ");
    for (int i = 0; i < 100000; i++)
        buf_putc(&text, '[');
    bad(buf_cstr(&text), "f.yaml:1: nested too deeply\n");
    // Depth that only aliases make.
    buf_clear(&text);
    buf_puts(&text, "plugins:\n  - &a0 [x]\n");
    for (int i = 1; i < 100; i++)
        buf_printf(&text, "  - &a%d [*a%d]\n", i, i - 1);
    assert_null(parse(buf_cstr(&text)));
    assert_non_null(strstr(buf_cstr(&report.errors), "nested too deeply\n"));
    buf_deinit(&text);
}

static void a_flood_of_findings_ends_with_a_whole_line(void **state)
{
    struct buf text;
    struct config *c;

    (void)state;
    buf_init(&text, 4 << 20);
    for (int i = 0; i < 20000; i++)
        buf_printf(&text, "unknown-key-number-%d: 1\n", i);
    c = parse(buf_cstr(&text));
    assert_non_null(c);
    assert_true(report.warnings.overflow);
    assert_int_equal(report.warnings.data[report.warnings.len - 1], '\n');
    config_unref(c);
    buf_deinit(&text);
}

// A file may be cut while it is written.
static void any_start_of_the_example_is_parsed_or_refused(void **state)
{
    char *text = source_file("config.example.yaml");
    size_t len = strlen(text);

    (void)state;
    for (size_t i = 0; i < len; i += 7) {
        struct config *c;

        buf_clear(&report.errors);
        buf_clear(&report.warnings);
        c = config_parse("f.yaml", text, i, &report);
        assert_true((c == NULL) == (report.errors.len > 0));
        config_unref(c);
    }
    free(text);
}

// --- files ---

static void a_file_is_loaded_and_a_missing_one_is_told_apart(void **state)
{
    char path[] = "/tmp/config-test-XXXXXX";
    int fd = mkstemp(path);
    bool missing = true;
    struct config *c;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "port: 1234\n", 11), 11);
    close(fd);
    c = config_load(path, &report, &missing);
    assert_non_null(c);
    assert_false(missing);
    assert_int_equal(config_int(c, "port"), 1234);
    assert_string_equal(config_path(c), path);
    config_unref(c);
    unlink(path);
    assert_null(config_load(path, &report, &missing));
    assert_true(missing);
    assert_null(config_load("/tmp", &report, &missing));
    assert_false(missing);
    assert_non_null(strstr(buf_cstr(&report.errors), "/tmp: "));
}

static void a_file_of_more_than_8_mib_is_refused(void **state)
{
    char path[] = "/tmp/config-test-XXXXXX";
    int fd = mkstemp(path);
    bool missing = true;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (8 << 20) + 1), 0);
    assert_null(config_load(path, &report, &missing));
    assert_false(missing);
    assert_int_equal(ftruncate(fd, 64 << 20), 0);
    assert_null(config_load(path, &report, NULL));
    assert_non_null(strstr(buf_cstr(&report.errors), "larger than 8 MiB"));
    close(fd);
    unlink(path);
}

static void expands_to(const char *file, const char *text, const char *key, const char *wanted)
{
    struct config *c = config_parse(file, text, strlen(text), &report);
    char *path;

    assert_non_null(c);
    path = config_expand_path(c, key);
    assert_string_equal(path, wanted);
    free(path);
    config_unref(c);
}

static void paths_expand_a_leading_tilde(void **state)
{
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;

    (void)state;
    setenv("HOME", "/home/me", 1);
    expands_to("f", "", "auth-dir", "/home/me/.cli-proxy-api");
    expands_to("f", "auth-dir: '~'\n", "auth-dir", "/home/me");
    expands_to("f", "auth-dir: '~\\a'\n", "auth-dir", "/home/me/a");
    expands_to("f", "auth-dir: '~you/a'\n", "auth-dir", "~you/a");
    expands_to("f", "auth-dir: a/~/b\n", "auth-dir", "a/~/b");
    expands_to("f", "tls: {cert: ~/c.pem}\n", "tls.cert", "/home/me/c.pem");
    expands_to("/etc/proxy/c.yaml", "", "scripts-dir", "/etc/proxy/lua");
    expands_to("c.yaml", "", "scripts-dir", "lua");
    expands_to("/etc/c.yaml", "scripts-dir: /opt/lua\n", "scripts-dir", "/opt/lua");
    expands_to("/etc/c.yaml", "auth-dir: here\n", "auth-dir", "here");
    if (home)
        setenv("HOME", home, 1);
    free(home);
}

static void a_reference_keeps_a_config_alive(void **state)
{
    struct config *c = good("port: 5\n");
    struct config *again = config_ref(c);

    (void)state;
    config_unref(c);
    assert_int_equal(config_int(again, "port"), 5);
    config_unref(again);
    config_unref(NULL);
}

// --- what users read ---

static void check_named_in_example(const char *path, const struct config_rule *rule, void *arg)
{
    struct path_check *check = arg;
    char name[80];

    snprintf(name, sizeof(name), "%s:", rule->key);
    for (const char *at = check->text; (at = strstr(at, name)) != NULL; at++) {
        if (at > check->text && strchr(" \n{", at[-1]))
            return;
    }
    fail_msg("config.example.yaml does not show %s", path);
}

static void the_example_is_clean_and_names_every_key(void **state)
{
    char *text = source_file("config.example.yaml");
    struct path_check check = {.text = text};
    struct config *c = good(text);

    (void)state;
    schema_each(check_named_in_example, &check);
    assert_int_equal(config_at(c, "api-keys")->count, 2);
    assert_true(config_is_sample_key(item(c, "api-keys", 0)->text));
    assert_true(config_is_sample_key(item(c, "api-keys", 1)->text));
    assert_string_equal(config_string(c, "host"), "localhost");
    config_unref(c);
    free(text);
}

static bool is_commented_key(const char *line)
{
    size_t n;

    if (strncmp(line, "# ", 2) != 0)
        return false;
    line += 2 + strspn(line + 2, " #");
    if (strncmp(line, "- ", 2) == 0)
        return true;
    n = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789-XC");
    return n > 0 && line[n] == ':' && (line[n + 1] == ' ' || line[n + 1] == '\n');
}

static void the_commented_keys_of_the_example_parse_too(void **state)
{
    char *text = source_file("config.example.yaml");
    struct buf out;
    struct config *c;

    (void)state;
    buf_init(&out, 1 << 20);
    for (char *line = text; *line;) {
        size_t n = strcspn(line, "\n") + 1;

        if (is_commented_key(line))
            buf_append(&out, line + 2, n - 2);
        else
            buf_append(&out, line, n);
        line += n;
    }
    c = good(buf_cstr(&out));
    assert_int_equal(config_at(c, "claude-api-key")->count, 2);
    assert_int_equal(config_at(c, "codex-api-key")->count, 1);
    assert_int_equal(config_at(c, "key-policies")->count, 1);
    config_unref(c);
    buf_deinit(&out);
    free(text);
}

static void check_documented(const char *path, const struct config_rule *rule, void *arg)
{
    struct path_check *check = arg;
    char cell[200];
    const char *row, *end, *kind;

    snprintf(cell, sizeof(cell), "| `%s` |", path);
    row = strstr(check->text, cell);
    if (!row)
        fail_msg("docs/configuration.md has no row for %s", path);
    end = strchr(row, '\n');
    kind = rule->flags & RULE_RESTART ? "restart |" : NULL;
    if (kind && strncmp(end - strlen(kind), kind, strlen(kind)) != 0)
        fail_msg("docs/configuration.md: %s takes effect at a restart", path);
    if (!rule->fallback || rule->type == RULE_MAP)
        return;
    snprintf(cell, sizeof(cell), "| `%s` |", *rule->fallback ? rule->fallback : "\"\"");
    if (rule->type != RULE_LIST && !memmem(row, (size_t)(end - row), cell, strlen(cell)))
        fail_msg("docs/configuration.md: the default of %s is %s", path, rule->fallback);
}

static void the_reference_has_a_row_for_every_key_with_its_default(void **state)
{
    char *text = source_file("docs/configuration.md");
    struct path_check check = {.text = text};

    (void)state;
    schema_each(check_documented, &check);
    free(text);
}

static void sample_keys_are_recognised(void **state)
{
    (void)state;
    assert_true(config_is_sample_key("your-api-key-1"));
    assert_true(config_is_sample_key("your-api-key-3"));
    assert_false(config_is_sample_key("your-api-key-4"));
    assert_false(config_is_sample_key("your-api-key-"));
    assert_false(config_is_sample_key("your-api-key-11"));
    assert_false(config_is_sample_key(""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_file_has_all_defaults),
        TEST(every_key_of_the_schema_has_a_node_when_absent),
        TEST(a_key_without_value_counts_as_absent),
        TEST(the_environment_gives_the_default_host),
        TEST(values_carry_their_type_line_and_secrecy),
        TEST(entries_of_key_lists_have_their_defaults),
        TEST(keys_of_later_features_are_kept),
        TEST(members_stay_in_file_order),
        TEST(durations_are_seconds),
        TEST(a_wrong_type_names_file_line_and_key),
        TEST(a_number_out_of_range_is_an_error),
        TEST(all_errors_are_told_at_once),
        TEST(text_of_the_wrong_form_is_an_error),
        TEST(text_of_the_right_form_is_accepted),
        TEST(messages_do_not_repeat_secrets),
        TEST(broken_yaml_names_its_line),
        TEST(a_key_given_twice_is_an_error),
        TEST(an_unknown_key_warns_with_the_nearest_name_and_is_kept),
        TEST(entries_without_effect_warn_and_are_left_out),
        TEST(a_single_entry_stands_for_a_list_of_one),
        TEST(auth_providers_give_client_keys_when_there_are_none),
        TEST(aliases_and_merge_keys_work),
        TEST(a_bomb_of_aliases_is_refused),
        TEST(a_bomb_of_merge_keys_is_refused),
        TEST(deep_nesting_is_refused),
        TEST(a_flood_of_findings_ends_with_a_whole_line),
        TEST(any_start_of_the_example_is_parsed_or_refused),
        TEST(a_file_is_loaded_and_a_missing_one_is_told_apart),
        TEST(a_file_of_more_than_8_mib_is_refused),
        TEST(paths_expand_a_leading_tilde),
        TEST(a_reference_keeps_a_config_alive),
        TEST(the_example_is_clean_and_names_every_key),
        TEST(the_commented_keys_of_the_example_parse_too),
        TEST(the_reference_has_a_row_for_every_key_with_its_default),
        TEST(sample_keys_are_recognised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
