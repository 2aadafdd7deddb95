// test_lua_ws.c - the module `ws` as scripts see it: the script on one loop, the page on another.

#include "script_world.h"
#include "server_world.h"

#include "script/accounts.h"
#include "script/sessions.h"
#include "websocket_frames.h"

#define HANDSHAKE                                                                                  \
    "GET /hold HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"               \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static const char script[] =
    "local ws, store, json = require 'ws', require 'store', require 'json'\n"
    "local M = { handle = function() end, failed = function() end }\n"
    "local function call(id, body)\n"
    "  return ws.call(store.get('session'), id, '{\"id\":\"' .. id .. '\",\"body\":', body, '}')\n"
    "end\n"
    "function M.read()\n"
    "  local c <close> = call('c1', 'a \"b\"\\n')\n"
    "  local said = {}\n"
    "  local function say(...)\n"
    "    for i = 1, select('#', ...) do said[#said + 1] = tostring((select(i, ...))) end\n"
    "  end\n"
    "  say(c:get('x'), c:next())\n"
    "  for _, name in ipairs { 'text', 'plain', 'number', 'flag', 'null', 'none', 'list', 'map' } "
    "do\n"
    "    say(c:get(name))\n"
    "  end\n"
    "  say(c:next(), c:get('text'))\n"
    "  say(c:next(60), c:get('text'))\n"
    "  store.set('said', table.concat(said, '|'))\n"
    "end\n"
    "function M.wait()\n"
    "  local c <close> = call('c2', '')\n"
    "  local kind, err = c:next(0.01)\n"
    "  assert(kind == nil and err == nil)\n"
    "  kind, err = c:next(0)\n"
    "  assert(kind == nil and err == nil)\n"
    "end\n"
    "function M.gone()\n"
    "  local c = ws.call('aistudio-nobody', 'c3', '', '', '')\n"
    "  local kind, err = c:next()\n"
    "  store.set('said', tostring(kind) .. '|' .. err.code .. '|' .. tostring(err))\n"
    "  c:close()\n"
    "  c:close()\n"
    "  assert(not pcall(c.next, c) and not pcall(c.get, c, 'x'))\n"
    "end\n"
    "function M.leave()\n"
    "  call('c4', '')\n"
    "  store.set('said', 'left')\n"
    "end\n"
    "function M.without()\n"
    "  store.set('said', select(2, pcall(ws.call, 's', 'i', '', '', '')))\n"
    "end\n"
    "return M\n";

struct page {
    struct script_world script;
    struct world home;
    struct accounts *accounts;
    struct sessions *sessions;
    struct script_host *host;
    struct client client;
};

static void on_pass(void *ctx)
{
    (void)ctx;
}

static int setup(void **state)
{
    struct page *p = calloc(1, sizeof(*p));
    struct script_shared shared = {0};
    struct store_value id = {.type = STORE_STRING};
    char name[SESSION_ID_SIZE];

    script_world_init(&p->script, "", script);
    world_init(&p->home);
    p->accounts = accounts_new();
    p->sessions = sessions_new(p->accounts);
    p->script.host->sessions = p->sessions;
    shared.accounts = p->accounts;
    shared.sessions = p->sessions;
    p->host = host_new(&p->home.loop, NULL, &shared, on_pass, NULL);
    client_init(&p->home, &p->client);
    client_say(&p->home, &p->client, HANDSHAKE);
    assert_true(session_accept(p->host, p->home.held, "", 0, "aistudio", true, name));
    server_release(p->home.held);
    p->home.held = NULL;
    world_run(&p->home);
    client_read(&p->client);
    buf_clear(&p->client.in);
    id.text = name;
    id.len = strlen(name);
    assert_true(store_set(p->script.store, "session", 7, &id, 0));
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct page *p = *state;

    script_world_deinit(&p->script);
    client_deinit(&p->client);
    world_run(&p->home);
    host_stop(p->host);
    world_deinit(&p->home);
    assert_true(host_closed(p->host));
    host_free(p->host);
    sessions_free(p->sessions);
    accounts_free(p->accounts);
    free(p);
    return 0;
}

// Lets both sides come round.
static void turn(struct page *p)
{
    world_run(&p->home);
    script_turn(&p->script, 5);
    world_run(&p->home);
}

static void say(struct page *p, const char *text)
{
    struct buf frame;

    buf_init(&frame, 10000);
    frame_text(&frame, text);
    client_send(&p->home, &p->client, frame.data, frame.len);
    buf_deinit(&frame);
    turn(p);
}

static void a_call_sends_one_message_and_reads_what_comes_back(void **state)
{
    struct page *p = *state;

    script_start(&p->script, "read");
    turn(p);
    client_read(&p->client);
    assert_string_equal(buf_cstr(&p->client.in) + 2, "{\"id\":\"c1\",\"body\":\"a \\\"b\\\"\\n\"}");
    say(p, "{\"id\":\"c1\",\"type\":\"first\",\"payload\":{\"text\":\"\\u00e4\\n\\\\\","
           "\"plain\":\"p\",\"number\":1.50,\"flag\":true,\"null\":null,\"list\":[ 1],"
           "\"map\":{\"a\":{}}}}");
    say(p, "{\"id\":\"c1\",\"type\":\"se\\\"cond\",\"payload\":\"text\"}");
    say(p, "{\"id\":\"c1\",\"type\":\"third\"}");
    script_run(&p->script, 1);
    assert_string_equal(p->script.message, "");
    assert_string_equal(script_said(&p->script, "said"),
                        "nil|first|\xc3\xa4\n\\|p|1.50|true|nil|nil|[ 1]|{\"a\":{}}|"
                        "se\"cond|nil|third|nil");
}

static void a_wait_ends_after_its_seconds(void **state)
{
    struct page *p = *state;

    assert_int_equal(script_call(&p->script, "wait"), TASK_OK);
}

static void a_session_that_has_gone_is_an_error(void **state)
{
    struct page *p = *state;

    assert_int_equal(script_call(&p->script, "gone"), TASK_OK);
    assert_string_equal(script_said(&p->script, "said"),
                        "nil|broken|the session that served this request has gone");
}

static void a_call_nobody_closed_ends_with_its_task(void **state)
{
    struct page *p = *state;

    assert_int_equal(script_call(&p->script, "leave"), TASK_OK);
    assert_string_equal(script_said(&p->script, "said"), "left");
    turn(p);
    client_read(&p->client);
    assert_int_equal(p->client.in.len, 0);
}

static void without_sessions_there_are_no_calls(void **state)
{
    struct page *p = *state;

    p->script.host->sessions = NULL;
    assert_int_equal(script_call(&p->script, "without"), TASK_OK);
    assert_non_null(strstr(script_said(&p->script, "said"), "there are no sessions here"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_call_sends_one_message_and_reads_what_comes_back),
        TEST(a_wait_ends_after_its_seconds),
        TEST(a_session_that_has_gone_is_an_error),
        TEST(a_call_nobody_closed_ends_with_its_task),
        TEST(without_sessions_there_are_no_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
