// test_traces.c - the ring of what became of the newest requests.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/traces.h"

static struct trace trace_of(const char *id)
{
    return (struct trace){.id = id,
                          .time = 1700000000,
                          .seconds = 0.25,
                          .first_byte = -1,
                          .status = 200,
                          .method = "POST",
                          .path = "/v1/messages",
                          .dialect = "anthropic",
                          .model = "m \"quoted\"",
                          .provider = "",
                          .credential = "ann"};
}

static void add(struct traces *t, const char *id, const char *steps)
{
    struct trace trace = trace_of(id);

    trace.steps = steps;
    trace.steps_len = strlen(steps);
    traces_add(t, &trace);
}

static bool has(struct traces *t, const char *id)
{
    struct buf out;
    bool found;

    buf_init(&out, 65536);
    found = traces_find(t, id, &out);
    buf_deinit(&out);
    return found;
}

static void a_request_is_found_by_its_id(void **state)
{
    struct traces *t = traces_new(1 << 20);
    struct buf out;

    (void)state;
    buf_init(&out, 65536);
    add(t, "00000001", "{\"step\":\"a\"},{\"step\":\"b\"}");
    add(t, "00000002", "");
    assert_false(traces_find(t, "00000003", &out));
    assert_true(traces_find(t, "00000001", &out));
    assert_string_equal(
        buf_cstr(&out),
        "{\"id\":\"00000001\",\"method\":\"POST\",\"path\":\"/v1/messages\","
        "\"dialect\":\"anthropic\",\"model\":\"m \\\"quoted\\\"\",\"credential\":\"ann\","
        "\"time\":1700000000.000,\"seconds\":0.2500,\"status\":200,"
        "\"steps\":[{\"step\":\"a\"},{\"step\":\"b\"}]}");
    buf_deinit(&out);
    traces_free(t);
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    struct traces *t = traces_new(64 << 20);
    char id[16];

    (void)state;
    for (int i = 0; i < TRACES_MAX + 7; i++) {
        snprintf(id, sizeof(id), "%08x", i);
        add(t, id, "");
    }
    assert_false(has(t, "00000006"));
    assert_true(has(t, "00000007"));
    assert_true(has(t, id));
    traces_free(t);
}

static void the_oldest_go_when_they_take_too_much_memory(void **state)
{
    struct traces *t = traces_new(10000);
    char steps[TRACE_STEPS_MAX + 1];

    (void)state;
    memset(steps, ' ', TRACE_STEPS_MAX);
    steps[TRACE_STEPS_MAX] = '\0';
    add(t, "a", steps);
    add(t, "b", steps);
    assert_true(has(t, "a"));
    add(t, "c", steps);
    assert_false(has(t, "a"));
    assert_true(has(t, "b") && has(t, "c"));
    traces_free(t);
}

static void long_texts_are_cut(void **state)
{
    struct traces *t = traces_new(1 << 20);
    struct trace trace = trace_of("x");
    char path[1000], steps[TRACE_STEPS_MAX + 1];
    struct buf out;

    (void)state;
    buf_init(&out, 65536);
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    memset(steps, ' ', sizeof(steps));
    trace.path = path;
    trace.steps = steps;
    trace.steps_len = sizeof(steps);
    trace.first_byte = 0.5;
    traces_add(t, &trace);
    assert_true(traces_find(t, "x", &out));
    assert_true(out.len < 600);
    assert_non_null(strstr(buf_cstr(&out), "\"first_byte\":0.5000,"));
    buf_deinit(&out);
    traces_free(t);
}

static void without_a_ring_nothing_happens(void **state)
{
    struct trace trace = trace_of("x");
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    traces_add(NULL, &trace);
    assert_false(traces_find(NULL, "x", &out));
    traces_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_found_by_its_id),
        cmocka_unit_test(the_oldest_go_when_there_are_too_many),
        cmocka_unit_test(the_oldest_go_when_they_take_too_much_memory),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(without_a_ring_nothing_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
