// test_codec_misc.c - the small codecs: HTTP dates.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/http_date.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms_of_a_date_mean_the_same),
        cmocka_unit_test(a_two_digit_year_is_at_most_fifty_years_ahead),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(a_written_date_reads_back_as_itself),
        cmocka_unit_test(retry_after_takes_seconds_or_a_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
