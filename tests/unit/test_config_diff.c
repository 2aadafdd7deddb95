// test_config_diff.c - what changed between two configurations.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/diff.h"

static struct config *parse(const char *text)
{
    struct config_report report;
    struct config *config;

    config_report_init(&report);
    config = config_parse("config.yaml", text, strlen(text), &report);
    assert_non_null(config);
    config_report_deinit(&report);
    return config;
}

static void changed(const char *old, const char *now, const char *lines)
{
    struct config *a = parse(old), *b = parse(now);
    struct buf out;

    buf_init(&out, 1 << 20);
    config_diff(a, b, &out);
    assert_string_equal(out.len ? buf_cstr(&out) : "", lines);
    buf_deinit(&out);
    config_unref(a);
    config_unref(b);
}

static void equal_configurations_have_no_difference(void **state)
{
    (void)state;
    changed("", "", "");
    changed("debug: true\napi-keys: [a, b]\n", "api-keys: [a, b]\ndebug: true\n", "");
    changed("", "debug: false\nport: 8317\n", "");
}

static void each_changed_key_is_one_line(void **state)
{
    (void)state;
    changed("debug: true\nrequest-retry: 1\n", "port: 1\nrequest-retry: 2\n",
            "debug: true -> false\nrequest-retry: 1 -> 2\nport: 8317 -> 1\n");
    changed("routing: {strategy: fill-first}\n", "routing: {session-affinity-ttl: 2h}\n",
            "routing.strategy: \"fill-first\" -> \"round-robin\"\n"
            "routing.session-affinity-ttl: \"1h\" -> \"2h\"\n");
    changed("", "mock: true\n", "mock: absent -> true\n");
}

static void secrets_are_only_said_to_be_updated(void **state)
{
    (void)state;
    changed("api-keys: [one-0123456789, two-0123456789]\n", "api-keys: [three-0123456789]\n",
            "api-keys: 2 -> 1 entries\napi-keys[0]: updated\n");
    changed("remote-management: {secret-key: aaaaaaaaaaaa}\n",
            "remote-management: {secret-key: bbbbbbbbbbbb}\n",
            "remote-management.secret-key: updated\n");
    changed("claude-api-key: [{api-key: k, headers: {X-A: one}}]\n",
            "claude-api-key: [{api-key: k, headers: {X-A: two, X-B: three}}]\n",
            "claude-api-key[0].headers.X-A: updated\nclaude-api-key[0].headers.X-B: updated\n");
    changed("my: {access_token: one}\n", "my: {access_token: two}\n", "my.access_token: updated\n");
}

static void urls_lose_their_userinfo_and_query(void **state)
{
    (void)state;
    changed("", "proxy-url: socks5://joe:password@h:1\n",
            "proxy-url: \"\" -> \"socks5://***@h:1\"\n");
    changed("proxy-url: socks5://joe:password@h:1\n", "proxy-url: direct\n",
            "proxy-url: updated\n");
    changed("claude-api-key: [{api-key: k, base-url: 'https://h/x?key=one'}]\n",
            "claude-api-key: [{api-key: k, base-url: 'https://h/y?key=two#three'}]\n",
            "claude-api-key[0].base-url: \"https://h/x...\" -> \"https://h/y...\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_configurations_have_no_difference),
        cmocka_unit_test(each_changed_key_is_one_line),
        cmocka_unit_test(secrets_are_only_said_to_be_updated),
        cmocka_unit_test(urls_lose_their_userinfo_and_query),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
