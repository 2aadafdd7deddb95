// Tests of tasks: limits, cancelling, reuse of coroutines, and how scripts can fail.

#include "script_world.h"

// Half a second is plenty for what has to end, and short enough to wait for what must not.
static const char config_text[] = "scripts:\n  hard-limit-ms: 100\n  memory-mib: 32\n";

static const char main_text[] =
    "local store, timer, http = require 'store', require 'timer', require 'http'\n"
    "local M = { handle = function() end, failed = function() end }\n"
    "local function closing(name, f)\n"
    "  return setmetatable({}, { __close = function()\n"
    "    if f then f() end\n"
    "    store.set(name, 'closed')\n"
    "  end })\n"
    "end\n"
    "local function forever() while true do end end\n"
    "function M.nothing() end\n"
    "function M.boom() local t = nil; return t.x end\n"
    "function M.object() error(setmetatable({}, { __tostring = function() return 'an object' end })) end\n"
    "function M.bad_object() error(setmetatable({}, { __tostring = function() error 'twice' end })) end\n"
    "function M.odd_object() error(setmetatable({}, { __tostring = function() return 1 end })) end\n"
    "function M.slow_object() error(setmetatable({}, { __tostring = forever })) end\n"
    "function M.nothing_raised() error(nil) end\n"
    "function M.forever() forever() end\n"
    "function M.forever_in_pcall() while true do pcall(forever) end end\n"
    "function M.forever_in_xpcall() while true do xpcall(forever, forever) end end\n"
    "function M.forever_in_sort() table.sort({ 3, 2, 1 }, forever) end\n"
    "function M.forever_in_sort_in_pcall()\n"
    "  while true do pcall(table.sort, { 3, 2, 1 }, forever) end\n"
    "end\n"
    "function M.forever_in_gsub() string.gsub('x', 'x', forever) end\n"
    "function M.forever_in_metamethod() return setmetatable({}, { __index = forever }).x end\n"
    "function M.forever_in_iterator() for _ in forever do end end\n"
    "function M.forever_in_close() local c <close> = closing('x', forever) end\n"
    "function M.closes_after_limit() local c <close> = closing 'late'; forever() end\n"
    "function M.long_but_fine()\n"
    "  local sum = 0\n"
    "  for round = 1, 6 do\n"
    "    local t0 = os.clock()\n"
    "    while os.clock() - t0 < 0.03 do\n"
    "      pcall(function() sum = sum + #string.rep('x', 10) end)\n"
    "      table.sort({ 3, 1, 2 }, function(a, b) return a < b end)\n"
    "      for k, v in pairs(setmetatable({ 1 }, { __index = { 2 } })) do sum = sum + v end\n"
    "    end\n"
    "    timer.sleep(0)\n"
    "  end\n"
    "  store.set('fine', sum > 0 and 'yes' or 'no')\n"
    "end\n"
    "function M.recursion() local function f() return 1 + f() end return f() end\n"
    "function M.eats()\n"
    "  local t = {}\n"
    "  while true do t[#t + 1] = string.rep('x', 100000) .. #t end\n"
    "end\n"
    "function M.eats_at_once() return (string.rep('x', 1 << 30)) end\n"
    "function M.holds(n)\n"
    "  local kept = {}\n"
    "  for i = 1, 6 do kept[i] = string.rep('x', 4 << 20); timer.sleep(0) end\n"
    "  store.set('holds', 'yes')\n"
    "  timer.sleep(1000)\n"
    "end\n"
    "function M.fills()\n"
    "  local kept = {}\n"
    "  pcall(function() for i = 1, 64 do kept[i] = string.rep('x', 1 << 20); timer.sleep(0) end end)\n"
    "  pcall(function() while true do kept = { kept } end end)\n"
    "  timer.sleep(1000)\n"
    "end\n"
    "local grown = {}\n"
    "function M.grows() for i = 1, 80 do grown[i] = string.rep('x', 1 << 20); timer.sleep(0) end end\n"
    "function M.shrinks() grown = {} end\n"
    "function M.sleeps() local c <close> = closing 'sleeper'; timer.sleep(1000) end\n"
    "function M.naps() timer.sleep(0.001); store.set('nap', 'over') end\n"
    "function M.sleeps_in_close()\n"
    "  local a <close> = closing 'outer'\n"
    "  local b <close> = closing('inner', function() timer.sleep(1) end)\n"
    "  timer.sleep(1000)\n"
    "end\n"
    "function M.fails_in_close()\n"
    "  local a <close> = closing 'first'\n"
    "  local b <close> = closing('second', function() error 'no' end)\n"
    "  local c <close> = closing 'third'\n"
    "  timer.sleep(1000)\n"
    "end\n"
    "function M.loops_in_close()\n"
    "  local a <close> = closing 'one'\n"
    "  local b <close> = closing('two', forever)\n"
    "  timer.sleep(1000)\n"
    "end\n"
    "function M.sleeps_in_sort()\n"
    "  local ok, err = pcall(table.sort, { 2, 1 }, function() timer.sleep(1) end)\n"
    "  store.set('sort', tostring(err))\n"
    "end\n"
    "local shared\n"
    "function M.waits_for_response()\n"
    "  shared = http.start { url = 'http://127.0.0.1:9/', timeout = { connect = 600 } }\n"
    "  local ok, err = pcall(function() return shared:body() end)\n"
    "  store.set('waited', tostring(err))\n"
    "end\n"
    "function M.closes_response() if shared then shared:close() end end\n"
    "return M\n";

static int setup(void **state)
{
    struct script_world *w = calloc(1, sizeof(*w));

    script_world_init(w, config_text, main_text);
    *state = w;
    return 0;
}

static int setup_large(void **state)
{
    struct script_world *w = calloc(1, sizeof(*w));

    script_world_init(w, "scripts:\n  memory-mib: 512\n", main_text);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    script_world_deinit(*state);
    free(*state);
    return 0;
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

static void test_a_task_runs_to_its_end(void **state)
{
    struct script_world *w = *state;

    assert_int_equal(script_call(w, "nothing"), TASK_OK);
    assert_int_equal(state_tasks(w->state), 0);
}

static void test_an_error_tells_place_and_traceback(void **state)
{
    struct script_world *w = *state;

    assert_int_equal(script_call(w, "boom"), TASK_FAILED);
    assert_holds(w->message, "main.lua:");
    assert_holds(w->message, "stack traceback");
}

static void test_an_error_object_of_any_kind_is_only_an_error(void **state)
{
    struct script_world *w = *state;

    assert_int_equal(script_call(w, "object"), TASK_FAILED);
    assert_holds(w->message, "an object");
    assert_int_equal(script_call(w, "bad_object"), TASK_FAILED);
    assert_int_equal(script_call(w, "odd_object"), TASK_FAILED);
    assert_int_equal(script_call(w, "nothing_raised"), TASK_FAILED);
    assert_int_equal(script_call(w, "slow_object"), TASK_STOPPED);
    assert_int_equal(script_call(w, "nothing"), TASK_OK);
}

static void test_a_script_that_never_ends_is_stopped_wherever_it_hides(void **state)
{
    static const char *const functions[] = {
        "forever",         "forever_in_pcall", "forever_in_xpcall",     "forever_in_sort",
        "forever_in_gsub", "forever_in_sort_in_pcall", "forever_in_metamethod",
        "forever_in_iterator", "forever_in_close"};
    struct script_world *w = *state;

    for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
        assert_int_equal(script_call(w, functions[i]), TASK_STOPPED);
        assert_holds(w->message, "main.lua:");
        assert_holds(w->message, "without waiting");
    }
    assert_int_equal(script_call(w, "nothing"), TASK_OK);
}

static void test_the_coroutine_of_a_stopped_task_can_be_stopped_again(void **state)
{
    struct script_world *w = *state;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(script_call(w, "forever_in_sort"), TASK_STOPPED);
        assert_int_equal(script_call(w, "forever"), TASK_STOPPED);
    }
}

static void test_a_stopped_task_still_closes_its_variables(void **state)
{
    struct script_world *w = *state;

    assert_int_equal(script_call(w, "closes_after_limit"), TASK_STOPPED);
    assert_string_equal(script_said(w, "late"), "closed");
}

static void test_long_work_between_waits_goes_on_where_it_was(void **state)
{
    struct script_world *w = *state;

    assert_int_equal(script_call(w, "long_but_fine"), TASK_OK);
    assert_string_equal(script_said(w, "fine"), "yes");
}

static void test_a_long_run_lets_others_have_their_turn(void **state)
{
    struct script_world *w = *state;

    script_start(w, "forever");
    script_start(w, "naps");
    script_run(w, 1);
    assert_int_equal(w->result, TASK_OK);
    assert_string_equal(script_said(w, "nap"), "over");
    script_run(w, 2);
    assert_int_equal(w->result, TASK_STOPPED);
}

static void test_endless_recursion_is_an_error(void **state)
{
    struct script_world *w = *state;

    // With sanitizers the time may be over before the stack.
    assert_int_not_equal(script_call(w, "recursion"), TASK_OK);
    assert_int_equal(script_call(w, "nothing"), TASK_OK);
}

static void test_a_task_that_takes_too_much_memory_fails_alone(void **state)
{
    struct script_world *w = *state;

    script_start(w, "sleeps");
    script_start(w, "eats");
    script_run(w, 1);
    assert_true(w->result == TASK_STOPPED || w->result == TASK_FAILED);
    assert_holds(w->message, "memory");
    assert_int_equal(script_call(w, "eats_at_once"), TASK_FAILED);
    assert_holds(w->message, "memory");
    assert_int_equal(state_tasks(w->state), 1);
    assert_int_equal(script_call(w, "nothing"), TASK_OK);
}

static void test_a_state_without_memory_fails_tasks_and_recovers(void **state)
{
    struct script_world *w = *state;
    struct task *fills = script_start(w, "fills"), *t;

    for (int i = 0; i < 2000 && w->state->memory < (30u << 20); i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_true(w->state->memory > (30u << 20));
    script_turn(w, 20);
    for (int i = 0; i < 200; i++) {
        t = task_new(w->state); // NULL is fine, an abort is not
        if (t)
            task_cancel(t);
    }
    if (w->ended == 0)
        task_cancel(fills);
    assert_int_equal(script_call(w, "nothing"), TASK_OK);
}

static void test_cancelling_closes_what_is_open(void **state)
{
    struct script_world *w = *state;
    struct task *t = script_start(w, "sleeps");

    script_turn(w, 3);
    assert_string_equal(script_said(w, "sleeper"), "");
    task_cancel(t);
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->result, TASK_CANCELLED);
    assert_string_equal(script_said(w, "sleeper"), "closed");
}

static void test_a_task_can_be_cancelled_before_it_ran(void **state)
{
    struct script_world *w = *state;

    task_cancel(script_start(w, "sleeps"));
    assert_int_equal(w->result, TASK_CANCELLED);
    script_turn(w, 3);
    assert_string_equal(script_said(w, "sleeper"), "");
    assert_int_equal(script_call(w, "nothing"), TASK_OK);
}

static void test_waiting_in_a_close_handler_of_a_cancelled_task_raises(void **state)
{
    struct script_world *w = *state;
    struct task *t = script_start(w, "sleeps_in_close");

    script_turn(w, 3);
    task_cancel(t);
    assert_string_equal(script_said(w, "inner"), "");
    assert_string_equal(script_said(w, "outer"), "closed");
    assert_int_equal(script_call(w, "naps"), TASK_OK);
}

static void test_a_failing_close_handler_does_not_keep_the_others_from_running(void **state)
{
    struct script_world *w = *state;
    struct task *t = script_start(w, "fails_in_close");

    script_turn(w, 3);
    task_cancel(t);
    assert_string_equal(script_said(w, "third"), "closed");
    assert_string_equal(script_said(w, "second"), "");
    assert_string_equal(script_said(w, "first"), "closed");
}

static void test_a_close_handler_that_never_ends_is_stopped(void **state)
{
    struct script_world *w = *state;
    struct task *t = script_start(w, "loops_in_close");

    script_turn(w, 3);
    task_cancel(t);
    assert_int_equal(w->result, TASK_CANCELLED);
    assert_string_equal(script_said(w, "two"), "");
    assert_int_equal(script_call(w, "forever"), TASK_STOPPED);
}

static void test_waiting_inside_a_callback_of_c_code_raises(void **state)
{
    struct script_world *w = *state;

    assert_int_equal(script_call(w, "sleeps_in_sort"), TASK_OK);
    assert_holds(script_said(w, "sort"), "cannot wait here");
}

static void test_coroutines_are_kept_for_reuse_and_let_go(void **state)
{
    struct script_world *w = *state;

    for (int i = 0; i < 100; i++)
        script_start(w, "naps");
    script_run(w, 100);
    assert_true(w->state->idle_count > 0 && w->state->idle_count <= 64);
    state_collect(w->state);
    assert_int_equal(w->state->idle_count, 0);
    assert_int_equal(script_call(w, "naps"), TASK_OK);
}

static void test_a_large_heap_is_collected_in_steps_a_small_one_by_generations(void **state)
{
    struct script_world *w = *state;

    assert_int_equal(script_call(w, "nothing"), TASK_OK);
    assert_false(w->state->in_steps);
    assert_int_equal(script_call(w, "grows"), TASK_OK);
    assert_int_equal(script_call(w, "nothing"), TASK_OK);
    assert_true(w->state->in_steps);
    assert_int_equal(lua_gc(w->state->L, LUA_GCINC, 0, 0, 0), LUA_GCINC);
    assert_int_equal(script_call(w, "shrinks"), TASK_OK);
    state_collect(w->state);
    assert_int_equal(script_call(w, "nothing"), TASK_OK);
    assert_false(w->state->in_steps);
    assert_int_equal(lua_gc(w->state->L, LUA_GCGEN, 0, 0), LUA_GCGEN);
}

static void test_who_waits_for_something_that_another_task_closes_is_told(void **state)
{
    struct script_world *w = *state;

    script_start(w, "waits_for_response");
    uv_run(&w->loop, UV_RUN_NOWAIT);
    script_start(w, "closes_response");
    script_run(w, 2);
    assert_string_not_equal(script_said(w, "waited"), "");
}

static void test_all_tasks_of_a_state_can_be_cancelled(void **state)
{
    struct script_world *w = *state;

    for (int i = 0; i < 10; i++)
        script_start(w, i % 2 ? "sleeps" : "fails_in_close");
    script_turn(w, 3);
    state_cancel(w->state);
    assert_int_equal(w->ended, 10);
    assert_int_equal(state_tasks(w->state), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_task_runs_to_its_end),
        TEST(test_an_error_tells_place_and_traceback),
        TEST(test_an_error_object_of_any_kind_is_only_an_error),
        TEST(test_a_script_that_never_ends_is_stopped_wherever_it_hides),
        TEST(test_the_coroutine_of_a_stopped_task_can_be_stopped_again),
        TEST(test_a_stopped_task_still_closes_its_variables),
        TEST(test_long_work_between_waits_goes_on_where_it_was),
        TEST(test_a_long_run_lets_others_have_their_turn),
        TEST(test_endless_recursion_is_an_error),
        TEST(test_a_task_that_takes_too_much_memory_fails_alone),
        TEST(test_a_state_without_memory_fails_tasks_and_recovers),
        TEST(test_cancelling_closes_what_is_open),
        TEST(test_a_task_can_be_cancelled_before_it_ran),
        TEST(test_waiting_in_a_close_handler_of_a_cancelled_task_raises),
        TEST(test_a_failing_close_handler_does_not_keep_the_others_from_running),
        TEST(test_a_close_handler_that_never_ends_is_stopped),
        TEST(test_waiting_inside_a_callback_of_c_code_raises),
        TEST(test_coroutines_are_kept_for_reuse_and_let_go),
        cmocka_unit_test_setup_teardown(
            test_a_large_heap_is_collected_in_steps_a_small_one_by_generations, setup_large,
            teardown),
        TEST(test_who_waits_for_something_that_another_task_closes_is_told),
        TEST(test_all_tasks_of_a_state_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
