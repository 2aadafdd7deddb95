// Tests of the sandbox, of loading, and of generations that are refused.

#include "script_world.h"

static char directory[256];
static struct buf error;

static int setup(void **state)
{
    (void)state;
    scripts_make(directory, sizeof(directory));
    buf_init(&error, 65536);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scripts_remove(directory);
    buf_deinit(&error);
    return 0;
}

// Builds and verifies a generation with those scripts over the stock ones.
static struct generation *build(const char *name, const char *text, size_t len)
{
    struct generation_options options = {.version = "test", .states = 2, .verify = true};
    struct config *config = config_of("scripts:\n  hard-limit-ms: 300\n  memory-mib: 64\n");
    struct bundle *bundle;
    struct generation *g;

    scripts_write_bytes(directory, name, text, len);
    bundle = bundle_new(directory, &error);
    assert_non_null(bundle);
    g = generation_new(7, bundle, config, &options, &error);
    bundle_unref(bundle);
    config_unref(config);
    return g;
}

// The script is refused with those words.
static void refused(const char *name, const char *text, const char *why)
{
    buf_clear(&error);
    assert_null(build(name, text, strlen(text)));
    if (!strstr(buf_cstr(&error), why))
        fail_msg("'%s' is not in: %s", why, buf_cstr(&error));
}

static void accepted(const char *text)
{
    struct generation *g = build("lib/tried.lua", text, strlen(text));

    if (!g)
        fail_msg("%s: %s", text, buf_cstr(&error));
    generation_discard(g);
}

static void test_scripts_see_what_is_allowed_and_nothing_else(void **state)
{
    static const char *const missing[] = {
        "io", "debug", "load", "loadstring", "loadfile", "dofile", "package", "coroutine", "print",
        "collectgarbage", "warn", "os.execute", "os.exit", "os.getenv", "os.remove", "string.dump"};
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(missing) / sizeof(*missing); i++) {
        snprintf(text, sizeof(text), "assert(%s == nil)", missing[i]);
        accepted(text);
    }
    accepted("assert(pcall and string.format and table.sort and math.floor and utf8.char and "
             "os.time and _G.pairs)");
}

static void test_globals_and_shared_metatables_cannot_be_changed(void **state)
{
    (void)state;
    refused("lib/tried.lua", "x = 1", "lib/tried.lua:1: attempt to set the global 'x'");
    refused("lib/tried.lua", "_G.pairs = nil", "globals are read-only");
    refused("lib/tried.lua", "setmetatable(_G, {})", "protected");
    accepted("assert(not getmetatable(''))");
}

static void test_scripts_have_no_finalizers(void **state)
{
    (void)state;
    refused("lib/tried.lua", "setmetatable({}, { __gc = function() while true do end end })",
            "finalizers");
    accepted("local t = setmetatable({}, { __index = { 1 } }) assert(t[1] == 1)\n"
             "setmetatable(t, nil) assert(t[1] == nil)");
}

static void test_bytecode_is_refused(void **state)
{
    (void)state;
    refused("lib/tried.lua", "\x1bLua", "attempt to load a binary chunk");
}

static void test_a_missing_or_circular_module_is_named(void **state)
{
    (void)state;
    refused("lib/tried.lua", "require 'lib.absent'", "there is no module 'lib.absent'");
    refused("lib/tried.lua", "require 'lib.tried'", "module 'lib.tried' requires itself");
    refused("lib/tried.lua", "return {", "lib/tried.lua:1:");
}

static void test_a_script_that_never_ends_is_named_with_its_line(void **state)
{
    (void)state;
    refused("lib/tried.lua", "\nwhile true do end", "lib/tried.lua:2:");
    refused("lib/tried.lua", "while true do pcall(function() while true do end end) end",
            "did not end");
    refused("lib/tried.lua", "local function f() return 1 + f() end f()", "lib/tried.lua");
}

static void test_a_script_that_takes_all_memory_is_refused(void **state)
{
    (void)state;
    refused("lib/tried.lua", "local t = {} while true do t[#t + 1] = {} end", "memory");
    refused("lib/tried.lua", "return string.rep('x', 1 << 30)", "memory");
}

static void test_providers_are_checked_against_their_shape(void **state)
{
    (void)state;
    refused("providers/tried.lua", "return 1", "providers/tried.lua: must return a table");
    refused("providers/tried.lua", "return { name = 1 }", "member 'name' must be a string");
    refused("providers/tried.lua",
            "return { name = 'a', dialect = 'chat', models = function() end }",
            "needs a member 'request' or 'open'");
    refused("providers/tried.lua",
            "return { name = 'a', dialect = 'chat', models = function() end,\n"
            "request = function() end, examples = { function() error 'wrong' end } }",
            "wrong");
}

static void test_every_state_of_a_generation_can_go_in_any_order(void **state)
{
    struct generation *g = build("lib/tried.lua", "", 0);

    (void)state;
    assert_non_null(g);
    assert_int_equal(g->number, 7);
    assert_ptr_equal(generation_of(g->states[1]), g);
    generation_release(g, g->states[1]);
    assert_false(generation_drained(g));
    generation_release(g, g->states[0]);
    assert_true(generation_drained(g));
    generation_release(g, NULL);
}

static void test_a_bundle_is_the_stock_scripts_and_what_lies_over_them(void **state)
{
    struct bundle *stock = bundle_new(NULL, &error), *own;

    (void)state;
    assert_non_null(stock);
    assert_non_null(bundle_module(stock, "core.router"));
    assert_ptr_equal(bundle_module(stock, "core.router"), bundle_find(stock, "core/router.lua"));
    assert_non_null(bundle_stock("main.lua"));
    assert_null(bundle_stock("absent.lua"));
    scripts_write(directory, "core/router.lua", "return 1");
    scripts_write(directory, "types/ignored.lua", "nonsense");
    scripts_write(directory, ".hidden.lua", "nonsense");
    own = bundle_new(directory, &error);
    assert_int_equal(own->count, stock->count);
    assert_true(bundle_find(own, "core/router.lua")->overlay);
    assert_string_equal(bundle_find(own, "core/router.lua")->source, "return 1");
    assert_string_not_equal(own->hash, stock->hash);
    assert_int_equal(strlen(own->hash), 64);
    bundle_unref(stock);
    bundle_unref(bundle_ref(own));
    bundle_unref(own);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_scripts_see_what_is_allowed_and_nothing_else),
        TEST(test_globals_and_shared_metatables_cannot_be_changed),
        TEST(test_scripts_have_no_finalizers),
        TEST(test_bytecode_is_refused),
        TEST(test_a_missing_or_circular_module_is_named),
        TEST(test_a_script_that_never_ends_is_named_with_its_line),
        TEST(test_a_script_that_takes_all_memory_is_refused),
        TEST(test_providers_are_checked_against_their_shape),
        TEST(test_every_state_of_a_generation_can_go_in_any_order),
        TEST(test_a_bundle_is_the_stock_scripts_and_what_lies_over_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
