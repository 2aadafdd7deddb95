// test_atomic.c - files that are either the old or the new content.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/atomic.h"

enum { NOBODY = 65534 };

struct world {
    char root[64], file[96];
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    if (!w)
        return -1;
    strcpy(w->root, "/tmp/test_atomic.XXXXXX");
    if (!mkdtemp(w->root))
        return -1;
    snprintf(w->file, sizeof(w->file), "%s/file", w->root);
    *state = w;
    return 0;
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

    nftw(w->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

static void put(const struct world *w, const char *text)
{
    assert_int_equal(atomic_write(w->file, text, strlen(text), 0600), 0);
}

static void assert_content(const char *path, const char *text)
{
    struct buf out;

    buf_init(&out, 1000);
    assert_int_equal(atomic_read(path, &out), 0);
    assert_string_equal(buf_cstr(&out), text);
    buf_deinit(&out);
}

static struct stat stat_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st;
}

static size_t files_in(const char *path)
{
    DIR *dir = opendir(path);
    size_t count = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void what_was_written_reads_back(void **state)
{
    struct world *w = *state;
    struct buf out;

    put(w, "some text");
    assert_content(w->file, "some text");
    put(w, "");
    assert_content(w->file, "");
    assert_int_equal(atomic_write(w->file, NULL, 0, 0600), 0);
    assert_int_equal(atomic_write(w->file, "a\0b", 3, 0600), 0);
    buf_init(&out, 3);
    buf_puts(&out, "");
    assert_int_equal(atomic_read(w->file, &out), 0);
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, "a\0b", 3);
    buf_deinit(&out);
}

static void the_mode_is_the_one_asked_for_whatever_the_umask(void **state)
{
    struct world *w = *state;
    mode_t old = umask(0);

    put(w, "secret");
    assert_int_equal(stat_of(w->file).st_mode & 07777, 0600);
    umask(0077);
    assert_int_equal(atomic_write(w->file, "public", 6, 0644), 0);
    assert_int_equal(stat_of(w->file).st_mode & 07777, 0644);
    put(w, "secret"); // what others could read becomes closed to them
    assert_int_equal(stat_of(w->file).st_mode & 07777, 0600);
    umask(old);
}

static void a_reader_of_the_old_file_keeps_the_old_content(void **state)
{
    struct world *w = *state;
    char text[8] = "";
    ino_t before;
    int fd;

    put(w, "old");
    before = stat_of(w->file).st_ino;
    fd = open(w->file, O_RDONLY);
    assert_true(fd >= 0);
    put(w, "new");
    assert_int_equal(read(fd, text, sizeof(text)), 3);
    assert_string_equal(text, "old");
    assert_content(w->file, "new");
    assert_int_not_equal(stat_of(w->file).st_ino, before);
    close(fd);
    assert_int_equal(files_in(w->root), 1); // no temporary file is left
}

static void failure_says_why_and_leaves_nothing_behind(void **state)
{
    struct world *w = *state;
    char path[128];

    snprintf(path, sizeof(path), "%s/none/file", w->root);
    assert_int_equal(atomic_write(path, "x", 1, 0600), -ENOENT);
    snprintf(path, sizeof(path), "%s/directory", w->root);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(atomic_write(path, "x", 1, 0600), -EISDIR);
    put(w, "x");
    snprintf(path, sizeof(path), "%s/file/below", w->root);
    assert_int_equal(atomic_write(path, "x", 1, 0600), -ENOTDIR);
    assert_int_equal(files_in(w->root), 2);
}

// A directory that takes no new file, as seen by a user without privileges.
static void in_a_closed_directory_the_file_itself_is_written(void **state)
{
    struct world *w = *state;
    bool root = geteuid() == 0;
    char other[128];
    ino_t before;
    int result, refused;

    assert_int_equal(atomic_write(w->file, "a longer old content", 20, 0644), 0);
    before = stat_of(w->file).st_ino;
    if (root && (chown(w->file, NOBODY, NOBODY) < 0 || chown(w->root, NOBODY, NOBODY) < 0))
        skip();
    assert_int_equal(chmod(w->root, 0500), 0);
    snprintf(other, sizeof(other), "%s/other", w->root);
    if (root && seteuid(NOBODY) < 0)
        skip();
    result = atomic_write(w->file, "new", 3, 0600);
    refused = atomic_write(other, "new", 3, 0600);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(w->root, 0700), 0);
    assert_int_equal(result, 0);
    assert_int_equal(refused, -EACCES);
    assert_content(w->file, "new");
    assert_int_equal(stat_of(w->file).st_ino, before);
    assert_int_equal(stat_of(w->file).st_mode & 07777, 0600);
    assert_int_equal(files_in(w->root), 1);
}

static void what_is_missing_or_no_file_is_told_apart(void **state)
{
    struct world *w = *state;
    struct buf out;

    buf_init(&out, 10);
    assert_int_equal(atomic_read(w->file, &out), -ENOENT);
    assert_int_equal(atomic_read(w->root, &out), -EISDIR);
    assert_int_equal(mkfifo(w->file, 0600), 0);
    assert_int_equal(atomic_read(w->file, &out), -EINVAL); // and does not wait for a writer
    assert_int_equal(out.len, 0);
    buf_deinit(&out);
}

static void a_file_may_be_as_large_as_the_buffer_and_no_larger(void **state)
{
    static const size_t sizes[] = {1, 65535, 65536, 65537, 200000};
    struct world *w = *state;
    char *text = malloc(200000);

    for (size_t i = 0; i < 200000; i++)
        text[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct buf out;

        assert_int_equal(atomic_write(w->file, text, sizes[i], 0600), 0);
        buf_init(&out, sizes[i]);
        assert_int_equal(atomic_read(w->file, &out), 0);
        assert_int_equal(out.len, sizes[i]);
        assert_memory_equal(out.data, text, sizes[i]);
        buf_deinit(&out);
        buf_init(&out, sizes[i] - 1);
        assert_int_equal(atomic_read(w->file, &out), -EFBIG);
        buf_deinit(&out);
    }
    free(text);
}

static void directories_are_made_with_their_parents(void **state)
{
    struct world *w = *state;
    mode_t old = umask(0);
    char path[128];

    snprintf(path, sizeof(path), "%s/a//b/c/", w->root);
    assert_int_equal(atomic_mkdirs(path), 0);
    umask(old);
    assert_int_equal(stat_of(path).st_mode & 07777, 0700);
    snprintf(path, sizeof(path), "%s/a", w->root);
    assert_int_equal(stat_of(path).st_mode & 07777, 0700);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(atomic_mkdirs(path), 0); // is there: untouched
    assert_int_equal(stat_of(path).st_mode & 07777, 0755);
    assert_int_equal(atomic_mkdirs("/"), 0);
    assert_int_equal(atomic_mkdirs("."), 0);
    assert_int_equal(atomic_mkdirs(""), -ENOENT);
}

static void a_file_in_the_way_of_a_directory_is_an_error(void **state)
{
    struct world *w = *state;
    char path[128];

    put(w, "x");
    assert_int_equal(atomic_mkdirs(w->file), -ENOTDIR);
    snprintf(path, sizeof(path), "%s/file/below", w->root);
    assert_int_equal(atomic_mkdirs(path), -ENOTDIR);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(what_was_written_reads_back),
        WITH_WORLD(the_mode_is_the_one_asked_for_whatever_the_umask),
        WITH_WORLD(a_reader_of_the_old_file_keeps_the_old_content),
        WITH_WORLD(failure_says_why_and_leaves_nothing_behind),
        WITH_WORLD(in_a_closed_directory_the_file_itself_is_written),
        WITH_WORLD(what_is_missing_or_no_file_is_told_apart),
        WITH_WORLD(a_file_may_be_as_large_as_the_buffer_and_no_larger),
        WITH_WORLD(directories_are_made_with_their_parents),
        WITH_WORLD(a_file_in_the_way_of_a_directory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
