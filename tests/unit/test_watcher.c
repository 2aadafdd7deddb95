// The watcher on a directory of its own.

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

#include "net/watcher.h"

static struct {
    uv_loop_t loop;
    struct watcher *watcher;
    uv_timer_t guard;
    char top[64];
    int reports;
    bool late;
    char last[256];
} test;

static void on_change(void *ctx, const char *path)
{
    (void)ctx;
    test.reports++;
    snprintf(test.last, sizeof(test.last), "%s", path);
}

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    test.late = true;
}

// A path below the test's directory, valid until the fourth next call.
static const char *at(const char *below)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", test.top, below);
    return path;
}

static void write_file(const char *below)
{
    FILE *f = fopen(at(below), "w");

    assert_non_null(f);
    fputs("x", f);
    fclose(f);
}

static void wait_for_report(const char *path)
{
    int before = test.reports;

    test.late = false;
    uv_timer_start(&test.guard, on_guard, 5000, 0);
    while (test.reports == before && !test.late)
        uv_run(&test.loop, UV_RUN_ONCE);
    uv_timer_stop(&test.guard);
    assert_int_equal(test.reports, before + 1);
    assert_string_equal(test.last, path);
}

static int set_up(void **state)
{
    (void)state;
    memset(&test, 0, sizeof(test));
    strcpy(test.top, "watcher-XXXXXX");
    assert_non_null(mkdtemp(test.top));
    uv_loop_init(&test.loop);
    uv_timer_init(&test.loop, &test.guard);
    test.watcher = watcher_new(&test.loop, NULL, 0.02, on_change, NULL);
    assert_non_null(test.watcher);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    watcher_stop(test.watcher);
    uv_close((uv_handle_t *)&test.guard, NULL);
    uv_run(&test.loop, UV_RUN_DEFAULT);
    assert_true(watcher_closed(test.watcher));
    watcher_free(test.watcher);
    assert_int_equal(uv_loop_close(&test.loop), 0);
    snprintf(command, sizeof(command), "rm -rf %s", test.top);
    return system(command);
}

static void several_changes_are_one_report(void **state)
{
    (void)state;
    assert_int_equal(watcher_add(test.watcher, test.top, false), 0);
    write_file("a");
    write_file("b");
    unlink(at("a"));
    wait_for_report(test.top);
}

static void a_file_replaced_by_rename_is_reported(void **state)
{
    (void)state;
    write_file("a");
    assert_int_equal(watcher_add(test.watcher, test.top, false), 0);
    write_file("b");
    wait_for_report(test.top);
    rename(at("b"), at("a"));
    wait_for_report(test.top);
}

static void a_directory_made_later_is_watched_as_well(void **state)
{
    (void)state;
    assert_int_equal(watcher_add(test.watcher, test.top, true), 0);
    mkdir(at("one"), 0700);
    wait_for_report(test.top);
    mkdir(at("one/two"), 0700);
    wait_for_report(test.top);
    write_file("one/two/file");
    wait_for_report(test.top);
}

static void a_missing_directory_is_picked_up_when_it_appears(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s", at("one/two"));
    assert_int_equal(watcher_add(test.watcher, path, false), 0);
    mkdir(at("one"), 0700);
    wait_for_report(path);
    mkdir(at("one/two"), 0700);
    wait_for_report(path);
    write_file("one/two/file");
    wait_for_report(path);
}

static void a_directory_deleted_and_made_again_is_watched_again(void **state)
{
    char path[128];

    (void)state;
    mkdir(at("one"), 0700);
    snprintf(path, sizeof(path), "%s", at("one"));
    assert_int_equal(watcher_add(test.watcher, path, false), 0);
    rmdir(path);
    wait_for_report(path);
    mkdir(path, 0700);
    wait_for_report(path);
    rmdir(path);
    mkdir(path, 0700);
    wait_for_report(path);
    write_file("one/file");
    wait_for_report(path);
}

static void a_symbolic_link_that_is_switched_is_followed(void **state)
{
    char path[128];

    (void)state;
    mkdir(at("v1"), 0700);
    mkdir(at("v2"), 0700);
    mkdir(at("v1/conf"), 0700);
    mkdir(at("v2/conf"), 0700);
    assert_int_equal(symlink("v1", at("data")), 0);
    snprintf(path, sizeof(path), "%s", at("data/conf"));
    assert_int_equal(watcher_add(test.watcher, path, true), 0);
    assert_int_equal(symlink("v2", at("data-new")), 0);
    rename(at("data-new"), at("data"));
    wait_for_report(path);
    write_file("v2/conf/file");
    wait_for_report(path);
}

static void a_link_that_leads_back_does_no_harm(void **state)
{
    (void)state;
    assert_int_equal(symlink(".", at("self")), 0);
    assert_int_equal(watcher_add(test.watcher, test.top, true), 0);
    write_file("file");
    wait_for_report(test.top);
}

static void a_removed_directory_is_not_reported(void **state)
{
    char one[128], two[128];

    (void)state;
    mkdir(at("one"), 0700);
    mkdir(at("two"), 0700);
    snprintf(one, sizeof(one), "%s", at("one"));
    snprintf(two, sizeof(two), "%s", at("two"));
    assert_int_equal(watcher_add(test.watcher, one, false), 0);
    assert_int_equal(watcher_add(test.watcher, two, false), 0);
    write_file("one/file");
    watcher_remove(test.watcher, one);
    write_file("two/file");
    wait_for_report(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(several_changes_are_one_report),
        TEST(a_file_replaced_by_rename_is_reported),
        TEST(a_directory_made_later_is_watched_as_well),
        TEST(a_missing_directory_is_picked_up_when_it_appears),
        TEST(a_directory_deleted_and_made_again_is_watched_again),
        TEST(a_symbolic_link_that_is_switched_is_followed),
        TEST(a_link_that_leads_back_does_no_harm),
        TEST(a_removed_directory_is_not_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
