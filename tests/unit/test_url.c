// test_url.c - URLs, Host headers and query strings.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/url.h"

// Each text is parsed from memory of its own, so that a byte too many is noticed.
static char *copy_of(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);

    memcpy(copy, text, len);
    return copy;
}

static void absolute_urls_are_split(void **state)
{
    static const struct {
        const char *text, *scheme, *host;
        int port;
        const char *path;
        bool userinfo;
    } rows[] = {
        {"http://a", "http", "a", 80, "", false},
        {"https://a.example/", "https", "a.example", 443, "/", false},
        {"HTTPS://A.Example:8443/v1?x=1#f", "HTTPS", "A.Example", 8443, "/v1?x=1#f", false},
        {"http://a:/x", "http", "a", 80, "/x", false},
        {"http://a?x=/", "http", "a", 80, "?x=/", false},
        {"http://a#f", "http", "a", 80, "#f", false},
        {"http://[::1]:8317/x", "http", "::1", 8317, "/x", false},
        {"http://[fe80::1%25eth0]", "http", "fe80::1%25eth0", 80, "", false},
        {"socks5h://user:p@ss@proxy:1080", "socks5h", "proxy", 1080, "", true},
        {"http://@a/", "http", "a", 80, "/", true},
        {"http://a/x@b", "http", "a", 80, "/x@b", false},
        {"app+x-1.0://host/p", "app+x-1.0", "host", 0, "/p", false},
        {"http://a_b.c/", "http", "a_b.c", 80, "/", false},
        {"http://b\xc3\xbc" "cher.example/", "http", "b\xc3\xbc" "cher.example", 80, "/", false},
        {"http://a:65535", "http", "a", 65535, "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        size_t len = strlen(rows[i].text);
        char *text = copy_of(rows[i].text, len);
        struct url url;

        if (!url_parse(text, len, &url))
            fail_msg("%s is refused", rows[i].text);
        assert_int_equal(url.scheme_len, strlen(rows[i].scheme));
        assert_memory_equal(url.scheme, rows[i].scheme, url.scheme_len);
        assert_int_equal(url.host_len, strlen(rows[i].host));
        assert_memory_equal(url.host, rows[i].host, url.host_len);
        assert_int_equal(url.port, rows[i].port);
        assert_int_equal(url.path_len, strlen(rows[i].path));
        assert_memory_equal(url.path, rows[i].path, url.path_len);
        assert_int_equal(url.userinfo, rows[i].userinfo);
        free(text);
    }
}

static void what_is_no_absolute_url_is_refused(void **state)
{
    static const char *const wrong[] = {
        "", "a", "/path", "http:", "http:/a", "http://", "http:///x", "://a", "1http://a",
        "ht tp://a", "/x?u=http://a", "http://a b", "http://a\n", "http://a/\r\nX: y",
        "http://a\x7f", "http://:80", "http://a:b", "http://a:-1", "http://a:0", "http://a:65536",
        "http://a:000080",
        "http://a:80:80", "http://user@", "http://[]", "http://[", "http://[::1", "http://[::1]x",
        "http://[::1]]", "http://[a]", "http://[::1/]", "http://a[b]", "http://a\\b",
        "http://good.example\\@evil.example\\", "http://a%2eb", "http://a\"b", "http://a<b>",
        "http://a{b}"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        size_t len = strlen(wrong[i]);
        char *text = copy_of(wrong[i], len);
        struct url url;

        if (url_parse(text, len, &url))
            fail_msg("%s is accepted", wrong[i]);
        free(text);
    }
    struct url url;
    assert_false(url_parse("http://a\0b/", 11, &url));
}

static void the_host_that_curl_would_ask_is_the_one_we_see(void **state)
{
    struct url url;

    (void)state;
    assert_true(url_parse("https://good.example@evil.example/", 34, &url));
    assert_true(url.userinfo);
    assert_memory_equal(url.host, "evil.example", url.host_len);
    assert_true(url_parse("https://evil.example/@good.example", 34, &url));
    assert_memory_equal(url.host, "evil.example", url.host_len);
    assert_true(url_parse("https://evil.example?@good.example", 34, &url));
    assert_memory_equal(url.host, "evil.example", url.host_len);
    assert_true(url_parse("https://evil.example#@good.example", 34, &url));
    assert_memory_equal(url.host, "evil.example", url.host_len);
}

static void a_host_header_is_split(void **state)
{
    static const struct {
        const char *text, *host;
        int port;
    } rows[] = {{"a", "a", 0},           {"a:80", "a", 80},        {"a:", "a", 0},
                {"[::1]", "::1", 0},     {"[::1]:8317", "::1", 8317}, {"[::1]:", "::1", 0},
                {"127.0.0.1:1", "127.0.0.1", 1}};
    static const char *const wrong[] = {"",  ":80", "a:x", "a:80:80", "::1", "[::1]80",
                                        "a b", "a@b", "a/b", "[]:80", "[a"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *host;
        size_t len;
        int port;

        assert_true(url_split_host(rows[i].text, strlen(rows[i].text), &host, &len, &port));
        assert_int_equal(len, strlen(rows[i].host));
        assert_memory_equal(host, rows[i].host, len);
        assert_int_equal(port, rows[i].port);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        const char *host;
        size_t len;
        int port;

        if (url_split_host(wrong[i], strlen(wrong[i]), &host, &len, &port))
            fail_msg("%s is accepted", wrong[i]);
    }
}

static void only_this_machine_is_loopback(void **state)
{
    static const char *const yes[] = {"localhost", "LocalHost", "127.0.0.1", "127.255.255.254",
                                      "::1", "[::1]", "127.0.0.2"};
    static const char *const no[] = {
        "", "localhost.evil.example", "localhost.", "evil-localhost", "127.0.0.1.evil.example",
        "127.evil.example", "127.0.0", "127.1", "127.0.0.1.", "127.0.0.", "127..0.1", "127.0.0.256",
        "127.0.0.1.1", "0.0.0.0", "10.0.0.1", "128.0.0.1", "::", "[::]", "::2", "[]", "[", "]",
        "127.0.0.-1", "127.0.0.0x1", "localhost:80", "127.0.0.1:80", "[::1]:80", "1127.0.0.1",
        "127.0.0.99999999999999999999", "127.0.0.01", "127.0.0.0001"};

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        if (!url_host_is_loopback(yes[i], strlen(yes[i])))
            fail_msg("%s is loopback", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        if (url_host_is_loopback(no[i], strlen(no[i])))
            fail_msg("%s is not loopback", no[i]);
}

static void assert_decodes(const char *text, bool plus, const char *decoded)
{
    size_t len = strlen(text);
    char *copy = copy_of(text, len);
    struct buf out;

    buf_init(&out, 100);
    assert_true(url_decode(&out, copy, len, plus));
    assert_string_equal(buf_cstr(&out), decoded);
    buf_deinit(&out);
    free(copy);
}

static void escapes_are_decoded_and_stray_percent_signs_stay(void **state)
{
    (void)state;
    assert_decodes("", false, "");
    assert_decodes("a%20b%2fC%2F", false, "a b/C/");
    assert_decodes("a+b", false, "a+b");
    assert_decodes("a+b%2B", true, "a b+");
    assert_decodes("100%", false, "100%");
    assert_decodes("%4", false, "%4");
    assert_decodes("%4g%g4%%41", false, "%4g%g4%A");
    assert_decodes("%41", false, "A");
    assert_decodes("%c3%a4", false, "\xc3\xa4");
}

static void what_is_encoded_decodes_to_itself(void **state)
{
    char all[256];
    struct buf text, back;

    (void)state;
    for (size_t i = 0; i < 256; i++)
        all[i] = (char)i;
    buf_init(&text, 800);
    buf_init(&back, 256);
    assert_true(url_encode(&text, all, sizeof(all)));
    for (size_t i = 0; i < text.len; i++)
        assert_true(text.data[i] == '%' || strchr("-._~", text.data[i]) ||
                    (text.data[i] >= '0' && text.data[i] <= '9') ||
                    ((text.data[i] | 32) >= 'a' && (text.data[i] | 32) <= 'z'));
    assert_true(url_decode(&back, text.data, text.len, true));
    assert_int_equal(back.len, 256);
    assert_memory_equal(back.data, all, 256);
    buf_clear(&text);
    assert_true(url_encode(&text, "a b/\xc3\xa4~", 7));
    assert_string_equal(buf_cstr(&text), "a%20b%2F%C3%A4~");
    buf_deinit(&text);
    buf_init(&text, 5);
    assert_false(url_encode(&text, "  ", 2));
    assert_false(url_decode(&text, "abcdef", 6, false));
    buf_deinit(&text);
    buf_deinit(&back);
}

static void a_parameter_is_found_by_its_decoded_name(void **state)
{
    static const struct {
        const char *query, *name, *value; // NULL: absent
    } rows[] = {
        {"", "key", NULL},
        {"key=1", "key", "1"},
        {"a=1&key=2&key=3", "key", "2"},
        {"%6bey=%31+2%2b", "key", "1 2+"},
        {"%24alt=sse", "$alt", "sse"},
        {"key", "key", ""},
        {"key=", "key", ""},
        {"key=a=b", "key", "a=b"},
        {"monkey=1&keys=2&=3&&", "key", NULL},
        {"KEY=1", "key", NULL},
        {"=x", "", "x"},
        {"key%00=1", "key", NULL},
        {"a&key=x&b", "key", "x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        size_t len = strlen(rows[i].query);
        char *query = copy_of(rows[i].query, len);
        struct buf out;
        bool found;

        buf_init(&out, 100);
        found = url_query(&out, query, len, rows[i].name);
        assert_int_equal(found, rows[i].value != NULL);
        assert_string_equal(buf_cstr(&out), rows[i].value ? rows[i].value : "");
        buf_deinit(&out);
        free(query);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absolute_urls_are_split),
        cmocka_unit_test(what_is_no_absolute_url_is_refused),
        cmocka_unit_test(the_host_that_curl_would_ask_is_the_one_we_see),
        cmocka_unit_test(a_host_header_is_split),
        cmocka_unit_test(only_this_machine_is_loopback),
        cmocka_unit_test(escapes_are_decoded_and_stray_percent_signs_stay),
        cmocka_unit_test(what_is_encoded_decodes_to_itself),
        cmocka_unit_test(a_parameter_is_found_by_its_decoded_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
