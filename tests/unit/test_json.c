#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/json_scan.h"

// Texts end at a guarded byte: a copy of exact size, so that the sanitizer sees a read too far.
static char *exact(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);

    assert_non_null(copy);
    memcpy(copy, text, len);
    return copy;
}

static bool accepts_bytes(const char *text, size_t len, unsigned flags)
{
    struct json_error error = {0};
    char *copy = exact(text, len);
    bool ok = json_check(copy, len, flags, &error);

    free(copy);
    if (!ok) {
        assert_non_null(error.message);
        assert_true(error.offset <= len);
    }
    return ok;
}

static bool accepts(const char *text)
{
    return accepts_bytes(text, strlen(text), JSON_STRICT_UTF8);
}

// --- accept and reject ---------------------------------------------------------------------------

static const char *const good[] = {
    // structure
    "[]",
    "{}",
    "[ ]",
    "{ }",
    "[[]   ]",
    "[{}]",
    "{\"\":0}",
    "{\"a\":[]}",
    "\t[\r\n1 ]\n",
    "[1,2]",
    "[1\n,\r2\t, 3 ]",
    "{\"a\":1,\"a\":2}",
    "{\"a\":\"b\",\"c\":{\"d\":[null]}}",
    "null",
    "true",
    "false",
    " \"x\" ",
    "0",
    "[true,false,null]",
    "{\"\\u0000\":1}",
    "{ \"a\" : 1 , \"b\" : 2 }",
    "[        \n                  1]",
    // numbers
    "-0",
    "1",
    "-1",
    "10",
    "0.0",
    "-0.1",
    "123.456",
    "1e5",
    "1E5",
    "1e+5",
    "1e-5",
    "0e1",
    "0E+1",
    "1.5e300",
    "1e999",
    "-123123123123123123123123123123",
    "0.000000000000000000000000000000000001",
    "20e1",
    // strings
    "\"\"",
    "\"a/b\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0041\\uFfFf\\u0000\"",
    "\"\x7f\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud800\\n\"",
    "\"\\ud800\\u0041\"",
    "\"0123456789abcdef0123456789abcdef\"",
    "\"0123456789abcde\\n\"",
    "\"\\u2028\xe2\x80\xa8\"",
    // UTF-8
    "\"\xc3\xa9\"",
    "\"\xe2\x82\xac\"",
    "\"\xf0\x9f\x98\x80\"",
    "\"\xf4\x8f\xbf\xbf\"",
    "\"\xed\x9f\xbf\"",
    "\"\xee\x80\x80\"",
    "\"\xef\xbf\xbf\"",
    "\"\xc2\x80\"",
    "\"\xe0\xa0\x80\"",
    "\"\xf0\x90\x80\x80\"",
    "\"0123456789abcd\xc3\xa9\"",
};

static const char *const bad[] = {
    // structure
    "",
    " ",
    "[",
    "]",
    "{",
    "}",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[,]",
    "[1 2]",
    "[1,,2]",
    "[1]]",
    "[1}",
    "{]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\" 1}",
    "{\"a\":1,}",
    "{,}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1,,\"b\":2}",
    "{\"a\"::1}",
    "{\"a\":1}}",
    "{\"a\":1",
    "{\"a\":",
    "{\"a\"",
    "{\"a",
    "{\"",
    "[] []",
    "1 2",
    "[1]x",
    "{}//",
    "/*x*/[]",
    "[1]#",
    "[:1]",
    "[\"a\":1]",
    "{null:1}",
    "{\"a\":[}",
    "[{]}",
    "\xef\xbb\xbf[]",
    "\f[]",
    "[\v1]",
    "[\xc2\xa0]",
    "\xe2\x81\xa0[]",
    "*",
    "<a>",
    "[<null>]",
    // literals
    "nul",
    "nulll",
    "True",
    "TRUE",
    "fals",
    "truefalse",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "[nan]",
    "[tru]",
    "t",
    "n",
    // numbers
    "-",
    "+1",
    "01",
    "-01",
    "00",
    "1.",
    ".1",
    "-.1",
    "1.e1",
    "1e",
    "1e+",
    "1E-",
    "1e1.5",
    "1.2.3",
    "0x1",
    "1a",
    "--1",
    "-a",
    "1_000",
    "[1.]",
    "[-]",
    "0.e1",
    "1e--1",
    "\xef\xbc\x91",
    "[1e]",
    "1eE2",
    // strings
    "\"",
    "\"a",
    "\"\\\"",
    "\"\\",
    "\"\\x\"",
    "\"\\a\"",
    "\"\\u\"",
    "\"\\u1\"",
    "\"\\u12\"",
    "\"\\u123\"",
    "\"\\u123g\"",
    "\"\\U0041\"",
    "\"\\ud800\\u\"",
    "\"\\ud800\\u12\"",
    "\"\n\"",
    "\"\t\"",
    "\"\x01\"",
    "\"\x1f\"",
    "'a'",
    "a\"",
    "\"\\'\"",
    "\"\\0\"",
    "\"\\ \"",
    "\"\\\xc3\xa9\"",
    "\"0123456789abcdef\n\"",
    "\"0123456789abcdef0123456789abcdef",
    // UTF-8
    "\"\x80\"",
    "\"\xbf\"",
    "\"\xc0\x80\"",
    "\"\xc1\xbf\"",
    "\"\xc3\"",
    "\"\xc3(\"",
    "\"\xe2\x82\"",
    "\"\xe0\x80\x80\"",
    "\"\xe0\x9f\xbf\"",
    "\"\xed\xa0\x80\"",
    "\"\xed\xbf\xbf\"",
    "\"\xf0\x9f\x98\"",
    "\"\xf0\x80\x80\x80\"",
    "\"\xf0\x8f\xbf\xbf\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xf5\x80\x80\x80\"",
    "\"\xff\"",
    "\"\xfe\"",
    "\"\xf8\x88\x80\x80\x80\"",
    "\"\xe2(\xa1\"",
    "{\"\xff\":1}",
    "[\"\xc3",
};

static void texts_that_are_json_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        if (!accepts(good[i]))
            fail_msg("refused: %s", good[i]);
}

static void texts_that_are_not_json_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (accepts(bad[i]))
            fail_msg("accepted: %s", bad[i]);
}

static void a_nul_byte_is_not_the_end(void **state)
{
    (void)state;
    assert_false(accepts_bytes("[1]\0", 4, 0));
    assert_false(accepts_bytes("\"a\0b\"", 5, 0));
    assert_false(accepts_bytes("1\0", 2, 0));
}

static void every_prefix_of_an_object_is_refused(void **state)
{
    static const char text[] =
        "{\"a\":[1.5e3,-2,\"x\\u00e9\\n\xc3\xa9\"],\"b\":{\"c\":null},\"d\":true}";

    (void)state;
    assert_true(accepts(text));
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_false(accepts_bytes(text, n, JSON_STRICT_UTF8));
}

static void invalid_utf8_passes_when_it_is_not_from_a_client(void **state)
{
    (void)state;
    assert_true(accepts_bytes("\"\xff\xc3\"", 4, 0));
    assert_false(accepts_bytes("[\xff]", 3, 0));
}

static void nesting_ends_at_its_limit(void **state)
{
    char text[2 * JSON_RAW_DEPTH + 4];
    size_t n = JSON_RAW_DEPTH;

    (void)state;
    memset(text, '[', n);
    memset(text + n, ']', n);
    assert_true(accepts_bytes(text, 2 * n, 0));
    n++;
    memset(text, '[', n);
    memset(text + n, ']', n);
    assert_false(accepts_bytes(text, 2 * n, 0));
}

static void an_error_names_the_offending_byte(void **state)
{
    struct json_error error;

    (void)state;
    assert_false(json_check("{\"a\":tru}", 9, 0, &error));
    assert_int_equal(error.offset, 5);
    assert_false(json_check("[1] x", 5, 0, &error));
    assert_int_equal(error.offset, 4);
}

// --- members and find ----------------------------------------------------------------------------

static void assert_slice(struct json_slice slice, enum json_type type, const char *text)
{
    assert_int_equal(slice.type, type);
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.at, text, slice.len);
}

static void several_members_are_read_in_one_pass(void **state)
{
    static const char text[] =
        "{\"x\":{\"model\":1}, \"mod\\u0065l\" : \"m\" ,\"stream\":true,\"n\":-1}";
    static const char *const names[] = {"model", "stream", "none", "x", "n"};
    struct json_slice out[5];

    (void)state;
    assert_true(json_members(text, strlen(text), names, 5, out, JSON_UNIQUE, NULL));
    assert_slice(out[0], JSON_STRING, "\"m\"");
    assert_slice(out[1], JSON_TRUE, "true");
    assert_int_equal(out[2].type, JSON_NONE);
    assert_slice(out[3], JSON_OBJECT, "{\"model\":1}");
    assert_slice(out[4], JSON_NUMBER, "-1");
}

static void the_last_of_two_equal_names_counts_unless_they_must_be_unique(void **state)
{
    static const char text[] = "{\"a\":1,\"\\u0061\":2}";
    static const char *const names[] = {"a"};
    struct json_slice out[1];
    struct json_error error;

    (void)state;
    assert_true(json_members(text, strlen(text), names, 1, out, 0, NULL));
    assert_slice(out[0], JSON_NUMBER, "2");
    assert_false(json_members(text, strlen(text), names, 1, out, JSON_UNIQUE, &error));
    assert_int_equal(error.offset, 7);
}

static void members_are_read_from_objects_only(void **state)
{
    static const char *const names[] = {"a"};
    static const char *const texts[] = {"", "[]", "1", "{\"a\":1", "{\"a\":1}x", "{\"a\" 1}", "{"};
    struct json_slice out[1];
    struct json_error error;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        assert_false(json_members(texts[i], strlen(texts[i]), names, 1, out, 0, &error));
}

#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1, 0                                                                  \
    }
#define INDEX(i)                                                                                   \
    {                                                                                              \
        NULL, 0, i                                                                                 \
    }

static void a_nested_value_is_found(void **state)
{
    static const char text[] = " {\"a\":[0,{\"b\":\"x\"}], \"c\":oops";
    const struct json_step path[] = {NAME("a"), INDEX(1), NAME("b")};
    const struct json_step beyond[] = {NAME("a"), INDEX(2)}, wrong[] = {INDEX(0)},
                           c[] = {NAME("c")};

    (void)state;
    assert_slice(json_find(text, strlen(text), path, 3), JSON_STRING, "\"x\"");
    assert_slice(json_find(text, strlen(text), path, 1), JSON_ARRAY, "[0,{\"b\":\"x\"}]");
    assert_int_equal(json_find(text, strlen(text), beyond, 2).type, JSON_NONE);
    assert_int_equal(json_find(text, strlen(text), wrong, 1).type, JSON_NONE);
    assert_int_equal(json_find(text, strlen(text), c, 1).type, JSON_NONE);
    assert_slice(json_find(" 1 ", 3, NULL, 0), JSON_NUMBER, "1");
}

// --- strings and numbers -------------------------------------------------------------------------

static void assert_unquotes(const char *quoted, const char *content)
{
    struct buf out;

    buf_init(&out, 1024);
    assert_true(json_unquote(&out, quoted, strlen(quoted)));
    assert_int_equal(out.len, strlen(content));
    assert_string_equal(buf_cstr(&out), content);
    buf_deinit(&out);
}

static void strings_are_unquoted(void **state)
{
    static const char *const malformed[] = {"", "\"", "x", "\"\\\"", "\"a", "\"\\u12\"", "\"\n\""};
    struct buf out;

    (void)state;
    assert_unquotes("\"\"", "");
    assert_unquotes("\"a\\u00e9\\n\\/\"", "a\xc3\xa9\n/");
    assert_unquotes("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80");
    assert_unquotes("\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80");
    assert_unquotes("\"\\ude00x\"", "\xef\xbf\xbdx");
    assert_unquotes("\"\xff\xff\xff\xff\xff\xff\"",
                    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    buf_init(&out, 1024);
    for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++)
        assert_false(json_unquote(&out, malformed[i], strlen(malformed[i])));
    buf_deinit(&out);
}

static void text_is_quoted_and_read_back_the_same(void **state)
{
    struct buf quoted, back;
    char text[300];

    (void)state;
    buf_init(&quoted, 4096);
    buf_init(&back, 4096);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i % 128);
    for (size_t n = 0; n <= sizeof(text); n++) {
        buf_clear(&quoted);
        buf_clear(&back);
        assert_true(json_quote(&quoted, text, n));
        assert_true(accepts_bytes(quoted.data, quoted.len, JSON_STRICT_UTF8));
        assert_true(json_unquote(&back, quoted.data, quoted.len));
        assert_int_equal(back.len, n);
        if (n)
            assert_memory_equal(back.data, text, n);
    }
    buf_deinit(&quoted);
    buf_deinit(&back);
}

// Plain runs are copied 16 bytes at a time, so each length around that and each place counts; a
// buffer of its own for each text, so that no byte may be written behind it.
static void whatever_stands_between_plain_bytes_survives(void **state)
{
    static const char *const odd[] = {
        "\"", "\\", "\n", "\x01", "\x7f", "\xc3\xa9", "\xf0\x9f\x98\x80"};

    (void)state;
    for (size_t len = 0; len <= 40; len++)
        for (size_t at = 0; at <= len; at++)
            for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
                char text[64];
                size_t n = strlen(odd[i]);
                struct buf quoted, back;

                memset(text, 'a', sizeof(text));
                memcpy(text + at, odd[i], n);
                buf_init(&quoted, 4096);
                buf_init(&back, 4096);
                assert_true(json_quote(&quoted, text, len + n));
                assert_true(json_unquote(&back, quoted.data, quoted.len));
                assert_int_equal(back.len, len + n);
                assert_memory_equal(back.data, text, len + n);
                buf_deinit(&quoted);
                buf_deinit(&back);
            }
}

// A string is taken and decoded in one pass, and in two: both agree about each one.
static void taking_a_string_decodes_it(void **state)
{
    static const char *const odd[] = {"\\n",  "\\\"", "\\u00e9", "\xc3\xa9",
                                      "\xff", "\\x",  "\n",      "\""};

    (void)state;
    for (size_t i = 0; i < 8 * 8 * 70; i++) {
        const char *first = odd[i % 8], *second = odd[i / 8 % 8];
        struct json_scan one, two;
        struct json_content content;
        struct buf scratch, once, in;
        bool plain;
        char *text;

        buf_init(&in, 1000);
        buf_init(&scratch, 1000);
        buf_init(&once, 1000);
        assert_true(buf_putc(&in, '"'));
        for (size_t n = 0; n < i / 64; n++)
            assert_true(buf_putc(&in, 'a'));
        assert_true(buf_printf(&in, "%sbc%s\"%.*s", first, second, (int)(i % 3) * 10,
                               "                    "));
        text = exact(in.data, in.len);
        json_scan_init(&one, text, in.len, i % 5 ? JSON_STRICT_UTF8 : 0);
        two = one;
        if (json_scan_string(&one, &plain)) {
            assert_true(json_scan_content(&two, &scratch, &content));
            assert_true(json_unquote(&once, text, (size_t)(one.at - text)));
            assert_int_equal(content.len, once.len);
            assert_memory_equal(content.at, once.data, once.len);
        } else {
            assert_false(json_scan_content(&two, &scratch, &content));
        }
        assert_ptr_equal(one.at, two.at);
        assert_ptr_equal(one.message, two.message);
        assert_int_equal(one.broken_utf8, two.broken_utf8);
        free(text);
        buf_deinit(&in);
        buf_deinit(&scratch);
        buf_deinit(&once);
    }
}

static void a_string_too_large_for_its_scratch_is_no_malformed_one(void **state)
{
    const char *text = "\"\\n0123456789012345678901234567890123456789\"";
    struct json_scan s;
    struct json_content content;
    struct buf scratch;

    (void)state;
    buf_init(&scratch, 40);
    json_scan_init(&s, text, strlen(text), 0);
    assert_false(json_scan_content(&s, &scratch, &content));
    assert_null(s.message);
    buf_deinit(&scratch);
}

static void a_full_buffer_fails_instead_of_growing(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4);
    assert_false(json_quote(&out, "abcdef", 6));
    buf_clear(&out);
    assert_false(json_quote(&out, "\n\n", 2));
    buf_clear(&out);
    assert_false(json_repair(&out, "\xff\xff", 2));
    buf_deinit(&out);
}

static enum json_number kind(const char *text)
{
    int64_t i;
    double d;

    return json_number_parse(text, strlen(text), &i, &d);
}

static void numbers_that_fit_64_bits_are_integers(void **state)
{
    int64_t i;
    double d;

    (void)state;
    assert_int_equal(json_number_parse("-9223372036854775808", 20, &i, &d), JSON_INTEGER);
    assert_true(i == INT64_MIN);
    assert_int_equal(json_number_parse("9223372036854775807", 19, &i, &d), JSON_INTEGER);
    assert_true(i == INT64_MAX);
    assert_int_equal(kind("9223372036854775808"), JSON_REAL);
    assert_int_equal(kind("18446744073709551617"), JSON_REAL);
    assert_int_equal(kind("-9223372036854775809"), JSON_REAL);
    assert_int_equal(kind("-0"), JSON_REAL);
    assert_int_equal(kind("1.0"), JSON_REAL);
    assert_int_equal(kind("1e400"), JSON_TOO_LARGE);
    assert_int_equal(kind("0.00000000000000000000000000000000000000000000000000000000000000000001"),
                     JSON_REAL);
}

// --- splice --------------------------------------------------------------------------------------

static void assert_splices(const char *text, const struct json_step *path, size_t steps,
                           const char *raw, const char *expected)
{
    size_t len = strlen(text);
    char *copy = exact(text, len);
    struct buf out;
    bool ok;

    buf_init(&out, 1024);
    ok = json_splice(&out, copy, len, path, steps, raw, raw ? strlen(raw) : 0, NULL);
    assert_true(ok == (expected != NULL));
    if (expected)
        assert_string_equal(buf_cstr(&out), expected);
    buf_deinit(&out);
    free(copy);
}

static void a_value_is_replaced_in_place(void **state)
{
    const struct json_step a[] = {NAME("a")}, a1b[] = {NAME("a"), INDEX(1), NAME("b")};

    (void)state;
    assert_splices(" { \"a\" : 1 , \"b\":2}\n", a, 1, "[ ]", " { \"a\" : [ ] , \"b\":2}\n");
    assert_splices("{\"\\u0061\":1}", a, 1, "2", "{\"\\u0061\":2}");
    assert_splices("{\"a\":[1,{\"b\":1,\"c\":2}]}", a1b, 3, "9", "{\"a\":[1,{\"b\":9,\"c\":2}]}");
    assert_splices(" 1 ", NULL, 0, "2", " 2 ");
}

static void a_missing_value_is_inserted_at_the_end(void **state)
{
    const struct json_step a[] = {NAME("a")}, i0[] = {INDEX(0)}, i2[] = {INDEX(2)};
    const struct json_step deep[] = {NAME("b"), NAME("\"q\"")};

    (void)state;
    assert_splices("{}", a, 1, "1", "{\"a\":1}");
    assert_splices("{ }", a, 1, "1", "{ \"a\":1}");
    assert_splices("{\"b\":2 }", a, 1, "1", "{\"b\":2,\"a\":1 }");
    assert_splices("[]", i0, 1, "1", "[1]");
    assert_splices("[1, 2]", i2, 1, "3", "[1, 2,3]");
    assert_splices("[1]", i2, 1, "3", NULL);
    assert_splices("{\"b\":{\"c\":0},\"d\":1}", deep, 2, "1",
                   "{\"b\":{\"c\":0,\"\\\"q\\\"\":1},\"d\":1}");
}

static void a_value_is_removed_with_its_comma(void **state)
{
    const struct json_step a[] = {NAME("a")}, i0[] = {INDEX(0)}, i1[] = {INDEX(1)},
                           i2[] = {INDEX(2)};
    const struct json_step deep[] = {NAME("a"), NAME("b")};

    (void)state;
    assert_splices("{\"a\":1}", a, 1, NULL, "{}");
    assert_splices("{ \"a\":1 , \"b\":2 }", a, 1, NULL, "{ \"b\":2 }");
    assert_splices("{ \"b\":2 , \"a\":1 }", a, 1, NULL, "{ \"b\":2 }");
    assert_splices("{\"b\":2,\"a\":1,\"c\":3}", a, 1, NULL, "{\"b\":2,\"c\":3}");
    assert_splices("[1,2,3]", i0, 1, NULL, "[2,3]");
    assert_splices("[1,2,3]", i1, 1, NULL, "[1,3]");
    assert_splices("[1,2,3]", i2, 1, NULL, "[1,2]");
    assert_splices("{\"a\":{\"b\":1},\"c\":2}", deep, 2, NULL, "{\"a\":{},\"c\":2}");
    assert_splices("{\"c\":2}", deep, 2, NULL, "{\"c\":2}");
    assert_splices("1", NULL, 0, NULL, NULL);
}

static void a_splice_that_cannot_be_clear_is_refused(void **state)
{
    const struct json_step a[] = {NAME("a")}, ab[] = {NAME("a"), NAME("b")};

    (void)state;
    assert_splices("{\"a\":1,\"a\":2}", a, 1, "3", NULL);
    assert_splices("{\"a\":1,\"a\":2}", a, 1, NULL, NULL);
    assert_splices("{\"a\":{\"b\":1},\"a\":{}}", ab, 2, "3", NULL);
    assert_splices("{\"a\":1}", ab, 2, "3", NULL);
    assert_splices("[1]", a, 1, "3", NULL);
    assert_splices("{}", ab, 2, "3", NULL);
    assert_splices("{\"a\":1,\"b\":}", a, 1, "3", NULL);
    assert_splices("{\"a\":1} x", a, 1, "3", NULL);
    assert_splices("", a, 1, "3", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_are_json_are_accepted),
        cmocka_unit_test(texts_that_are_not_json_are_refused),
        cmocka_unit_test(a_nul_byte_is_not_the_end),
        cmocka_unit_test(every_prefix_of_an_object_is_refused),
        cmocka_unit_test(invalid_utf8_passes_when_it_is_not_from_a_client),
        cmocka_unit_test(nesting_ends_at_its_limit),
        cmocka_unit_test(an_error_names_the_offending_byte),
        cmocka_unit_test(several_members_are_read_in_one_pass),
        cmocka_unit_test(the_last_of_two_equal_names_counts_unless_they_must_be_unique),
        cmocka_unit_test(members_are_read_from_objects_only),
        cmocka_unit_test(a_nested_value_is_found),
        cmocka_unit_test(strings_are_unquoted),
        cmocka_unit_test(text_is_quoted_and_read_back_the_same),
        cmocka_unit_test(whatever_stands_between_plain_bytes_survives),
        cmocka_unit_test(taking_a_string_decodes_it),
        cmocka_unit_test(a_string_too_large_for_its_scratch_is_no_malformed_one),
        cmocka_unit_test(a_full_buffer_fails_instead_of_growing),
        cmocka_unit_test(numbers_that_fit_64_bits_are_integers),
        cmocka_unit_test(a_value_is_replaced_in_place),
        cmocka_unit_test(a_missing_value_is_inserted_at_the_end),
        cmocka_unit_test(a_value_is_removed_with_its_comma),
        cmocka_unit_test(a_splice_that_cannot_be_clear_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
