// test_local_key.c - the key file for commands on this machine.

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/local_key.h"

static char folder[256], path[LOCAL_KEY_PATH], key[LOCAL_KEY_SIZE];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "%s/key-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[300];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static struct config *config_here(void)
{
    struct config_report report;
    struct config *config;
    char name[300], text[400];

    config_report_init(&report);
    snprintf(name, sizeof(name), "%s/config.yaml", folder);
    snprintf(text, sizeof(text), "auth-dir: %s/auths\n", folder);
    config = config_parse(name, text, strlen(text), &report);
    assert_non_null(config);
    config_report_deinit(&report);
    return config;
}

static void create(void)
{
    struct config *config = config_here();

    local_key_create(key, path, config, 8317, NULL);
    config_unref(config);
}

static void put(const char *name, const char *text)
{
    char file[600];
    FILE *f;

    snprintf(file, sizeof(file), "%s/%s", folder, name);
    f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_new_key_lies_in_a_file_of_its_user(void **state)
{
    char again[LOCAL_KEY_SIZE], first[LOCAL_KEY_SIZE];
    struct stat st;

    (void)state;
    create();
    assert_non_null(strstr(path, "/data/local-key-8317"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(local_key_read(path, again), 0);
    assert_string_equal(again, key);
    snprintf(first, sizeof(first), "%s", key);
    create();
    assert_string_not_equal(first, key);
    local_key_remove(key, path);
    assert_int_equal(local_key_read(path, again), -ENOENT);
}

static void a_link_in_its_place_is_not_followed(void **state)
{
    char file[300], link[400];
    struct stat st;

    (void)state;
    put("victim", "precious");
    snprintf(file, sizeof(file), "%s/data", folder);
    assert_int_equal(mkdir(file, 0700), 0);
    snprintf(file, sizeof(file), "%s/victim", folder);
    snprintf(link, sizeof(link), "%s/data/local-key-8317", folder);
    assert_int_equal(symlink(file, link), 0);
    create();
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_size, 8);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void the_second_place_is_below_auth_dir(void **state)
{
    (void)state;
    put("data", "in the way");
    create();
    assert_non_null(strstr(path, "/auths/data/local-key-8317"));
}

static void without_a_place_there_is_no_key(void **state)
{
    (void)state;
    put("data", "in the way");
    put("auths", "in the way");
    create();
    assert_string_equal(key, "");
    assert_string_equal(path, "");
    local_key_remove(key, path);
}

static void the_key_of_another_server_is_left_alone(void **state)
{
    char other[LOCAL_KEY_SIZE], there[LOCAL_KEY_SIZE];

    (void)state;
    create();
    memset(other, 'a', sizeof(other) - 1);
    other[sizeof(other) - 1] = '\0';
    local_key_remove(other, path);
    assert_int_equal(local_key_read(path, there), 0);
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "0123\n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg\n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\n"};
    char file[300];

    (void)state;
    snprintf(file, sizeof(file), "%s/k", folder);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        put("k", texts[i]);
        assert_int_equal(local_key_read(file, key), -EINVAL);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_new_key_lies_in_a_file_of_its_user),    TEST(a_link_in_its_place_is_not_followed),
        TEST(the_second_place_is_below_auth_dir),      TEST(without_a_place_there_is_no_key),
        TEST(the_key_of_another_server_is_left_alone), TEST(what_is_no_key_is_refused),
    };

    unsetenv("WRITABLE_PATH");
    unsetenv("writable_path");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
