// test_lua_file.c - the module `file`.

#include "script_world.h"

#include <dirent.h>
#include <fcntl.h>

// `D` is a directory of its own, which main.lua finds in the store.
static const char MAIN[] =
    "local file, store = require 'file', require 'store'\n"
    "local M, D = {}\n"
    "function M.handle() end function M.failed() end\n"
    "local function fails(code, value, err)\n"
    "  if value ~= nil or err.code ~= code then error('not ' .. code .. ': ' .. tostring(err)) "
    "end\n"
    "end\n"
    "function M.begin() D = store.get 'directory' end\n"
    "function M.write()\n"
    "  assert(file.write(D .. '/b', 'one\\0two')) assert(file.write(D .. '/a', ''))\n"
    "  assert(file.read(D .. '/b') == 'one\\0two') assert(file.read(D .. '/a') == '')\n"
    "  local names = assert(file.list(D)) table.sort(names)\n"
    "  assert(table.concat(names, ' ') == 'a b')\n"
    "  assert(file.remove(D .. '/a'))\n"
    "  fails('not_found', file.read(D .. '/a')) fails('not_found', file.remove(D .. '/a'))\n"
    "  fails('io', file.read(D .. '/b', 3)) assert(#file.read(D .. '/b', 7) == 7)\n"
    "end\n"
    "function M.odd()\n"
    "  fails('io', file.read(D .. '/fifo')) fails('io', file.read(D))\n"
    "  fails('io', file.try_lock(D .. '/link.lock'))\n"
    "  fails('not_found', file.read(D .. '/elsewhere'))\n"
    "  assert(#file.list(D) == 0)\n"
    "end\n"
    "function M.lock()\n"
    "  local first <close> = assert(file.try_lock(D .. '/x.lock'))\n"
    "  for _ = 1, 200 do fails('busy', file.try_lock(D .. '/x.lock')) end\n"
    "  store.set('locked', 'yes')\n"
    "end\n"
    "function M.lock_again()\n"
    "  local lock <close> = assert(file.try_lock(D .. '/x.lock'))\n"
    "  lock:close()\n"
    "  local other <close> = assert(file.try_lock(D .. '/x.lock'))\n"
    "end\n"
    "return M\n";

static void begin(struct script_world *w, char directory[])
{
    script_world_init(w, "", MAIN);
    assert_non_null(mkdtemp(directory));
    store_set(
        w->store, "directory", 9,
        &(struct store_value){.type = STORE_STRING, .text = directory, .len = strlen(directory)},
        0);
    assert_int_equal(script_call(w, "begin"), TASK_OK);
}

static void expect_fine(struct script_world *w, const char *function)
{
    if (script_call(w, function) != TASK_OK)
        fail_msg("%s", w->message);
}

static void end(struct script_world *w, const char *directory)
{
    script_world_deinit(w);
    scripts_remove(directory);
}

static size_t open_descriptors(void)
{
    DIR *all = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(all);
    while (readdir(all))
        count++;
    closedir(all);
    return count;
}

static void what_was_written_is_read_by_its_owner_alone(void **state)
{
    char directory[] = "/tmp/files-XXXXXX", path[64];
    struct script_world w;
    struct stat st;

    (void)state;
    begin(&w, directory);
    expect_fine(&w, "write");
    snprintf(path, sizeof(path), "%s/b", directory);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    end(&w, directory);
}

static void what_is_no_file_is_an_error_and_holds_nobody_up(void **state)
{
    char directory[] = "/tmp/files-XXXXXX", path[64];
    struct script_world w;

    (void)state;
    begin(&w, directory);
    snprintf(path, sizeof(path), "%s/fifo", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof(path), "%s/link.lock", directory);
    assert_int_equal(symlink("elsewhere", path), 0);
    alarm(30); // instead of hanging
    expect_fine(&w, "odd");
    alarm(0);
    end(&w, directory);
}

static void trying_to_lock_what_is_locked_keeps_no_descriptor(void **state)
{
    char directory[] = "/tmp/files-XXXXXX";
    struct script_world w;
    size_t before;

    (void)state;
    begin(&w, directory);
    lua_gc(w.state->L, LUA_GCSTOP);
    before = open_descriptors();
    expect_fine(&w, "lock");
    assert_string_equal(script_said(&w, "locked"), "yes");
    assert_int_equal(open_descriptors(), before);
    expect_fine(&w, "lock_again");
    assert_int_equal(open_descriptors(), before);
    end(&w, directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_by_its_owner_alone),
        cmocka_unit_test(what_is_no_file_is_an_error_and_holds_nobody_up),
        cmocka_unit_test(trying_to_lock_what_is_locked_keeps_no_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
