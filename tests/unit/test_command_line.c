// Tests of flags and sub-commands (spec http-api 7.1).

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#include "app/command_line.h"

#define PARSE(out, ...)                                                                            \
    command_line_parse((int)(sizeof((char *[]){"x", __VA_ARGS__}) / sizeof(char *)),               \
                       (char *[]){"x", __VA_ARGS__, NULL}, out)

static void test_no_flag_means_serve(void **state)
{
    char *argv[] = {"x", NULL};
    struct command_line c;

    (void)state;
    assert_int_equal(command_line_parse(1, argv, &c), 0);
    assert_int_equal(c.command, COMMAND_SERVE);
    assert_null(c.config);
}

static void test_flags_are_read_in_every_spelling(void **state)
{
    struct command_line c;

    (void)state;
    assert_int_equal(PARSE(&c, "-config", "a.yaml"), 0);
    assert_string_equal(c.config, "a.yaml");
    assert_int_equal(PARSE(&c, "--config=b.yaml", "--no-browser"), 0);
    assert_string_equal(c.config, "b.yaml");
    assert_true(c.no_browser);
    assert_int_equal(PARSE(&c, "--no-browser=false"), 0);
    assert_false(c.no_browser);
}

static void test_what_cannot_be_read_ends_with_2(void **state)
{
    struct command_line c;

    (void)state;
    assert_int_equal(PARSE(&c, "--nonsense"), 2);
    assert_int_equal(PARSE(&c, "--config"), 2);
    assert_int_equal(PARSE(&c, "--no-browser=perhaps"), 2);
    assert_int_equal(PARSE(&c, "--oauth-callback-port", "70000"), 2);
    assert_int_equal(PARSE(&c, "--oauth-callback-port", "x"), 2);
    assert_int_equal(PARSE(&c, "dance"), 2);
    assert_int_equal(PARSE(&c, "scripts"), 2);
    assert_int_equal(PARSE(&c, "scripts", "eject"), 2);
}

static void test_of_several_logins_the_first_of_the_list_wins(void **state)
{
    struct command_line c;

    (void)state;
    assert_int_equal(PARSE(&c, "--qwen-login", "--codex-login"), 0);
    assert_int_equal(c.command, COMMAND_LOGIN);
    assert_string_equal(c.login, "codex-login");
    assert_int_equal(PARSE(&c, "--iflow-cookie", "--iflow-login", "-qwen-login", "-no-browser"), 0);
    assert_string_equal(c.login, "qwen-login");
    assert_true(c.no_browser);
    assert_int_equal(PARSE(&c, "--claude-login", "--codex-device-login=true",
                           "--oauth-callback-port=8123", "--project_id", "p"), 0);
    assert_string_equal(c.login, "codex-device-login");
    assert_int_equal(c.callback_port, 8123);
    assert_string_equal(c.project, "p");
}

static void test_a_callback_port_is_a_port(void **state)
{
    static char *const wrong[] = {"0", "65536", "12x", "x", "", "-1"};
    struct command_line c;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(PARSE(&c, "--claude-login", "--oauth-callback-port", wrong[i]), 2);
}

static void test_sub_commands_are_known(void **state)
{
    struct command_line c;

    (void)state;
    assert_int_equal(PARSE(&c, "--config", "a", "scripts", "eject", "main.lua"), 0);
    assert_int_equal(c.command, COMMAND_SCRIPTS_EJECT);
    assert_string_equal(c.argument, "main.lua");
    assert_int_equal(PARSE(&c, "--", "scripts", "list"), 0);
    assert_int_equal(c.command, COMMAND_SCRIPTS_LIST);
}

static void test_explain_takes_a_model_or_a_request(void **state)
{
    struct command_line c;

    (void)state;
    assert_int_equal(PARSE(&c, "explain", "m", "--json", "--dialect=claude"), 0);
    assert_int_equal(c.command, COMMAND_EXPLAIN);
    assert_string_equal(c.explain.model, "m");
    assert_string_equal(c.explain.dialect, "claude");
    assert_true(c.explain.json);
    assert_int_equal(PARSE(&c, "--config", "a", "explain", "--request", "req_0badcafe"), 0);
    assert_string_equal(c.explain.request, "0badcafe");
    assert_null(c.explain.model);
    assert_false(c.explain.json);
    assert_int_equal(PARSE(&c, "explain"), 2);
    assert_int_equal(PARSE(&c, "explain", "a", "--request", "b"), 2);
    assert_int_equal(PARSE(&c, "explain", "a", "b"), 2);
    assert_int_equal(PARSE(&c, "explain", "a", "--dialect", "none"), 2);
    assert_int_equal(PARSE(&c, "explain", "a", "--odd"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_flag_means_serve),
        cmocka_unit_test(test_flags_are_read_in_every_spelling),
        cmocka_unit_test(test_what_cannot_be_read_ends_with_2),
        cmocka_unit_test(test_of_several_logins_the_first_of_the_list_wins),
        cmocka_unit_test(test_a_callback_port_is_a_port),
        cmocka_unit_test(test_sub_commands_are_known),
        cmocka_unit_test(test_explain_takes_a_model_or_a_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
