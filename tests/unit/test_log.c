// test_log.c - the application log.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <regex.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

// A directory of the test's own, and a log that writes to `logs` in it.
struct world {
    char root[64], directory[96];
    struct log *log;
    struct log_options options;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    if (!w)
        return -1;
    strcpy(w->root, "/tmp/test_log.XXXXXX");
    if (!mkdtemp(w->root))
        return -1;
    snprintf(w->directory, sizeof(w->directory), "%s/logs", w->root);
    w->log = log_new();
    w->options = (struct log_options){.level = LOG_INFO, .directory = w->directory};
    *state = w;
    return w->log ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct world *w = *state;

    log_free(w->log);
    nftw(w->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

static void configure(struct world *w)
{
    assert_true(log_configure(w->log, &w->options));
}

// The content of a file in the log directory.
static struct buf content(const struct world *w, const char *name)
{
    char path[400];
    struct buf text;
    FILE *file;
    int c;

    snprintf(path, sizeof(path), "%s/%s", w->directory, name);
    buf_init(&text, 16 * 1024 * 1024);
    file = fopen(path, "r");
    assert_non_null(file);
    while ((c = fgetc(file)) != EOF)
        buf_putc(&text, (char)c);
    fclose(file);
    assert_non_null(buf_cstr(&text));
    return text;
}

static void assert_log_matches(const struct world *w, const char *pattern)
{
    struct buf text = content(w, "main.log");
    regex_t regex;

    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, text.data, 0, NULL, 0) != 0)
        fail_msg("'%s' does not match %s", text.data, pattern);
    regfree(&regex);
    buf_deinit(&text);
}

static void put_file(const struct world *w, const char *name, size_t size, time_t changed)
{
    char path[400];
    struct timespec times[2] = {{.tv_sec = changed}, {.tv_sec = changed}};
    int fd;

    mkdir(w->directory, 0700);
    snprintf(path, sizeof(path), "%s/%s", w->directory, name);
    fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static bool has_file(const struct world *w, const char *name)
{
    char path[400];

    snprintf(path, sizeof(path), "%s/%s", w->directory, name);
    return access(path, F_OK) == 0;
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

#define STAMP "\\[[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\] "

static void a_line_has_time_request_level_origin_and_message(void **state)
{
    struct world *w = *state;

    configure(w);
    log_write(w->log, LOG_INFO, "access", "deadbeef", "%d %s", 200, "ok");
    log_warn(w->log, "careful");
    log_write(w->log, LOG_ERROR, "main.c:1", NULL, "broken");
    log_flush(w->log);
    assert_log_matches(w, "^" STAMP "\\[deadbeef\\] \\[info \\] \\[access\\] 200 ok\n" STAMP
                          "\\[--------\\] \\[warn \\] \\[[^]]*test_log.c:[0-9]+\\] careful\n" STAMP
                          "\\[--------\\] \\[error\\] \\[main.c:1\\] broken\n$");
}

static void lines_below_the_level_are_not_written(void **state)
{
    struct world *w = *state;

    configure(w);
    assert_false(log_enabled(w->log, LOG_DEBUG));
    assert_true(log_enabled(w->log, LOG_INFO));
    log_debug(w->log, "hidden");
    w->options.level = LOG_DEBUG;
    configure(w);
    log_debug(w->log, "shown");
    w->options.level = LOG_ERROR;
    configure(w);
    log_warn(w->log, "hidden");
    log_flush(w->log);
    assert_log_matches(w, "^" STAMP "\\[--------\\] \\[debug\\] \\[[^]]*\\] shown\n$");
}

static void a_text_of_several_lines_becomes_several_lines(void **state)
{
    struct world *w = *state;
    const char *text = "config.yaml:2: one\n\nconfig.yaml:3: two\nthe end";

    configure(w);
    log_write_lines(w->log, LOG_WARN, "config", text, strlen(text));
    log_write_lines(w->log, LOG_WARN, "config", NULL, 0);
    assert_log_matches(w, "^" STAMP "\\[--------\\] \\[warn \\] \\[config\\] config.yaml:2: one\n" STAMP
                          "[^\n]* config.yaml:3: two\n" STAMP "[^\n]* the end\n$");
}

static void a_log_that_is_not_there_swallows_lines(void **state)
{
    (void)state;
    assert_false(log_enabled(NULL, LOG_ERROR));
    log_error(NULL, "nobody reads this");
    log_flush(NULL);
    log_free(NULL);
}

static void quiet_lines_wait_for_a_flush_and_loud_ones_do_not(void **state)
{
    struct world *w = *state;
    struct buf text;

    configure(w);
    log_info(w->log, "quiet");
    text = content(w, "main.log");
    assert_int_equal(text.len, 0);
    buf_deinit(&text);
    log_warn(w->log, "loud");
    assert_log_matches(w, "quiet\n.*loud\n$");
}

static void control_characters_cannot_forge_a_line_or_drive_a_terminal(void **state)
{
    struct world *w = *state;

    configure(w);
    log_write(w->log, LOG_INFO, "o", NULL, "a\nb\tc\rd\x1b[2J\x7f\xc2\x9b|\xc2\xa0|\xc3\xa4|%c|",
              1);
    log_flush(w->log);
    assert_log_matches(w, "\\[o\\] a\\\\nb\\\\tc\\\\x0dd\\\\x1b\\[2J\\\\x7f\\\\xc2\\\\x9b\\|"
                          "\xc2\xa0\\|\xc3\xa4\\|\\\\x01\\|\n$");
}

static void a_very_long_message_is_cut(void **state)
{
    struct world *w = *state;
    char *message = malloc(100001);
    struct buf text;

    memset(message, 'x', 100000);
    message[100000] = '\0';
    configure(w);
    log_info(w->log, "%s", message);
    log_warn(w->log, "next");
    text = content(w, "main.log");
    assert_true(text.len > 10000 && text.len < 20000);
    buf_deinit(&text);
    assert_log_matches(w, "next\n$");
    free(message);
}

static void directory_and_file_are_for_the_owner_only(void **state)
{
    struct world *w = *state;
    char path[128];
    mode_t old = umask(0);

    configure(w);
    umask(old);
    snprintf(path, sizeof(path), "%s/main.log", w->directory);
    assert_int_equal(mode_of(w->directory), 0700);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(chmod(path, 0644), 0); // as an older program left it
    configure(w);
    assert_int_equal(mode_of(path), 0600);
}

static void lines_are_added_to_the_file_of_the_last_run(void **state)
{
    struct world *w = *state;

    configure(w);
    log_warn(w->log, "first run");
    log_free(w->log);
    w->log = log_new();
    configure(w);
    log_warn(w->log, "second run");
    assert_log_matches(w, "first run\n.*second run\n$");
}

// Counts the rotated files, checks their names, adds up their lines.
static size_t count_rotated(const struct world *w, size_t *lines)
{
    DIR *dir = opendir(w->directory);
    struct dirent *entry;
    size_t count = 0;
    regex_t name;

    assert_non_null(dir);
    assert_int_equal(regcomp(&name, "^main-[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}"
                                    "\\.[0-9]{3}\\.log$", REG_EXTENDED | REG_NOSUB), 0);
    while ((entry = readdir(dir))) {
        struct buf text;

        if (strncmp(entry->d_name, "main", 4) != 0)
            continue;
        text = content(w, entry->d_name);
        for (size_t i = 0; i < text.len; i++)
            *lines += text.data[i] == '\n';
        buf_deinit(&text);
        if (strcmp(entry->d_name, "main.log") == 0)
            continue;
        assert_int_equal(regexec(&name, entry->d_name, 0, NULL, 0), 0);
        count++;
    }
    regfree(&name);
    closedir(dir);
    return count;
}

static void a_full_file_is_renamed_and_no_line_is_lost(void **state)
{
    struct world *w = *state;
    size_t lines = 0;

    w->options.rotate_bytes = 500;
    configure(w);
    for (int i = 0; i < 60; i++)
        log_warn(w->log, "%0100d", i); // several rotations in one millisecond
    assert_in_range(count_rotated(w, &lines), 10, 20);
    assert_int_equal(lines, 60);
}

static void a_file_that_is_full_already_is_renamed_after_the_next_line(void **state)
{
    struct world *w = *state;
    size_t lines = 0;

    put_file(w, "main.log", 2000, 1000);
    w->options.rotate_bytes = 1000;
    configure(w);
    log_warn(w->log, "one");
    assert_int_equal(count_rotated(w, &lines), 1);
}

static void the_oldest_files_go_when_all_together_are_too_large(void **state)
{
    struct world *w = *state;

    put_file(w, "main-a.log", 400, 3000);
    put_file(w, "old.log.gz", 400, 1000);
    put_file(w, "v1-chat.log", 400, 2000);
    put_file(w, "notes.txt", 4000, 500); // not ours
    w->options.directory_max_bytes = 1000;
    configure(w);
    log_warn(w->log, "sweep");
    assert_false(has_file(w, "old.log.gz"));
    assert_true(has_file(w, "v1-chat.log"));
    assert_true(has_file(w, "main-a.log"));
    assert_true(has_file(w, "notes.txt"));
}

static void the_active_file_is_never_removed(void **state)
{
    struct world *w = *state;

    put_file(w, "main.log", 5000, 100);
    put_file(w, "a.log", 10, 2000);
    w->options.directory_max_bytes = 1000;
    configure(w);
    log_warn(w->log, "sweep");
    assert_true(has_file(w, "main.log"));
    assert_false(has_file(w, "a.log"));
}

static void rotation_keeps_within_the_total(void **state)
{
    struct world *w = *state;
    size_t lines = 0;

    w->options.rotate_bytes = 500;
    w->options.directory_max_bytes = 2000;
    configure(w);
    for (int i = 0; i < 60; i++)
        log_warn(w->log, "%0100d", i);
    assert_in_range(count_rotated(w, &lines), 1, 4);
    assert_in_range(lines, 5, 25);
}

static void without_a_limit_nothing_is_removed(void **state)
{
    struct world *w = *state;

    put_file(w, "a.log", 1000000, 1000);
    configure(w);
    log_warn(w->log, "sweep");
    assert_true(has_file(w, "a.log"));
}

static void a_directory_that_cannot_be_written_is_replaced_by_the_fallback(void **state)
{
    struct world *w = *state;
    char blocked[96], fallback[160];
    FILE *file;

    snprintf(blocked, sizeof(blocked), "%s/file", w->root);
    file = fopen(blocked, "w");
    assert_non_null(file);
    fclose(file);
    snprintf(fallback, sizeof(fallback), "%s/auth/deep/logs", w->root); // its parents are made
    w->options.directory = blocked;
    w->options.fallback = fallback;
    configure(w);
    log_warn(w->log, "here");
    snprintf(w->directory, sizeof(w->directory), "%s/auth/deep/logs", w->root);
    assert_log_matches(w, "here\n$");
    assert_int_equal(mode_of(w->directory), 0700);
}

static void without_any_directory_the_old_destination_stays(void **state)
{
    struct world *w = *state;
    struct log_options options = {.level = LOG_DEBUG, .directory = "/dev/null/logs"};
    char *long_name = malloc(5001);

    memset(long_name, 'x', 5000);
    long_name[5000] = '\0';
    configure(w);
    assert_false(log_configure(w->log, &options));
    options.fallback = long_name;
    options.directory = "";
    assert_false(log_configure(w->log, &options));
    log_debug(w->log, "hidden");
    log_warn(w->log, "still here");
    assert_log_matches(w, "still here\n$");
    free(long_name);
}

enum { THREADS = 4, LINES = 2000 };

static void *write_lines(void *ctx)
{
    for (int i = 0; i < LINES; i++) {
        log_write(ctx, i % 50 ? LOG_INFO : LOG_WARN, "thread", NULL, "%s", "one whole line");
        if (i % 100 == 0)
            log_flush(ctx);
    }
    return NULL;
}

static void lines_of_several_threads_stay_whole(void **state)
{
    struct world *w = *state;
    pthread_t threads[THREADS];
    size_t lines = 0;
    struct buf text;

    w->options.rotate_bytes = 100000;
    configure(w);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, w->log), 0);
    for (int i = 0; i < 20; i++) // a reload meanwhile
        configure(w);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_flush(w->log);
    count_rotated(w, &lines);
    assert_int_equal(lines, THREADS * LINES);
    text = content(w, "main.log");
    for (char *at = text.data, *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        assert_non_null(end);
        assert_int_equal(end - at, strlen("[2026-01-01 00:00:00] [--------] [info ] [thread] "
                                          "one whole line"));
    }
    buf_deinit(&text);
}

static void a_mask_shows_four_characters_at_each_end_of_a_long_secret(void **state)
{
    char out[16];

    (void)state;
    assert_string_equal(log_mask("", 0, out, sizeof(out)), "***");
    assert_string_equal(log_mask("12345678", 8, out, sizeof(out)), "***");
    assert_string_equal(log_mask("123456789", 9, out, sizeof(out)), "1234...6789");
    assert_string_equal(log_mask("sk-abcdefghijklmnop~~", 19, out, sizeof(out)), "sk-a...mnop");
    assert_string_equal(log_mask("123456789", 9, out, 6), "1234.");
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_line_has_time_request_level_origin_and_message),
        WITH_WORLD(lines_below_the_level_are_not_written),
        WITH_WORLD(a_text_of_several_lines_becomes_several_lines),
        cmocka_unit_test(a_log_that_is_not_there_swallows_lines),
        WITH_WORLD(quiet_lines_wait_for_a_flush_and_loud_ones_do_not),
        WITH_WORLD(control_characters_cannot_forge_a_line_or_drive_a_terminal),
        WITH_WORLD(a_very_long_message_is_cut),
        WITH_WORLD(directory_and_file_are_for_the_owner_only),
        WITH_WORLD(lines_are_added_to_the_file_of_the_last_run),
        WITH_WORLD(a_full_file_is_renamed_and_no_line_is_lost),
        WITH_WORLD(a_file_that_is_full_already_is_renamed_after_the_next_line),
        WITH_WORLD(the_oldest_files_go_when_all_together_are_too_large),
        WITH_WORLD(the_active_file_is_never_removed),
        WITH_WORLD(rotation_keeps_within_the_total),
        WITH_WORLD(without_a_limit_nothing_is_removed),
        WITH_WORLD(a_directory_that_cannot_be_written_is_replaced_by_the_fallback),
        WITH_WORLD(without_any_directory_the_old_destination_stays),
        WITH_WORLD(lines_of_several_threads_stay_whole),
        cmocka_unit_test(a_mask_shows_four_characters_at_each_end_of_a_long_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
