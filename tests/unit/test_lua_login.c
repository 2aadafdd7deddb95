// test_lua_login.c - the modules `listener`, `terminal` and `browser`, and the run of a command.

#include "script_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "script/command.h"

static int free_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    close(fd);
    return ntohs(in.sin_port);
}

// A world whose scripts may see tokens; `%d` in the text stands for a free port.
static int open_world(struct script_world *w, const char *main)
{
    int port = free_port();
    char text[8192];

    signal(SIGPIPE, SIG_IGN);
    snprintf(text, sizeof(text), main, port, port);
    script_world_init(w, "", text);
    w->state->privileged = true;
    return port;
}

static void expect_fine(struct script_world *w, const char *function)
{
    if (script_call(w, function) != TASK_OK)
        fail_msg("%s", w->message);
}

// --- listener ----------------------------------------------------------------------------------

static const char LISTENING[] =
    "local listener, store, timer = require 'listener', require 'store', require 'timer'\n"
    "local M = {}\n"
    "function M.handle() end function M.failed() end\n"
    "local function serve(client)\n"
    "  if client.path == '/raise' then error 'on purpose' end\n"
    "  if client.path == '/none' then return end\n"
    "  client:respond(200, { ['X-Got'] = client.method }, client:param 'code' or 'nothing')\n"
    "end\n"
    "function M.open()\n"
    "  local open <close> = assert(listener.open(%d, false, serve))\n"
    "  store.set('said', 'open')\n"
    "  while store.get 'said' ~= 'enough' do timer.sleep(0.01) end\n"
    "end\n"
    "function M.twice()\n"
    "  local port = %d\n"
    "  local first = assert(listener.open(port, true, serve))\n"
    "  local none, problem = listener.open(port, false, serve)\n"
    "  assert(none == nil and problem.code == 'busy', tostring(problem))\n"
    "  first:close() first:close()\n"
    "  timer.sleep(0.01)\n"
    "  local again <close> = assert(listener.open(port, false, serve))\n"
    "  assert(not pcall(listener.open, 0, false, serve))\n"
    "  assert(not pcall(listener.open, port, false, 'serve'))\n"
    "end\n"
    "return M\n";

static int connect_to(int family, int port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                              .sin6_port = htons((uint16_t)port)};
    int fd = socket(family, SOCK_STREAM, 0);
    int result = family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof(v4))
                                   : connect(fd, (struct sockaddr *)&v6, sizeof(v6));

    if (result == 0)
        return fd;
    close(fd);
    return -1;
}

// Sends one request and gives what is answered until the connection ends, or 20 s.
static const char *ask(struct script_world *w, int fd, const char *request)
{
    static char answer[4096];
    size_t len = 0;
    double end = clock_mono() + 20;

    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    while (clock_mono() < end) {
        ssize_t n = recv(fd, answer + len, sizeof(answer) - 1 - len, MSG_DONTWAIT);

        if (n > 0)
            len += (size_t)n;
        else if (n == 0 || errno != EAGAIN)
            break;
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    answer[len] = '\0';
    close(fd);
    return answer;
}

static void wait_said(struct script_world *w, const char *text)
{
    double end = clock_mono() + 20;

    while (strcmp(script_said(w, "said"), text) != 0 && clock_mono() < end)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_string_equal(script_said(w, "said"), text);
}

static void a_listener_serves_both_families_until_its_task_ends(void **state)
{
    static const char get[] = "GET /callback?code=a%20b HTTP/1.1\r\nHost: localhost\r\n"
                              "Connection: close\r\n\r\n";
    struct store_value enough = {.type = STORE_STRING, .text = "enough", .len = 6};
    struct script_world w;
    int port = open_world(&w, LISTENING);
    const char *answer;
    int fd;

    (void)state;
    script_start(&w, "open");
    wait_said(&w, "open");
    answer = ask(&w, connect_to(AF_INET, port), get);
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    assert_non_null(strstr(answer, "\r\n\r\na b"));
    fd = connect_to(AF_INET6, port);
    if (fd >= 0)
        assert_non_null(strstr(ask(&w, fd, get), "X-Got: GET\r\n"));
    // A handler that fails, and one that forgets to answer, still answer.
    answer = ask(&w, connect_to(AF_INET, port),
                 "GET /raise HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 500 "));
    answer = ask(&w, connect_to(AF_INET, port),
                 "GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 500 "));
    // It ends with its task, and a connection that is open with it.
    fd = connect_to(AF_INET, port);
    store_set(w.store, "said", 4, &enough, 0);
    answer = ask(&w, fd, "GET / HTTP/1.1\r\n");
    assert_string_equal(answer, "");
    script_run(&w, 1);
    script_turn(&w, 5);
    assert_int_equal(connect_to(AF_INET, port), -1);
    script_world_deinit(&w);
}

static void a_port_is_taken_once(void **state)
{
    struct script_world w;

    (void)state;
    open_world(&w, LISTENING);
    expect_fine(&w, "twice");
    script_world_deinit(&w);
}

static void a_state_may_go_while_it_listens(void **state)
{
    struct script_world w;
    int port = open_world(&w, LISTENING), fd;

    (void)state;
    script_start(&w, "open");
    wait_said(&w, "open");
    fd = connect_to(AF_INET, port);
    assert_int_equal(write(fd, "GET / HTTP/1.1\r\n", 16), 16);
    script_turn(&w, 5);
    script_world_deinit(&w);
    close(fd);
}

static void scripts_that_serve_requests_may_not(void **state)
{
    struct script_world w;

    (void)state;
    open_world(&w, "local M = {}\nfunction M.handle() end function M.failed() end\n"
                   "function M.try()\n"
                   "  assert(not pcall(require('listener').open, %d, false, M.try))\n"
                   "  assert(not pcall(require('terminal').line, %d))\n"
                   "  assert(not pcall(require('terminal').write, 'x'))\n"
                   "  assert(not pcall(require('browser').open, 'https://example.com/'))\n"
                   "end\nreturn M\n");
    w.state->privileged = false;
    expect_fine(&w, "try");
    script_world_deinit(&w);
}

// --- terminal ----------------------------------------------------------------------------------

static const char READING[] = "local terminal, store = require 'terminal', require 'store'\n"
                              "local M = {}\n"
                              "function M.handle() end function M.failed() end\n"
                              "local function line(seconds)\n"
                              "  local text, problem = terminal.line(seconds)\n"
                              "  return text or problem.code\n"
                              "end\n"
                              "function M.read() store.set('said', line(20)) end\n"
                              "function M.read_soon() store.set('said', line(0.02)) end\n"
                              "function M.all()\n"
                              "  local list = {}\n"
                              "  repeat list[#list + 1] = line(20) until list[#list] == 'closed'\n"
                              "  store.set('said', table.concat(list, '|'))\n"
                              "  assert(not terminal.is_interactive())\n"
                              "end\n"
                              "return M -- %d %d\n";

// A world that reads from a descriptor as its standard input.
struct reading_world {
    struct script_world w;
    int before;
};

static void reading_world_open(struct reading_world *r, int fd)
{
    r->before = dup(STDIN_FILENO);
    assert_true(dup2(fd, STDIN_FILENO) >= 0);
    close(fd);
    open_world(&r->w, READING);
}

static void reading_world_close(struct reading_world *r)
{
    script_world_deinit(&r->w);
    dup2(r->before, STDIN_FILENO);
    close(r->before);
}

// Its other end.
static int reading_world_open_pipe(struct reading_world *r)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    reading_world_open(r, ends[0]);
    return ends[1];
}

static void a_line_is_waited_for_and_read_piece_by_piece(void **state)
{
    struct reading_world r;
    int end = reading_world_open_pipe(&r);

    (void)state;
    expect_fine(&r.w, "read_soon");
    assert_string_equal(script_said(&r.w, "said"), "timeout");
    script_start(&r.w, "read");
    script_turn(&r.w, 5);
    assert_int_equal(write(end, "half ", 5), 5);
    script_turn(&r.w, 5);
    assert_int_equal(write(end, "a line\r\nsecond\nlast", 19), 19);
    script_run(&r.w, 2);
    assert_string_equal(script_said(&r.w, "said"), "half a line");
    // What the shell shares with us must not become non-blocking.
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
    close(end);
    expect_fine(&r.w, "all");
    assert_string_equal(script_said(&r.w, "said"), "second|last|closed");
    reading_world_close(&r);
}

static void a_task_that_waits_for_a_line_can_be_ended(void **state)
{
    struct reading_world r;
    int end = reading_world_open_pipe(&r);

    (void)state;
    script_start(&r.w, "read");
    script_turn(&r.w, 5);
    reading_world_close(&r);
    close(end);
}

static void a_file_is_read_to_its_end(void **state)
{
    char name[] = "/tmp/lines-XXXXXX";
    struct reading_world r;
    int fd = mkstemp(name);

    (void)state;
    unlink(name);
    assert_int_equal(write(fd, "one\n\ntwo", 8), 8);
    lseek(fd, 0, SEEK_SET);
    reading_world_open(&r, fd);
    expect_fine(&r.w, "all");
    assert_string_equal(script_said(&r.w, "said"), "one||two|closed");
    reading_world_close(&r);
}

static void a_socket_is_waited_for_as_well(void **state)
{
    struct reading_world r;
    int ends[2], shared;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    shared = dup(ends[0]);
    reading_world_open(&r, ends[0]);
    alarm(30); // instead of hanging
    expect_fine(&r.w, "read_soon");
    alarm(0);
    assert_string_equal(script_said(&r.w, "said"), "timeout");
    assert_int_equal(write(ends[1], "one\ntwo", 7), 7);
    close(ends[1]);
    expect_fine(&r.w, "all");
    assert_string_equal(script_said(&r.w, "said"), "one|two|closed");
    reading_world_close(&r);
    assert_int_equal(fcntl(shared, F_GETFL) & O_NONBLOCK, 0);
    close(shared);
}

// --- browser -----------------------------------------------------------------------------------

static void the_browser_is_the_first_candidate_and_gets_the_address_as_it_is(void **state)
{
    static const char script[] = "#!/bin/sh\nprintf '%s\\n' \"$#\" \"$1\" > \"$0.new\"\n"
                                 "/bin/mv \"$0.new\" \"$0.seen\"\n";
    char path[300], seen[320], text[200] = "", *old = strdup(getenv("PATH"));
    struct script_world w;
    FILE *file = NULL;
    double end;

    (void)state;
    open_world(&w, "local browser, store = require 'browser', require 'store'\n"
                   "local M = {}\nfunction M.handle() end function M.failed() end\n"
                   "function M.open()\n"
                   "  local opened = browser.open 'https://example.com/?a=1&b=$(x);%%20'\n"
                   "  store.set('said', opened and 'opened' or 'none')\n"
                   "  assert(not pcall(browser.open, 'file:///etc/passwd'))\n"
                   "  assert(not pcall(browser.open, '-flag'))\n"
                   "end\nreturn M -- %d %d\n");
    setenv("PATH", "/nowhere", 1);
    expect_fine(&w, "open");
    assert_string_equal(script_said(&w, "said"), "none");
    scripts_write(w.directory, "www-browser", script);
    snprintf(path, sizeof(path), "%s/www-browser", w.directory);
    chmod(path, 0700);
    snprintf(seen, sizeof(seen), "%s.seen", path);
    snprintf(text, sizeof(text), "/nowhere:%.100s", w.directory);
    for (const char *name = "xdg-open\0x-www-browser\0"; *name; name += strlen(name) + 1)
        scripts_write(w.directory, name, "not executable");
    setenv("PATH", text, 1);
    memset(text, 0, sizeof(text));
    expect_fine(&w, "open");
    setenv("PATH", old, 1);
    assert_string_equal(script_said(&w, "said"), "opened");
    for (end = clock_mono() + 20; !file && clock_mono() < end; usleep(10000))
        file = fopen(seen, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    assert_string_equal(text, "1\nhttps://example.com/?a=1&b=$(x);%20\n");
    script_world_deinit(&w);
    free(old);
}

static void the_browser_starts_where_ended_children_are_ignored(void **state)
{
    char *old = strdup(getenv("PATH"));
    struct script_world w;

    (void)state;
    open_world(&w, "local browser = require 'browser'\n"
                   "local M = {}\nfunction M.handle() end function M.failed() end\n"
                   "function M.open() assert(browser.open 'https://example.com/') end\n"
                   "return M -- %d %d\n");
    scripts_write(w.directory, "xdg-open", "#!/bin/sh\n");
    setenv("PATH", w.directory, 1);
    chmod(strcat(strcpy(w.message, w.directory), "/xdg-open"), 0700);
    signal(SIGCHLD, SIG_IGN);
    alarm(30); // instead of hanging
    expect_fine(&w, "open");
    alarm(0);
    signal(SIGCHLD, SIG_DFL);
    setenv("PATH", old, 1);
    script_world_deinit(&w);
    free(old);
}

// --- commands ----------------------------------------------------------------------------------

static const char COMMANDS[] =
    "local file, timer = require 'file', require 'timer'\n"
    "local M = {}\n"
    "function M.handle() end function M.failed() end\n"
    "function M.add(given)\n"
    "  timer.sleep(0.01)\n"
    "  assert(given.absent == nil)\n"
    "  return tonumber(given.a) + tonumber(given.b)\n"
    "end\n"
    "function M.nothing() end\n"
    "function M.raise() error 'on purpose' end\n"
    "function M.wait(given)\n"
    "  local mark <close> = setmetatable({}, { __close = function() _ = 1 end })\n"
    "  file.write(given.path, 'waiting')\n"
    "  timer.sleep(60)\n"
    "end\n"
    "return M\n";

static int run_command(const char *directory, const char *function,
                       const struct command_argument *arguments, size_t count, struct buf *error)
{
    struct config *config = config_of("");
    struct bundle *bundle = bundle_new(directory, error);
    struct command_job job = {.bundle = bundle,
                              .config = config,
                              .version = "test",
                              .module = "main",
                              .function = function,
                              .arguments = arguments,
                              .argument_count = count};
    int code = command_run(&job, error);

    bundle_unref(bundle);
    config_unref(config);
    return code;
}

static void a_command_gives_what_its_function_returns(void **state)
{
    struct command_argument numbers[] = {{"a", "40"}, {"absent", NULL}, {"b", "2"}};
    char directory[256];
    struct buf error;

    (void)state;
    buf_init(&error, 10000);
    scripts_make(directory, sizeof(directory));
    scripts_write(directory, "main.lua", COMMANDS);
    assert_int_equal(run_command(directory, "add", numbers, 3, &error), 42);
    assert_int_equal(run_command(directory, "nothing", NULL, 0, &error), 0);
    assert_int_equal(error.len, 0);
    assert_int_equal(run_command(directory, "raise", NULL, 0, &error), COMMAND_BROKE);
    assert_non_null(strstr(buf_cstr(&error), "on purpose"));
    scripts_write(directory, "main.lua", "return nonsense(");
    assert_int_equal(run_command(directory, "add", NULL, 0, &error), COMMAND_BROKE);
    buf_deinit(&error);
    scripts_remove(directory);
}

static void *interrupt(void *path)
{
    for (int i = 0; i < 2000 && access(path, R_OK) != 0; i++)
        usleep(10000);
    kill(getpid(), SIGINT);
    return NULL;
}

static void a_command_can_be_interrupted(void **state)
{
    char directory[256], path[300];
    struct command_argument where = {"path", path};
    struct buf error;
    pthread_t thread;

    (void)state;
    buf_init(&error, 10000);
    scripts_make(directory, sizeof(directory));
    scripts_write(directory, "main.lua", COMMANDS);
    snprintf(path, sizeof(path), "%s/waiting", directory);
    assert_int_equal(pthread_create(&thread, NULL, interrupt, path), 0);
    assert_int_equal(run_command(directory, "wait", &where, 1, &error), COMMAND_INTERRUPTED);
    pthread_join(thread, NULL);
    buf_deinit(&error);
    scripts_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_serves_both_families_until_its_task_ends),
        cmocka_unit_test(a_port_is_taken_once),
        cmocka_unit_test(a_state_may_go_while_it_listens),
        cmocka_unit_test(scripts_that_serve_requests_may_not),
        cmocka_unit_test(a_line_is_waited_for_and_read_piece_by_piece),
        cmocka_unit_test(a_task_that_waits_for_a_line_can_be_ended),
        cmocka_unit_test(a_file_is_read_to_its_end),
        cmocka_unit_test(a_socket_is_waited_for_as_well),
        cmocka_unit_test(the_browser_is_the_first_candidate_and_gets_the_address_as_it_is),
        cmocka_unit_test(the_browser_starts_where_ended_children_are_ignored),
        cmocka_unit_test(a_command_gives_what_its_function_returns),
        cmocka_unit_test(a_command_can_be_interrupted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
