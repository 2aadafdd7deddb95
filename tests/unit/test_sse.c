// test_sse.c - the decoder and the writer of Server-Sent Events.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/sse.h"

#define BOM "\xef\xbb\xbf"

// Streams, and the events in them written as `name|data;` with LF shown as `/`.
static const struct {
    const char *stream, *events;
} table[] = {
    {"", ""},
    {"data: a\n\n", "|a;"},
    {"data: a\r\n\r\n", "|a;"},
    {"data: a\r\r", "|a;"},
    {"data: a\n\ndata: b\n\n", "|a;|b;"},
    {"data: a\r\n\r\ndata: b\r\n\r\n", "|a;|b;"},
    {"data: a\r\rdata: b\r\r", "|a;|b;"},
    {"data: a\n\r\ndata: b\r\n\ndata: c\r\n\rdata: d\n\rdata: e\r\n\r\n", "|a;|b;|c;|d;|e;"},
    {"data: a\r\n\ndata: b\n\n", "|a;|b;"},
    {"\n\n\r\n\r\rdata: a\n\n\n\n\ndata: b\n\n", "|a;|b;"},
    // several data lines
    {"data: a\ndata: b\ndata: c\n\n", "|a/b/c;"},
    {"data: a\r\ndata: b\rdata: c\n\n", "|a/b/c;"},
    {"data\ndata\n\n", "|/;"},
    {"data:\ndata: x\ndata:\n\n", "|/x/;"},
    {"data: a\nid: 1\n: note\nretry: 5\ndata: b\n\n", "|a/b;"},
    // spaces and colons
    {"data:a\n\ndata: a\n\ndata:  a\n\ndata: a \n\n", "|a;|a;| a;|a ;"},
    {"data:\n\ndata: \n\ndata\n\n", "|;|;|;"},
    {"data:{\"a\": \"b: c\"}\n\n", "|{\"a\": \"b: c\"};"},
    {"data::\n\n", "|:;"},
    {"data:\ta\n\n", "|\ta;"},
    // names
    {"event: ping\ndata: {}\n\n", "ping|{};"},
    {"event:ping\ndata:{}\n\n", "ping|{};"},
    {"event: ping\n\ndata: a\n\n", "ping|;|a;"},
    {"event: a\nevent: b\ndata: x\n\n", "b|x;"},
    {"event: a\nevent:\ndata: x\n\n", "|x;"},
    {"event:\n\nevent\n\n", ""},
    {"data: x\nevent: late\n\n", "late|x;"},
    {"data: x\nevent: late\ndata: and more data than the name is long\n\n",
     "late|x/and more data than the name is long;"},
    {"data: a\nevent: n\ndata: b\nevent: second\ndata: cdefghijklmnopqrstuvwxyz\n\ndata: c\n\n",
     "second|a/b/cdefghijklmnopqrstuvwxyz;|c;"},
    {"data: x\nevent: late\nevent: \n\nevent: n\ndata: y\n\n", "|x;n|y;"},
    // what is no event
    {": comment\n\n:\n\nid: 7\n\nretry: 10\n\n", ""},
    {": PROCESSING\n\ndata: a\n\n: PROCESSING\n\ndata: b\n\n", "|a;|b;"},
    {"Data: a\n\n data: a\n\ndatax: a\n\ndat\n\neventful: b\n\nwhat\n\n", ""},
    {":data: a\n\n", ""},
    // the byte order mark
    {BOM "data: a\n\n", "|a;"},
    {BOM BOM "data: a\n\n", ""},
    {"data: a\n\n" BOM "data: b\n\n", "|a;"},
    {"\xef\xbb" "data: a\n\n", ""},
    {BOM, ""},
    {"\xef\xbb", ""},
    // the end of the stream ends the last event
    {"data: a", "|a;"},
    {"data: a\n", "|a;"},
    {"data: a\r", "|a;"},
    {"data: a\r\n", "|a;"},
    {"data: a\n\ndata: [DONE]", "|a;|[DONE];"},
    {"data: a\ndata: b", "|a/b;"},
    {"event: end", "end|;"},
    {"data", "|;"},
    {"data:", "|;"},
    {"data: ", "|;"},
    {"dat", ""},
    {": comment", ""},
    {"data: a\n\n\r", "|a;"},
    // text of several bytes a character
    {"data: \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n\n", "|\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80;"},
};

enum { ROWS = sizeof(table) / sizeof(*table) };

static void collect(struct sse *s, struct buf *out)
{
    struct sse_event event;

    while (sse_next(s, &event)) {
        buf_append(out, event.name, event.name_len);
        buf_putc(out, '|');
        for (size_t i = 0; i < event.data_len; i++)
            buf_putc(out, event.data[i] == '\n' ? '/' : event.data[i]);
        buf_putc(out, ';');
    }
}

// Feeds exactly these bytes from memory of their own, so that a byte too many is noticed.
static void feed(struct sse *s, const char *bytes, size_t n)
{
    char *copy = malloc(n ? n : 1);

    memcpy(copy, bytes, n);
    assert_true(sse_feed(s, copy, n));
    free(copy);
}

static void check_split(const char *stream, const char *events, size_t first, size_t second)
{
    size_t len = strlen(stream);
    struct sse s;
    struct buf out;

    buf_init(&out, 1000);
    sse_init(&s, 0);
    feed(&s, stream, first);
    collect(&s, &out);
    feed(&s, stream + first, second - first);
    collect(&s, &out);
    feed(&s, stream + second, len - second);
    collect(&s, &out);
    sse_end(&s);
    collect(&s, &out);
    if (strcmp(buf_cstr(&out), events) != 0)
        fail_msg("'%s' cut at %zu and %zu gave %s", stream, first, second, out.data);
    assert_int_equal(s.in.len, 0);
    sse_deinit(&s);
    buf_deinit(&out);
}

static void events_are_the_same_for_every_split(void **state)
{
    (void)state;
    for (size_t row = 0; row < ROWS; row++) {
        size_t len = strlen(table[row].stream);

        for (size_t first = 0; first <= len; first++)
            for (size_t second = first; second <= len; second++)
                check_split(table[row].stream, table[row].events, first, second);
    }
}

static void events_are_the_same_byte_by_byte(void **state)
{
    (void)state;
    for (size_t row = 0; row < ROWS; row++) {
        struct sse s;
        struct buf out;

        buf_init(&out, 1000);
        sse_init(&s, 0);
        for (const char *at = table[row].stream; *at; at++) {
            feed(&s, at, 1);
            collect(&s, &out);
        }
        sse_end(&s);
        collect(&s, &out);
        assert_string_equal(buf_cstr(&out), table[row].events);
        sse_deinit(&s);
        buf_deinit(&out);
    }
}

static void assert_events(struct sse *s, const char *bytes, const char *events)
{
    struct buf out;

    buf_init(&out, 1000);
    feed(s, bytes, strlen(bytes));
    collect(s, &out);
    assert_string_equal(buf_cstr(&out), events);
    buf_deinit(&out);
}

static void an_event_is_there_with_the_byte_that_ends_it(void **state)
{
    struct sse s;

    (void)state;
    sse_init(&s, 0);
    assert_events(&s, "data: a\n", "");
    assert_events(&s, "\n", "|a;");
    assert_events(&s, "data: b\r\n\r", "|b;"); // does not wait for the LF
    assert_events(&s, "\ndata: c\r", "");
    assert_events(&s, "\r", "|c;");
    assert_events(&s, "data: d\n\n", "|d;");
    sse_deinit(&s);
}

static void comments_are_counted(void **state)
{
    struct sse s;

    (void)state;
    sse_init(&s, 0);
    assert_events(&s, ": a\n\n:\n\ndata: x\n: b\n\n", "|x;");
    assert_int_equal(s.comments, 3);
    sse_deinit(&s);
}

static void nul_bytes_are_data(void **state)
{
    struct sse_event event;
    struct sse s;

    (void)state;
    sse_init(&s, 0);
    feed(&s, "event: a\0b\ndata: c\0d\n\n", 22);
    assert_true(sse_next(&s, &event));
    assert_int_equal(event.name_len, 3);
    assert_memory_equal(event.name, "a\0b", 3);
    assert_int_equal(event.data_len, 3);
    assert_memory_equal(event.data, "c\0d", 3);
    sse_deinit(&s);
}

// Whether a stream with one event of `size` bytes before its blank line passes in reads of `step`
// bytes.
static bool passes(size_t max, size_t size, size_t step, const char *line_break)
{
    char *stream = malloc(size + 50);
    struct sse_event event;
    size_t seen = 0, len = (size_t)sprintf(stream, "data: before\n\n");
    bool ok = true;
    struct sse s;

    memset(stream + len, 'x', size);
    memcpy(stream + len, "data: ", 6);
    len += size - strlen(line_break);
    len += (size_t)sprintf(stream + len, "%s%s", line_break, line_break);
    len += (size_t)sprintf(stream + len, "data: after\n\n");
    sse_init(&s, max);
    for (size_t at = 0; at < len && ok; at += step) {
        ok = sse_feed(&s, stream + at, len - at < step ? len - at : step);
        while (sse_next(&s, &event))
            seen++;
    }
    assert_int_equal(s.too_large, !ok);
    if (ok)
        assert_int_equal(seen, 3);
    else
        assert_false(sse_feed(&s, "\n\n", 2)); // stays so
    sse_deinit(&s);
    free(stream);
    return ok;
}

static void an_event_above_the_maximum_fails_the_stream_however_it_is_cut(void **state)
{
    static const char *const line_breaks[] = {"\n", "\r\n", "\r"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (size_t step = 1; step < 200; step++) {
            assert_true(passes(100, 100, step, line_breaks[i]));
            assert_false(passes(100, 101, step, line_breaks[i]));
        }
    }
}

static void an_event_that_never_ends_fails_at_the_maximum(void **state)
{
    struct sse_event event;
    struct sse s;
    size_t fed = 0;

    (void)state;
    sse_init(&s, 5000);
    while (sse_feed(&s, ": and so on\ndata: x\n", 20)) {
        assert_false(sse_next(&s, &event));
        fed += 20;
    }
    assert_int_equal(fed, 5000);
    sse_deinit(&s);
}

static void small_events_may_come_in_one_large_piece(void **state)
{
    struct sse_event event;
    struct sse s;
    struct buf many;
    size_t count = 0;

    (void)state;
    buf_init(&many, SSE_FEED_MAX);
    while (buf_puts(&many, "data: x\n\n"))
        count++;
    sse_init(&s, 100);
    assert_true(sse_feed(&s, many.data, many.len));
    while (sse_next(&s, &event))
        count--;
    assert_int_equal(count, 0);
    sse_deinit(&s);
    buf_deinit(&many);
}

static void a_written_event_has_a_data_line_for_each_line(void **state)
{
    static const struct {
        const char *name, *data, *bytes;
    } rows[] = {
        {"", "a", "data: a\n\n"},
        {"", "", "data: \n\n"},
        {"ping", "{}", "event: ping\ndata: {}\n\n"},
        {"", "a\nb\r\nc\rd", "data: a\ndata: b\ndata: c\ndata: d\n\n"},
        {"", "\n", "data: \ndata: \n\n"},
        {"", "\r\r\n\n", "data: \ndata: \ndata: \ndata: \n\n"},
        {"", " a: b", "data:  a: b\n\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        size_t name_len = strlen(rows[i].name), data_len = strlen(rows[i].data);
        struct buf out;

        buf_init(&out, 100);
        assert_true(sse_write(&out, rows[i].name, name_len, rows[i].data, data_len));
        assert_string_equal(buf_cstr(&out), rows[i].bytes);
        buf_deinit(&out);
        buf_init(&out, strlen(rows[i].bytes) - 1);
        assert_false(sse_write(&out, rows[i].name, name_len, rows[i].data, data_len));
        buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_the_same_for_every_split),
        cmocka_unit_test(events_are_the_same_byte_by_byte),
        cmocka_unit_test(an_event_is_there_with_the_byte_that_ends_it),
        cmocka_unit_test(comments_are_counted),
        cmocka_unit_test(nul_bytes_are_data),
        cmocka_unit_test(an_event_above_the_maximum_fails_the_stream_however_it_is_cut),
        cmocka_unit_test(an_event_that_never_ends_fails_at_the_maximum),
        cmocka_unit_test(small_events_may_come_in_one_large_piece),
        cmocka_unit_test(a_written_event_has_a_data_line_for_each_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
