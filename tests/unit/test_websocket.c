// test_websocket.c - the decoder and the writer of WebSocket frames.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/websocket.h"
#include "websocket_frames.h"

#define TEXT 0x81
#define BINARY 0x82
#define CLOSE 0x88
#define PING 0x89
#define PONG 0x8a
#define FIRST 0x01 // of a fragmented text
#define MIDDLE 0x00
#define LAST 0x80

// Feeds one piece, from memory of its own, and writes what comes out of it: `t(text)`, `b()`,
// `i()` for a ping, `o()`, `c<status>(reason)`, `!<status>` for a failure.
static void feed(struct websocket *w, const char *bytes, size_t n, struct buf *out)
{
    char *copy = malloc(n ? n : 1), *at = copy;
    struct websocket_event e;
    size_t used;

    memcpy(copy, bytes, n);
    for (;;) {
        enum websocket_result result = websocket_take(w, at, n, &used, &e);

        assert_true(used <= n);
        at += used;
        n -= used;
        if (result == WEBSOCKET_FAILED) {
            if (out->len == 0 || out->data[out->len - 1] != '.')
                buf_printf(out, "!%d.", w->status);
            break;
        }
        if (result == WEBSOCKET_MORE) {
            assert_int_equal(n, 0);
            break;
        }
        buf_putc(out, ".tb.....cio"[e.opcode]);
        if (e.opcode == WEBSOCKET_CLOSE)
            buf_printf(out, "%d", e.status);
        buf_putc(out, '(');
        buf_append(out, e.data, e.len);
        buf_putc(out, ')');
    }
    free(copy);
}

// Every way to cut the bytes into three must give `events`, and so must single bytes.
static void check(const struct buf *bytes, size_t max, const char *events)
{
    for (size_t first = 0; first <= bytes->len; first++) {
        for (size_t second = first; second <= bytes->len; second++) {
            struct websocket w;
            struct buf out;

            websocket_init(&w, max);
            buf_init(&out, 1 << 20);
            feed(&w, bytes->data, first, &out);
            feed(&w, bytes->data + first, second - first, &out);
            feed(&w, bytes->data + second, bytes->len - second, &out);
            if (strcmp(buf_cstr(&out), events) != 0)
                fail_msg("cut at %zu and %zu it gave %s, not %s", first, second, out.data, events);
            websocket_deinit(&w);
            buf_deinit(&out);
        }
    }
}

static void check_frame(unsigned first, const char *payload, size_t n, const char *events)
{
    struct buf bytes;

    buf_init(&bytes, 1000);
    frame_put(&bytes, first, payload, n);
    check(&bytes, 1000, events);
    buf_deinit(&bytes);
}

static void whole_messages_and_control_frames_are_events(void **state)
{
    (void)state;
    check_frame(TEXT, "hello", 5, "t(hello)");
    check_frame(TEXT, "", 0, "t()");
    check_frame(TEXT, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9,
                "t(\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80)");
    check_frame(BINARY, "\xff\xfe", 2, "b(\xff\xfe)");
    check_frame(PING, "", 0, "i()");
    check_frame(PING, "are you there", 13, "i(are you there)");
    check_frame(PONG, "yes", 3, "o(yes)");
    check_frame(CLOSE, "", 0, "c1005()");
    check_frame(CLOSE, "\x03\xe8", 2, "c1000()");
    check_frame(CLOSE, "\x03\xe9gone", 6, "c1001(gone)");
    check_frame(CLOSE, "\x13\x87", 2, "c4999()");
}

static void fragments_are_one_message_and_control_frames_may_come_between(void **state)
{
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 1000);
    frame_put(&bytes, FIRST, "one ", 4);
    frame_put(&bytes, PING, "p", 1);
    frame_put(&bytes, MIDDLE, "", 0);
    frame_put(&bytes, MIDDLE, "two \xe2", 5); // a character in two fragments
    frame_put(&bytes, PONG, "", 0);
    frame_put(&bytes, LAST, "\x82\xac", 2);
    frame_text(&bytes, "next");
    check(&bytes, 1000, "i(p)o()t(one two \xe2\x82\xac)t(next)");
    buf_deinit(&bytes);
}

static void what_breaks_the_protocol_ends_it(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *events;
    } table[] = {
#define ROW(text, events) {text, sizeof(text) - 1, events}
        ROW("\xc1\x80....", "!1002."), // reserved bits
        ROW("\xa1\x80....", "!1002."),
        ROW("\x91\x80....", "!1002."),
        ROW("\x83\x80....", "!1002."), // reserved opcodes
        ROW("\x87\x80....", "!1002."),
        ROW("\x8b\x80....", "!1002."),
        ROW("\x8f\x80....", "!1002."),
        ROW("\x81\x01x", "!1002."),    // not masked
        ROW("\x09\x80....", "!1002."), // fragmented control frames
        ROW("\x08\x80....", "!1002."),
        ROW("\x89\xfe\x00\x7e....", "!1002."), // 126 bytes in a control frame
        ROW("\x88\xff\0\0\0\0\0\0\0\x01....", "!1002."),
        ROW("\x80\x80....", "!1002."), // nothing to continue
        ROW("\x00\x80....", "!1002."),
        ROW("\x01\x80....\x81\x80....", "!1002."), // a message within another
        ROW("\x01\x80....\x02\x80....", "!1002."),
        ROW("\x81\xfe\x00\x7d....", "!1002."), // lengths longer than need be
        ROW("\x81\xff\0\0\0\0\0\0\xff\xff....", "!1002."),
        ROW("\x81\xff\x80\0\0\0\0\x01\0\0....", "!1002."),
        ROW("\x88\x81\0\0\0\0x", "!1002."), // close frames
        ROW("\x88\x82\0\0\0\0\0\0", "!1002."),
        ROW("\x88\x82\0\0\0\0\x03\xe7", "!1002."), // 999
        ROW("\x88\x82\0\0\0\0\x03\xec", "!1002."), // 1004
        ROW("\x88\x82\0\0\0\0\x03\xed", "!1002."), // 1005
        ROW("\x88\x82\0\0\0\0\x03\xee", "!1002."), // 1006
        ROW("\x88\x82\0\0\0\0\x03\xf7", "!1002."), // 1015
        ROW("\x88\x82\0\0\0\0\x0b\xb7", "!1002."), // 2999
        ROW("\x88\x82\0\0\0\0\x13\x88", "!1002."), // 5000
        ROW("\x88\x83\0\0\0\0\x03\xe8\xff", "!1007."),
        ROW("\x81\x81\0\0\0\0\xff", "!1007."), // not UTF-8
        ROW("\x81\x82\0\0\0\0\xc0\x80", "!1007."),
        ROW("\x81\x83\0\0\0\0\xed\xa0\x80", "!1007."),
        ROW("\x81\x82\0\0\0\0\xe2\x82", "!1007."),
        ROW("\x81\x89\0\0\0\0"
            "abcdefgh\x80",
            "!1007."),
        ROW("\x01\x81\0\0\0\0\xe2\x80\x81\0\0\0\0\x82", "!1007."),
        ROW("\x81\x85\0\0\0\0abcde\x81\x80", "t(abcde)"),
#undef ROW
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct buf bytes;

        buf_init(&bytes, 1000);
        buf_append(&bytes, table[i].bytes, table[i].len);
        check(&bytes, 1000, table[i].events);
        buf_deinit(&bytes);
    }
}

static void a_message_above_the_maximum_fails_before_it_is_there(void **state)
{
    static const char text[300];
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 100000);
    frame_put(&bytes, BINARY, text, 100);
    frame_put(&bytes, FIRST, text, 60);
    frame_put(&bytes, LAST, text, 40);
    {
        struct websocket w;
        struct buf out;

        websocket_init(&w, 100);
        buf_init(&out, 10000);
        feed(&w, bytes.data, bytes.len, &out);
        assert_int_equal(out.data[out.len - 1], ')');
        buf_clear(&bytes);
        buf_clear(&out);
        frame_put(&bytes, FIRST, text, 60);
        frame_put(&bytes, LAST, text, 41);
        feed(&w, bytes.data, bytes.len - 41, &out); // the head is enough
        assert_string_equal(buf_cstr(&out), "!1009.");
        websocket_deinit(&w);
        buf_deinit(&out);
    }
    buf_clear(&bytes);
    frame_put(&bytes, TEXT, text, 126);
    bytes.len = 8; // nothing of the payload
    check(&bytes, 125, "!1009.");
    buf_deinit(&bytes);
}

static void long_messages_use_the_longer_forms_of_the_length(void **state)
{
    static const size_t sizes[] = {125, 126, 127, 65535, 65536, 200000};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        char *payload = malloc(sizes[i]), *message;
        struct websocket_event e;
        struct websocket w;
        struct buf bytes;
        size_t used, len;

        for (size_t k = 0; k < sizes[i]; k++)
            payload[k] = (char)('a' + k % 23);
        buf_init(&bytes, 1 << 20);
        frame_put(&bytes, TEXT, payload, sizes[i]);
        websocket_init(&w, 1 << 20);
        for (size_t at = 0, step = 1; at < bytes.len; at += used, step = step % 4099 + 1) {
            size_t n = bytes.len - at < step ? bytes.len - at : step;

            if (websocket_take(&w, bytes.data + at, n, &used, &e) == WEBSOCKET_EVENT)
                assert_int_equal(at + used, bytes.len);
        }
        assert_int_equal(e.len, sizes[i]);
        assert_memory_equal(e.data, payload, sizes[i]);
        message = websocket_detach(&w, &len);
        assert_ptr_equal(message, e.data);
        assert_int_equal(len, sizes[i]);
        assert_int_equal(message[len], '\0');
        free(message);
        websocket_deinit(&w);
        buf_deinit(&bytes);
        free(payload);
    }
}

static void heads_have_the_shortest_form(void **state)
{
    static const struct {
        size_t len, size;
        const char *bytes;
    } table[] = {
        {0, 2, "\x81\x00"},
        {125, 2, "\x81\x7d"},
        {126, 4, "\x81\x7e\x00\x7e"},
        {65535, 4, "\x81\x7e\xff\xff"},
        {65536, 10, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
        {(size_t)5 << 32, 10, "\x81\x7f\x00\x00\x00\x05\x00\x00\x00\x00"},
    };
    char head[WEBSOCKET_HEAD_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        assert_int_equal(websocket_head(head, WEBSOCKET_TEXT, table[i].len), table[i].size);
        assert_memory_equal(head, table[i].bytes, table[i].size);
    }
}

static void the_reason_of_a_close_frame_is_cut_between_characters(void **state)
{
    char reason[200] = "";
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    assert_true(websocket_put_close(&out, WEBSOCKET_GOING_AWAY, "bye"));
    assert_int_equal(out.len, 7);
    assert_memory_equal(out.data,
                        "\x88\x05\x03\xe9"
                        "bye",
                        7);
    buf_clear(&out);
    for (int i = 0; i < 50; i++)
        strcat(reason, "\xe2\x82\xac");
    assert_true(websocket_put_close(&out, WEBSOCKET_POLICY, reason));
    assert_int_equal(out.len, 2 + 2 + 123); // 41 characters of three bytes
    buf_clear(&out);
    memmove(reason + 1, reason, 150);
    reason[0] = 'x';
    assert_true(websocket_put_close(&out, WEBSOCKET_POLICY, reason));
    assert_int_equal(out.len, 2 + 2 + 121);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_messages_and_control_frames_are_events),
        cmocka_unit_test(fragments_are_one_message_and_control_frames_may_come_between),
        cmocka_unit_test(what_breaks_the_protocol_ends_it),
        cmocka_unit_test(a_message_above_the_maximum_fails_before_it_is_there),
        cmocka_unit_test(long_messages_use_the_longer_forms_of_the_length),
        cmocka_unit_test(heads_have_the_shortest_form),
        cmocka_unit_test(the_reason_of_a_close_frame_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
