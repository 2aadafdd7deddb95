// test_codec_misc.c - the small codecs: HTTP dates, base64, secrets in logs.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/base64.h"
#include "codec/http_date.h"
#include "codec/redact.h"

#define NOW 1790000000 // September 2026

static void the_three_forms_of_a_date_mean_the_same(void **state)
{
    static const char *const forms[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};

    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        int64_t seconds = 0;

        assert_true(http_date_parse(forms[i], NOW, &seconds));
        assert_int_equal(seconds, 784111777);
    }
}

static void a_two_digit_year_is_at_most_fifty_years_ahead(void **state)
{
    int64_t seconds = 0;

    (void)state;
    assert_true(http_date_parse("Friday, 01-Jan-27 00:00:00 GMT", NOW, &seconds));
    assert_int_equal(seconds, 1798761600);
    assert_true(http_date_parse("Friday, 01-Jan-77 00:00:00 GMT", NOW, &seconds));
    assert_int_equal(seconds, 220924800);
}

static void what_is_no_date_is_refused(void **state)
{
    static const char *const wrong[] = {
        "", "S", "Sun", "Sun,", "Sun, 31 Feb 2025 00:00:00 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nox 1994 08:49:37 GMT", "Sun Nov  0 08:49:37 1994",
        "Sun, 00 Nov 1994 08:49:37 GMT"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        int64_t seconds = 0;

        assert_false(http_date_parse(wrong[i], NOW, &seconds));
    }
}

static void a_written_date_reads_back_as_itself(void **state)
{
    char text[HTTP_DATE_SIZE];

    (void)state;
    assert_true(http_date_format(784111777, text));
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    for (int64_t t = -62135596800; t <= 253402300799; t += 86400 * 13 + 7919) {
        int64_t seconds = 0;

        assert_true(http_date_format(t, text));
        assert_true(http_date_parse(text, NOW, &seconds));
        assert_int_equal(seconds, t);
    }
    assert_true(http_date_format(253402300799, text));
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_false(http_date_format(253402300800, text));
    assert_false(http_date_format(INT64_MIN, text));
}

static void retry_after_takes_seconds_or_a_date(void **state)
{
    (void)state;
    assert_int_equal(retry_after("0", NOW), 0);
    assert_int_equal(retry_after("120", NOW), 120);
    assert_int_equal(retry_after("99999999999999999999999", NOW), INT32_MAX);
    assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111770), 7);
    assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", NOW), 0);
    assert_int_equal(retry_after("", NOW), -1);
    assert_int_equal(retry_after("-1", NOW), -1);
    assert_int_equal(retry_after("1.5", NOW), -1);
    assert_int_equal(retry_after("soon", NOW), -1);
}

// --- base64 ------------------------------------------------------------------------------------

// RFC 4648 section 10, and bytes that tell the alphabets apart.
static const struct {
    const char *bytes, *standard, *url;
} base64_table[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+", "-__-"},
};

static void assert_decodes(const char *text, const char *bytes)
{
    struct buf out;

    buf_init(&out, strlen(bytes)); // just large enough
    assert_true(base64_decode(&out, text, strlen(text)));
    assert_string_equal(buf_cstr(&out), bytes);
    buf_deinit(&out);
}

static void base64_goes_there_and_back_in_both_alphabets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(base64_table) / sizeof(*base64_table); i++) {
        const char *bytes = base64_table[i].bytes;
        struct buf out;

        buf_init(&out, 100);
        buf_puts(&out, "x");
        assert_true(base64_encode(&out, bytes, strlen(bytes), false));
        assert_string_equal(buf_cstr(&out) + 1, base64_table[i].standard);
        buf_clear(&out);
        assert_true(base64_encode(&out, bytes, strlen(bytes), true));
        assert_string_equal(buf_cstr(&out), base64_table[i].url);
        buf_deinit(&out);
        assert_decodes(base64_table[i].standard, bytes);
        assert_decodes(base64_table[i].url, bytes);
    }
    assert_decodes("-/_+", "\xfb\xff\xfe"); // mixed
    assert_decodes("Zg=", "f");
}

static void what_is_not_base64_is_refused_and_adds_nothing(void **state)
{
    static const char *const wrong[] = {"A", "AAAAA", "Zg===", "Z=g=", "====", "Zm9v\n",
                                        " Zm9v", "Zm9v!", "Zm\xc3\xa4", "Zm9vYmFy.A"};
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    buf_puts(&out, "x");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_false(base64_decode(&out, wrong[i], strlen(wrong[i])));
        assert_string_equal(buf_cstr(&out), "x");
    }
    assert_false(base64_decode(&out, "Zm9v\0AAA", 8));
    buf_deinit(&out);
}

static void base64_keeps_to_the_maximum(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 7);
    assert_false(base64_encode(&out, "foob", 4, false));
    assert_true(base64_encode(&out, "foob", 4, true));
    buf_clear(&out);
    assert_false(base64_decode(&out, "Zm9vYmFyZm9v", 12));
    assert_int_equal(out.len, 0);
    buf_deinit(&out);
}

static void any_bytes_survive_base64(void **state)
{
    unsigned char bytes[256];

    (void)state;
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        struct buf text, back;

        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)(i * 167 + n);
        buf_init(&text, 400);
        buf_init(&back, n);
        assert_true(base64_encode(&text, bytes, n, n % 2));
        assert_true(base64_decode(&back, buf_cstr(&text), text.len));
        assert_int_equal(back.len, n);
        assert_true(n == 0 || memcmp(back.data, bytes, n) == 0);
        buf_deinit(&text);
        buf_deinit(&back);
    }
}

// --- secrets -----------------------------------------------------------------------------------

static void secrets_in_a_target_are_masked(void **state)
{
    static const struct {
        const char *target, *shown;
    } rows[] = {
        {"", ""},
        {"/v1/models", "/v1/models"},
        {"/v1/models?", "/v1/models?"},
        {"/m?key=AIzaSyABCDEFGH&alt=sse", "/m?key=AIza...EFGH&alt=sse"},
        {"/m?alt=sse&key=12345678", "/m?alt=sse&key=***"},
        {"/m?KEY=123456789", "/m?KEY=1234...6789"},
        {"/m?key[]=123456789", "/m?key[]=1234...6789"},
        {"/m?keys=123456789&monkey=123456789", "/m?keys=123456789&monkey=123456789"},
        {"/m?x-api-key=123456789", "/m?x-api-key=1234...6789"},
        {"/m?my_apikey=123456789", "/m?my_apikey=1234...6789"},
        {"/m?api_key_2=123456789", "/m?api_key_2=1234...6789"},
        {"/m?access_token=123456789", "/m?access_token=1234...6789"},
        {"/m?client%53ecret=123456789", "/m?client%53ecret=1234...6789"},
        {"/m?%6bey=123456789", "/m?%6bey=1234...6789"},
        {"/m?a%00token=123456789", "/m?a%00token=1234...6789"},
        {"/m?token=%31%32%33%34%35%36%37%38%39", "/m?token=1234...6789"},
        {"/m?token=", "/m?token=***"},
        {"/m?token", "/m?token"},
        {"/m?&&key=1&", "/m?&&key=***&"},
        {"/m?a=b=c", "/m?a=b=c"},
        // the codes of a login are secrets on its landing page only
        {"/codex/callback?code=123456789&state=abcdefghi",
         "/codex/callback?code=1234...6789&state=abcd...fghi"},
        {"/m?code=123456789&state=abcdefghi", "/m?code=123456789&state=abcdefghi"},
        {"/m?next=callback&code=123456789", "/m?next=callback&code=123456789"},
        // a log line stays one line
        {"/a\nb?x=\x1b[2J&y\x7f", "/a?b?x=?[2J&y?"},
        {"/m?key=%0a23456%0d89", "/m?key=?234...6?89"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf out;

        buf_init(&out, 1000);
        redact_target(&out, rows[i].target);
        assert_string_equal(buf_cstr(&out), rows[i].shown);
        buf_deinit(&out);
    }
}

static void a_parameter_of_any_length_is_masked(void **state)
{
    enum { LONG = 200000 };
    char *target = malloc(LONG + 100);
    struct buf out;

    (void)state;
    buf_init(&out, 2 * LONG);
    memset(target, 'x', LONG + 99); // a name that is too long to look at
    target[LONG + 99] = '\0';
    memcpy(target, "/m?", 3);
    memcpy(target + LONG, "=1234567890secret", 17);
    target[LONG + 17] = '\0';
    redact_target(&out, target);
    assert_null(strstr(buf_cstr(&out), "1234567890secret"));
    buf_clear(&out);
    memset(target, 's', LONG); // a long value
    memcpy(target, "/m?key=", 7);
    target[LONG] = '\0';
    redact_target(&out, target);
    assert_string_equal(buf_cstr(&out), "/m?key=ssss...ssss");
    buf_deinit(&out);
    free(target);
}

static void secrets_in_fields_are_masked(void **state)
{
    static const struct {
        const char *name, *value, *shown;
    } rows[] = {
        {"Content-Type", "application/json", "application/json"},
        {"Authorization", "Bearer sk-123456789", "Bearer sk-1...6789"},
        {"authorization", "sk-123456789", "sk-1...6789"},
        {"Authorization", "sk-12345678901234567890 x", "sk-1...90 x"},
        {"Proxy-Authorization", "Basic dXNlcjpwYXNz", "Basic dXNl...YXNz"},
        {"x-api-key", "12345678", "***"},
        {"X-Goog-Api-Key", "AIzaSyABCDEFGH", "AIza...EFGH"},
        {"apikey", "123456789", "1234...6789"},
        {"X-Auth-Token", "123456789", "1234...6789"},
        {"Client-Secret", "123456789", "1234...6789"},
        {"Cookie", "session=abcdef", "sess...cdef"},
        {"Set-Cookie", "session=abcdef", "sess...cdef"},
        {"X-Management-Key", "123456789", "1234...6789"},
        {"X-Note", "a\r\nb", "a??b"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf out;

        buf_init(&out, 1000);
        redact_field(&out, rows[i].name, rows[i].value);
        assert_string_equal(buf_cstr(&out), rows[i].shown);
        buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms_of_a_date_mean_the_same),
        cmocka_unit_test(a_two_digit_year_is_at_most_fifty_years_ahead),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(a_written_date_reads_back_as_itself),
        cmocka_unit_test(retry_after_takes_seconds_or_a_date),
        cmocka_unit_test(base64_goes_there_and_back_in_both_alphabets),
        cmocka_unit_test(what_is_not_base64_is_refused_and_adds_nothing),
        cmocka_unit_test(base64_keeps_to_the_maximum),
        cmocka_unit_test(any_bytes_survive_base64),
        cmocka_unit_test(secrets_in_a_target_are_masked),
        cmocka_unit_test(a_parameter_of_any_length_is_masked),
        cmocka_unit_test(secrets_in_fields_are_masked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
