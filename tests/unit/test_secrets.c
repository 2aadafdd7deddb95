// test_secrets.c - known secrets are taken out of texts.

#include "script_world.h"

#include "script/secrets.h"

static const char CONFIG[] = "api-keys: [client-key-0123]\n"
                             "proxy-url: socks5://joe:proxy-password@h:1\n"
                             "remote-management: {secret-key: management-0123}\n"
                             "openai-compatibility:\n"
                             "  - name: x\n"
                             "    base-url: https://h.example/v1\n"
                             "    headers: {X-Pass: header-0123, X-Copy: $Authorization}\n"
                             "    api-key-entries:\n"
                             "      - api-key: sk-one/two+three=\n"
                             "      - {api-key: sk-one/two+three=-longer, proxy-url: direct}\n"
                             "      - api-key: short\n";

static struct script_world world;

static int setup(void **state)
{
    (void)state;
    script_world_init(&world, CONFIG, "return {}");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    script_world_deinit(&world);
    return 0;
}

static void becomes(const char *text, const char *own, const char *expected)
{
    struct buf out;
    bool found;

    buf_init(&out, 65536);
    found = secrets_redact(world.state, text, strlen(text), own, &out);
    assert_string_equal(found ? buf_cstr(&out) : text, expected);
    assert_int_equal(found, strcmp(text, expected) != 0);
    buf_deinit(&out);
}

static void texts_without_secrets_stay(void **state)
{
    (void)state;
    becomes("", NULL, "");
    becomes("nothing to see: h.example joe X-Pass $Authorization short", NULL,
            "nothing to see: h.example joe X-Pass $Authorization short");
}

static void what_the_configuration_marks_is_taken_out(void **state)
{
    (void)state;
    becomes("client-key-0123", NULL, "***");
    becomes("a proxy-password b proxy-password", NULL, "a *** b ***");
    becomes("Basic am9lOnByb3h5LXBhc3N3b3Jk!", NULL, "Basic ***!");
    becomes("<management-0123><header-0123>", NULL, "<***><***>");
}

static void each_form_is_found(void **state)
{
    (void)state;
    becomes("raw sk-one/two+three= end", NULL, "raw *** end");
    becomes("json \"sk-one\\/two+three=\"", NULL, "json \"***\"");
    becomes("url ?k=sk-one%2Ftwo%2Bthree%3D&", NULL, "url ?k=***&");
}

static void the_longer_one_goes_first(void **state)
{
    (void)state;
    becomes("sk-one/two+three=-longer", NULL, "***");
}

static void a_secret_of_ones_own_is_taken_out(void **state)
{
    (void)state;
    becomes("with token/1234567 in it", "token/1234567", "with *** in it");
    becomes("with token%2F1234567 in it", "token/1234567", "with *** in it");
    becomes("with tiny in it", "tiny", "with tiny in it");
}

static void without_room_nothing_is_shown(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 10);
    assert_true(secrets_redact(world.state, "the client-key-0123", 19, NULL, &out));
    assert_string_equal(buf_cstr(&out), "***");
    buf_deinit(&out);
}

static void replacing_works_at_the_edges(void **state)
{
    static const char *const texts[][2] = {{"abcdefgh", "***"},    {"abcdefghabcdefgh", "******"},
                                           {"abcdefg", "abcdefg"}, {"xabcdefgh", "x***"},
                                           {"abcdefghx", "***x"},  {"abcdabcdefgh", "abcd***"}};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct buf text;

        buf_init(&text, 100);
        buf_puts(&text, texts[i][0]);
        secrets_replace(&text, "abcdefgh", 8);
        assert_string_equal(buf_cstr(&text), texts[i][1]);
        buf_deinit(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_without_secrets_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_configuration_marks_is_taken_out, setup, teardown),
        cmocka_unit_test_setup_teardown(each_form_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(the_longer_one_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(a_secret_of_ones_own_is_taken_out, setup, teardown),
        cmocka_unit_test_setup_teardown(without_room_nothing_is_shown, setup, teardown),
        cmocka_unit_test(replacing_works_at_the_edges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
