// Tests of calls from tasks to the keeper, which runs on a thread of its own here.

#include "script_world.h"

#include "script/accounts.h"
#include "script/keeper.h"
#include "script/mailbox.h"

static const char MAIN[] =
    "local keeper = require 'keeper'\n"
    "local store = require 'store'\n"
    "local timer = require 'timer'\n"
    "local function say(...) store.set('said', table.concat({ ... }, '|')) end\n"
    "local M = {}\n"
    "function M.handle() end\n"
    "function M.failed() end\n"
    "function M.echo() say(#keeper.ask('echo', 'a\\0b'), keeper.ask('echo', 'x')) end\n"
    "function M.refused() say(tostring(nil), select(2, keeper.ask('refuse', ''))) end\n"
    "function M.broken() say(select(2, keeper.ask('break', ''))) end\n"
    "function M.silent() say(select(2, keeper.ask('silent', ''))) end\n"
    "function M.slow() local call <close> = keeper.start('slow', '')\n"
    "  local n = 0\n"
    "  while true do local answer = call:wait(0.01)\n"
    "    if answer then return say(answer, tostring(n > 0)) end\n"
    "    n = n + 1 end end\n"
    "function M.late() say(tostring(keeper.ask('slow', '', 0.01))) end\n"
    "function M.forget() keeper.start('slow', '') keeper.start('echo', 'x') end\n"
    "function M.many() for i = 1, 200 do\n"
    "    assert(keeper.ask('echo', tostring(i)) == 'echo ' .. i) end say('200') end\n"
    "function M.post() keeper.post('note', 'posted') end\n"
    "function M.stuck() keeper.ask('never', '') end\n"
    "function M.steal() return require('accounts').publish {} end\n"
    "return M\n";

static const char KEEPER[] =
    "local keeper = require 'keeper'\n"
    "local accounts = require 'accounts'\n"
    "local store = require 'store'\n"
    "local timer = require 'timer'\n"
    "local M = {}\n"
    "function M.run()\n"
    "  accounts.publish { { id = 'a.json', provider = 'acme', name = 'Acme', secret = 'hush',\n"
    "    label = 'me', hosts = { 'https://API.acme.example:444/x' },\n"
    "    base_url = 'https://acme.example/', details = '{\"facts\":{\"n\":1}}' } }\n"
    "  while true do timer.sleep(60) end\n"
    "end\n"
    "function M.handle(name, argument)\n"
    "  if name == 'echo' then keeper.reply('echo ' .. argument) keeper.reply('twice')\n"
    "  elseif name == 'refuse' then keeper.reply(nil, 'no')\n"
    "  elseif name == 'break' then error 'broken'\n"
    "  elseif name == 'slow' then timer.sleep(0.2) keeper.reply('at last')\n"
    "  elseif name == 'note' then store.set('note', argument)\n"
    "  elseif name == 'never' then timer.sleep(3600) end\n"
    "end\n"
    "return M\n";

// The keeper's thread.
struct side {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t stop;
    struct accounts *accounts;
    struct keeper *keeper;
};

struct test_world {
    struct script_world world;
    struct side side;
};

static void on_stop(uv_async_t *async)
{
    struct side *side = async->data;

    uv_close((uv_handle_t *)async, NULL);
    keeper_stop(side->keeper);
}

static void run_side(void *arg)
{
    struct side *side = arg;

    assert_true(keeper_start(side->keeper));
    uv_run(&side->loop, UV_RUN_DEFAULT);
}

static void side_stop(struct side *side)
{
    if (!side->keeper)
        return;
    uv_async_send(&side->stop);
    uv_thread_join(&side->thread);
    // What was closed last has its callback in a further round.
    for (int i = 0; i < 100 && !keeper_closed(side->keeper); i++)
        uv_run(&side->loop, UV_RUN_NOWAIT);
    assert_true(keeper_closed(side->keeper));
}

static void begin(struct test_world *t)
{
    struct script_world *w = &t->world;
    struct side *side = &t->side;
    struct script_shared shared;
    struct script_state *state;

    memset(t, 0, sizeof(*t));
    scripts_make(w->directory, sizeof(w->directory));
    scripts_write(w->directory, "main.lua", MAIN);
    scripts_write(w->directory, "core/keeper.lua", KEEPER);
    script_world_load(w, "port: 1\n", true);
    assert_int_equal(uv_loop_init(&side->loop), 0);
    side->accounts = accounts_new();
    shared = (struct script_shared){.store = w->store, .accounts = side->accounts};
    side->keeper = keeper_new(&side->loop, &shared, NULL, NULL);
    assert_non_null(side->keeper);
    shared.keeper = side->keeper;
    script_world_open(w, &shared);
    state = w->generation->keeper;
    w->generation->keeper = NULL;
    keeper_set_state(side->keeper, state);
    uv_async_init(&side->loop, &side->stop, on_stop);
    side->stop.data = side;
    assert_int_equal(uv_thread_create(&side->thread, run_side, side), 0);
}

// The keeper ends first or last; `stopped` says that it has already.
static void finish(struct test_world *t, bool stopped)
{
    struct side *side = &t->side;

    if (!stopped)
        side_stop(side);
    state_cancel(t->world.state);
    uv_run(&t->world.loop, UV_RUN_NOWAIT);
    script_world_deinit(&t->world);
    keeper_free(side->keeper);
    accounts_free(side->accounts);
    assert_int_equal(uv_loop_close(&side->loop), 0);
}

// --- the tests ---------------------------------------------------------------------------------

static void test_a_call_gets_its_answer(void **state)
{
    struct test_world t;

    (void)state;
    begin(&t);
    assert_int_equal(script_call(&t.world, "echo"), TASK_OK);
    assert_string_equal(script_said(&t.world, "said"), "8|echo x");
    assert_int_equal(script_call(&t.world, "many"), TASK_OK);
    assert_string_equal(script_said(&t.world, "said"), "200");
    finish(&t, false);
}

static void test_a_failure_is_told_to_the_caller(void **state)
{
    struct test_world t;

    (void)state;
    begin(&t);
    script_call(&t.world, "refused");
    assert_string_equal(script_said(&t.world, "said"), "nil|no");
    script_call(&t.world, "broken");
    assert_string_equal(script_said(&t.world, "said"), "internal error, see the log");
    script_call(&t.world, "silent");
    assert_string_equal(script_said(&t.world, "said"), "internal error, see the log");
    finish(&t, false);
}

static void test_a_wait_may_end_before_the_answer_comes(void **state)
{
    struct test_world t;

    (void)state;
    begin(&t);
    script_call(&t.world, "slow");
    assert_string_equal(script_said(&t.world, "said"), "at last|true");
    script_call(&t.world, "late");
    assert_string_equal(script_said(&t.world, "said"), "nil");
    finish(&t, false);
}

static void test_calls_that_nobody_waits_for_any_more_leak_nothing(void **state)
{
    struct test_world t;

    (void)state;
    begin(&t);
    script_call(&t.world, "forget");
    script_start(&t.world, "stuck");
    script_turn(&t.world, 3);
    finish(&t, false); // the keeper's answer finds the task gone, or the mailbox closed
}

static void test_calls_under_way_are_answered_when_the_keeper_stops(void **state)
{
    struct test_world t;

    (void)state;
    begin(&t);
    script_start(&t.world, "stuck");
    script_turn(&t.world, 3);
    side_stop(&t.side);
    script_run(&t.world, 1);
    // Later ones are lost; a task that waits is cancelled with its state.
    script_start(&t.world, "stuck");
    script_turn(&t.world, 3);
    finish(&t, true);
}

static void test_a_posted_call_needs_no_answer(void **state)
{
    struct test_world t;
    double end = clock_mono() + 20;

    (void)state;
    begin(&t);
    script_call(&t.world, "post");
    while (*script_said(&t.world, "note") == '\0' && clock_mono() < end)
        uv_run(&t.world.loop, UV_RUN_NOWAIT);
    assert_string_equal(script_said(&t.world, "note"), "posted");
    finish(&t, false);
}

static bool goes_to(const struct credential *c, const char *text)
{
    struct url url;

    assert_true(url_parse(text, strlen(text), &url));
    return credential_may_go(c, &url);
}

static void test_published_accounts_are_seen_by_other_threads(void **state)
{
    struct test_world t;
    const struct credential *c;
    double end = clock_mono() + 20;

    (void)state;
    begin(&t);
    while (accounts_version(t.side.accounts) == 0 && clock_mono() < end)
        uv_run(&t.world.loop, UV_RUN_NOWAIT);
    c = state_credential(t.world.state, "a.json");
    assert_non_null(c);
    assert_string_equal(c->secret, "hush");
    assert_string_equal(c->name, "acme");
    assert_string_equal(c->base_url, "https://acme.example");
    assert_true(goes_to(c, "https://api.acme.example:444/v1"));
    assert_true(goes_to(c, "https://acme.example/v1"));
    assert_false(goes_to(c, "http://acme.example:443/v1"));
    assert_false(goes_to(c, "https://api.acme.example/v1"));
    assert_false(goes_to(c, "https://evil.example/v1"));
    assert_null(state_credential(t.world.state, "b.json"));
    finish(&t, false);
}

static void test_only_the_keeper_may_publish(void **state)
{
    struct test_world t;

    (void)state;
    begin(&t);
    assert_int_equal(script_call(&t.world, "steal"), TASK_FAILED);
    assert_non_null(strstr(t.world.message, "only the keeper"));
    finish(&t, false);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_gets_its_answer),
        cmocka_unit_test(test_a_failure_is_told_to_the_caller),
        cmocka_unit_test(test_a_wait_may_end_before_the_answer_comes),
        cmocka_unit_test(test_calls_that_nobody_waits_for_any_more_leak_nothing),
        cmocka_unit_test(test_calls_under_way_are_answered_when_the_keeper_stops),
        cmocka_unit_test(test_a_posted_call_needs_no_answer),
        cmocka_unit_test(test_published_accounts_are_seen_by_other_threads),
        cmocka_unit_test(test_only_the_keeper_may_publish),
    };

    upstream_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
