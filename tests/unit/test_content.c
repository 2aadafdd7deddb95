// test_content.c - HTTP content codings, undone.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "codec/content.h"

#define MIB ((size_t)1024 * 1024)

// The sample of make_sample(), and 80 MiB of zeros; we have no encoder for brotli.
static const unsigned char brotli_sample[] = {
    0x1b, 0x4f, 0x04, 0x40, 0x8c, 0x93, 0x5c, 0xf9, 0x75, 0x33, 0x42, 0xa5, 0xbb, 0xd5,
    0xc0, 0xd4, 0x3f, 0x2f, 0x08, 0x22, 0xca, 0x72, 0xdd, 0xad, 0x14, 0x40, 0x88, 0xa2,
    0x9b, 0xeb, 0x8f, 0xdd, 0x5a, 0x6b, 0x1a, 0x86, 0x49, 0x24, 0x81, 0x04, 0x56, 0x58,
    0x37, 0x2e, 0xa1, 0x91, 0x2c, 0x5c, 0x36, 0xe7, 0xef, 0xd9, 0xfb, 0xfb, 0xae, 0xcf,
    0xb7, 0xdc, 0xb9, 0xfe, 0x12, 0x58, 0x01, 0x57, 0xd1, 0x6b, 0xd0, 0x1b, 0xc6, 0x4c,
    0x0e, 0x9e, 0x6d, 0x76, 0x2a, 0xdc, 0xb4, 0xc8, 0x3c, 0x7c, 0x50, 0x7e, 0xa8, 0x22,
    0x82, 0x90, 0x21, 0xd9, 0xe1, 0xa8, 0x88, 0x99, 0x22, 0x47, 0xc7, 0xd8, 0x8d, 0x0b,
    0x57, 0x4d, 0x99, 0x69, 0x04, 0xab, 0x54, 0x25, 0x42, 0x90, 0x71, 0xa2, 0x6b, 0x18,
    0x15, 0x6b, 0xa6, 0xcc, 0xd1, 0xb1, 0x66, 0x6b, 0x19, 0x2f, 0x4e, 0x64, 0x7b, 0x42,
    0x74, 0x55, 0xaa, 0x44, 0x18, 0x70, 0x9f, 0xde, 0x83, 0x5d, 0x75, 0x51, 0x85, 0xb1,
    0x53, 0xe4, 0xe8, 0x62, 0xec, 0x56, 0x3b, 0x5e, 0x49, 0x32, 0xc7, 0x94, 0x01};
static const unsigned char brotli_bomb[] = {
    0xcf, 0xff, 0xff, 0x7f, 0xf8, 0x27, 0x00, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x9f,
    0xff, 0xff, 0xff, 0xf0, 0x4f, 0x00, 0xc4, 0x61, 0x01, 0x80, 0xee, 0xfd, 0x3f, 0xff,
    0xff, 0xff, 0xe1, 0x9f, 0x00, 0x88, 0xc3, 0x22, 0x00, 0xdd, 0xfb, 0x7f, 0xfe, 0xff,
    0xff, 0xc3, 0x3f, 0x01, 0x10, 0x87, 0x05, 0x00, 0xba, 0xf7, 0xff, 0xf9, 0xff, 0xff,
    0x8f, 0x7f, 0x02, 0x20, 0x0e, 0x0b, 0x00, 0x74, 0xef, 0xff, 0x01};

enum { SAMPLE_SIZE = 1104, BROTLI_BOMB_SIZE = 80 * 1024 * 1024 };

static struct buf make_sample(void)
{
    struct buf b;

    buf_init(&b, 10000);
    for (int i = 0; i < 40; i++)
        buf_printf(&b, "{\"line\": %d, \"square\": %d}\n", i, i * i);
    assert_int_equal(b.len, SAMPLE_SIZE);
    return b;
}

// `window` as for deflateInit2(): 31 gzip, 15 zlib, -15 raw.
static struct buf deflated(const struct buf *in, int window)
{
    struct buf out;
    z_stream z = {0};

    buf_init(&out, in->len + 1000);
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)in->data;
    z.avail_in = (unsigned)in->len;
    z.next_out = (unsigned char *)buf_reserve(&out, out.max);
    z.avail_out = (unsigned)out.max;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    buf_commit(&out, out.max - z.avail_out);
    deflateEnd(&z);
    return out;
}

static struct buf with_zstd(const struct buf *in)
{
    struct buf out;
    size_t n;

    buf_init(&out, ZSTD_compressBound(in->len));
    n = ZSTD_compress(buf_reserve(&out, out.max), out.max, in->data, in->len, 3);
    assert_false(ZSTD_isError(n));
    buf_commit(&out, n);
    return out;
}

// The input in a coding: g)zip, z)lib, r)aw deflate, s) zstd, b)rotli (the sample only).
static struct buf coded(const struct buf *in, char coding)
{
    struct buf out;

    if (coding == 's')
        return with_zstd(in);
    if (coding != 'b')
        return deflated(in, coding == 'g' ? 31 : coding == 'z' ? 15 : -15);
    buf_init(&out, sizeof(brotli_sample));
    buf_append(&out, brotli_sample, sizeof(brotli_sample));
    return out;
}

static struct content *decoder(const char *encoding)
{
    struct content *c;

    assert_true(content_new(encoding, strlen(encoding), &c));
    assert_non_null(c);
    return c;
}

// Feeds one piece and continues until the decoder wants more, checking each step's promises.
static enum content_result feed(struct content *c, const char *bytes, size_t n, struct buf *out)
{
    enum content_result result;
    int idle = 0;

    do {
        size_t before = out->len;

        result = content_step(c, bytes, n, out);
        n = 0;
        assert_true(out->len - before <= CONTENT_STEP);
        idle = out->len == before ? idle + 1 : 0;
        assert_true(idle < 300); // work between layers may make nothing, but not for ever
    } while (result == CONTENT_MORE_OUTPUT);
    return result;
}

static void assert_sample(const struct buf *out)
{
    struct buf sample = make_sample();

    assert_int_equal(out->len, sample.len);
    assert_memory_equal(out->data, sample.data, sample.len);
    buf_deinit(&sample);
}

static void check_split(const char *encoding, const struct buf *bytes, size_t cut)
{
    struct content *c = decoder(encoding);
    struct buf out;

    buf_init(&out, SAMPLE_SIZE); // just large enough
    assert_int_equal(feed(c, bytes->data, cut, &out), CONTENT_MORE_INPUT);
    assert_false(content_complete(c));
    assert_int_equal(feed(c, bytes->data + cut, bytes->len - cut, &out), CONTENT_DONE);
    assert_true(content_complete(c));
    assert_sample(&out);
    assert_int_equal(feed(c, NULL, 0, &out), CONTENT_DONE);
    buf_deinit(&out);
    content_free(c);
}

// Encodings, and the codings to make them of, the innermost first.
static const struct {
    const char *encoding, *codings;
} codings[] = {
    {"gzip", "g"},          {"x-gzip", "g"},  {"deflate", "z"},       {"deflate", "r"},
    {"br", "b"},            {"zstd", "s"},    {"GZip", "g"},          {"identity, gzip", "g"},
    {"gzip, zstd", "gs"},   {"br,gzip", "bg"}, {"zstd , deflate", "sr"}, {" gzip,, gzip ,", "gg"},
    {"br, zstd, deflate, gzip", "bszg"},
};

enum { ROWS = sizeof(codings) / sizeof(*codings) };

static struct buf coded_sample(size_t row)
{
    struct buf bytes = make_sample();

    for (const char *at = codings[row].codings; *at; at++) {
        struct buf next = coded(&bytes, *at);

        buf_deinit(&bytes);
        bytes = next;
    }
    return bytes;
}

static void every_coding_decodes_at_every_split(void **state)
{
    (void)state;
    for (size_t row = 0; row < ROWS; row++) {
        struct buf bytes = coded_sample(row);

        for (size_t cut = 0; cut < bytes.len; cut++)
            check_split(codings[row].encoding, &bytes, cut);
        buf_deinit(&bytes);
    }
}

static void every_coding_decodes_byte_by_byte_with_empty_steps_between(void **state)
{
    (void)state;
    for (size_t row = 0; row < ROWS; row++) {
        struct buf bytes = coded_sample(row), out;
        struct content *c = decoder(codings[row].encoding);

        buf_init(&out, SAMPLE_SIZE);
        for (size_t i = 0; i < bytes.len; i++) {
            bool last = i + 1 == bytes.len;

            for (int empty = 0; empty < 40; empty++)
                assert_int_equal(content_step(c, NULL, 0, &out), CONTENT_MORE_INPUT);
            assert_int_equal(feed(c, bytes.data + i, 1, &out),
                             last ? CONTENT_DONE : CONTENT_MORE_INPUT);
        }
        assert_sample(&out);
        buf_deinit(&out);
        buf_deinit(&bytes);
        content_free(c);
    }
}

static void identity_and_nothing_need_no_decoder(void **state)
{
    static const char *const none[] = {"", "identity", "Identity , identity", " ", ","};
    struct content *c;

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        assert_true(content_new(none[i], strlen(none[i]), &c));
        assert_null(c);
    }
    content_free(NULL);
}

static void unknown_or_too_many_codings_are_refused(void **state)
{
    static const char *const wrong[] = {"compress", "gzip, compress", "compress, gzip", "gz",
                                        "gzip;q=1", "gzip deflate", "gzip, gzip, gzip, gzip, gzip"};
    struct content *c;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_false(content_new(wrong[i], strlen(wrong[i]), &c));
        assert_null(c);
    }
    assert_false(content_new("gzip\0", 5, &c));
}

static void empty_content_has_a_coded_form_too(void **state)
{
    static const char *const rows[] = {"gzip", "g", "deflate", "z", "deflate", "r", "zstd", "s"};
    struct buf empty, out;

    (void)state;
    buf_init(&empty, 1);
    buf_init(&out, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i += 2) {
        struct buf bytes = coded(&empty, *rows[i + 1]);
        struct content *c = decoder(rows[i]);

        assert_int_equal(feed(c, bytes.data, bytes.len, &out), CONTENT_DONE);
        assert_int_equal(out.len, 0);
        content_free(c);
        buf_deinit(&bytes);
    }
    buf_deinit(&out);
}

static void several_members_or_frames_follow_each_other(void **state)
{
    static const char *const rows[] = {"gzip", "g", "zstd", "s"};

    (void)state;
    for (size_t i = 0; i < 4; i += 2) {
        struct buf first = {.data = (char *)"some ", .len = 5};
        struct buf second = {.data = (char *)"text", .len = 4};
        struct buf bytes = coded(&first, *rows[i + 1]);
        struct buf more = coded(&second, *rows[i + 1]), out;
        struct content *c;

        buf_init(&out, 9);
        c = decoder(rows[i]);
        for (size_t at = 0; at < bytes.len; at++)
            assert_int_equal(feed(c, bytes.data + at, 1, &out),
                             at + 1 == bytes.len ? CONTENT_DONE : CONTENT_MORE_INPUT);
        for (size_t at = 0; at < more.len; at++)
            assert_int_equal(feed(c, more.data + at, 1, &out),
                             at + 1 == more.len ? CONTENT_DONE : CONTENT_MORE_INPUT);
        assert_string_equal(buf_cstr(&out), "some text");
        content_free(c);

        buf_clear(&out); // and in one piece
        bytes.max += more.len;
        assert_true(buf_append(&bytes, more.data, more.len));
        c = decoder(rows[i]);
        assert_int_equal(feed(c, bytes.data, bytes.len, &out), CONTENT_DONE);
        assert_string_equal(buf_cstr(&out), "some text");
        content_free(c);
        buf_deinit(&bytes);
        buf_deinit(&more);
        buf_deinit(&out);
    }
}

static void trailing_garbage_is_an_error(void **state)
{
    (void)state;
    for (size_t row = 0; row < ROWS; row++) {
        struct buf bytes = coded_sample(row), out;
        struct content *c = decoder(codings[row].encoding);

        buf_init(&out, 10000);
        bytes.max += 4;
        assert_true(buf_append(&bytes, "junk", 4));
        assert_int_equal(feed(c, bytes.data, bytes.len, &out), CONTENT_FAILED);
        assert_false(content_complete(c));
        content_free(c);
        c = decoder(codings[row].encoding);
        assert_int_equal(feed(c, bytes.data, bytes.len - 4, &out), CONTENT_DONE);
        assert_int_equal(feed(c, "junk", 4, &out), CONTENT_FAILED);
        content_free(c);
        buf_deinit(&bytes);
        buf_deinit(&out);
    }
}

static void corrupt_bytes_do_no_harm(void **state)
{
    (void)state;
    for (size_t row = 0; row < ROWS; row++) {
        struct buf bytes = coded_sample(row);

        for (size_t at = 0; at < bytes.len; at++) {
            struct content *c = decoder(codings[row].encoding);
            struct buf out;

            buf_init(&out, 100000);
            bytes.data[at] ^= 0x55;
            feed(c, bytes.data, bytes.len, &out); // some results are as good as others
            bytes.data[at] ^= 0x55;
            content_free(c);
            buf_deinit(&out);
        }
        buf_deinit(&bytes);
    }
}

static void a_wrong_checksum_is_an_error(void **state)
{
    static const char *const rows[] = {"gzip", "g", "deflate", "z"};

    (void)state;
    for (size_t i = 0; i < 4; i += 2) {
        struct buf sample = make_sample(), bytes = coded(&sample, *rows[i + 1]), out;
        struct content *c = decoder(rows[i]);

        buf_init(&out, 10000);
        bytes.data[bytes.len - 1] ^= 1;
        assert_int_equal(feed(c, bytes.data, bytes.len, &out), CONTENT_FAILED);
        content_free(c);
        buf_deinit(&sample);
        buf_deinit(&bytes);
        buf_deinit(&out);
    }
}

static void text_that_is_not_coded_fails(void **state)
{
    static const char *const encodings[] = {"gzip", "zstd", "deflate"};
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < 3; i++) {
        struct content *c = decoder(encodings[i]);

        assert_int_equal(feed(c, "{\"model\": \"x\"}", 14, &out), CONTENT_FAILED);
        content_free(c);
    }
    buf_deinit(&out);
}

static void one_byte_less_than_needed_is_too_large(void **state)
{
    (void)state;
    for (size_t row = 0; row < ROWS; row++) {
        struct buf bytes = coded_sample(row), out;
        struct content *c = decoder(codings[row].encoding);

        buf_init(&out, SAMPLE_SIZE - 1);
        assert_int_equal(feed(c, bytes.data, bytes.len, &out), CONTENT_TOO_LARGE);
        assert_int_equal(out.len, SAMPLE_SIZE - 1);
        content_free(c);
        buf_deinit(&bytes);
        buf_deinit(&out);
    }
}

// Decodes a bomb with a maximum of 4 MiB: it ends after as many steps as that asks for.
static void assert_stops(const char *encoding, const void *bytes, size_t n)
{
    struct content *c = decoder(encoding);
    enum content_result result;
    size_t steps = 0;
    struct buf out;

    buf_init(&out, 4 * MIB);
    do {
        size_t before = out.len;

        result = content_step(c, bytes, n, &out);
        n = 0;
        steps++;
        assert_true(out.len - before <= CONTENT_STEP);
    } while (result == CONTENT_MORE_OUTPUT);
    assert_int_equal(result, CONTENT_TOO_LARGE);
    assert_int_equal(out.len, 4 * MIB);
    assert_in_range(steps, 16, 20);
    content_free(c);
    buf_deinit(&out);
}

static void a_bomb_stops_at_the_maximum_in_bounded_steps(void **state)
{
    struct buf zeros = {.data = calloc(1, 16 * MIB), .len = 16 * MIB};

    (void)state;
    for (const char *coding = "gzrs"; *coding; coding++) {
        struct buf bytes = coded(&zeros, *coding), twice = coded(&bytes, 'g');
        const char *name = *coding == 'g' ? "gzip" : *coding == 's' ? "zstd" : "deflate";
        char stacked[32];

        snprintf(stacked, sizeof(stacked), "%s, gzip", name);
        assert_stops(name, bytes.data, bytes.len);
        assert_stops(stacked, twice.data, twice.len);
        buf_deinit(&bytes);
        buf_deinit(&twice);
    }
    assert_stops("br", brotli_bomb, sizeof(brotli_bomb));
    free(zeros.data);
}

// The inner stream is a gzip head with a file name without end: whatever the outer coding makes,
// no output comes of it.
static void a_bomb_between_two_codings_is_bounded_too(void **state)
{
    size_t size = 300 * MIB, before, steps = 0;
    struct buf name = {.data = malloc(size), .len = size}, bytes, out;
    struct content *c = decoder("gzip, zstd");
    enum content_result result;

    (void)state;
    memset(name.data, 'a', size);
    memcpy(name.data, "\x1f\x8b\x08\x08\0\0\0\0\0\3", 10);
    bytes = with_zstd(&name);
    free(name.data);
    buf_init(&out, MIB);
    before = bytes.len;
    do {
        result = content_step(c, bytes.data, before, &out);
        before = 0;
        steps++;
    } while (result == CONTENT_MORE_OUTPUT);
    assert_int_equal(result, CONTENT_TOO_LARGE);
    assert_int_equal(out.len, 0);
    assert_in_range(steps, 100, 300); // a step does a share of the work
    content_free(c);
    buf_deinit(&bytes);
    buf_deinit(&out);
}

static void output_may_be_taken_between_steps(void **state)
{
    struct content *c = decoder("br");
    enum content_result result;
    size_t total = 0, n = sizeof(brotli_bomb);
    struct buf out;

    (void)state;
    buf_init(&out, CONTENT_STEP);
    do {
        result = content_step(c, (const char *)brotli_bomb, n, &out);
        n = 0;
        total += out.len;
        buf_consume(&out, out.len);
    } while (result == CONTENT_MORE_OUTPUT);
    assert_int_equal(result, CONTENT_DONE);
    assert_int_equal(total, BROTLI_BOMB_SIZE);
    content_free(c);
    buf_deinit(&out);
}

static void a_zstd_window_above_eight_mib_is_refused(void **state)
{
    // A frame head without content size: window descriptor 14 << 3 (16 MiB) or 13 << 3 (8 MiB),
    // then an empty last block.
    static const char large[] = "\x28\xb5\x2f\xfd\x00\x70\x01\x00\x00";
    static const char fits[] = "\x28\xb5\x2f\xfd\x00\x68\x01\x00\x00";
    struct content *c = decoder("zstd");
    struct buf out;

    (void)state;
    buf_init(&out, 10);
    assert_int_equal(feed(c, large, 9, &out), CONTENT_FAILED);
    content_free(c);
    c = decoder("zstd");
    assert_int_equal(feed(c, fits, 9, &out), CONTENT_DONE);
    content_free(c);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_coding_decodes_at_every_split),
        cmocka_unit_test(every_coding_decodes_byte_by_byte_with_empty_steps_between),
        cmocka_unit_test(identity_and_nothing_need_no_decoder),
        cmocka_unit_test(unknown_or_too_many_codings_are_refused),
        cmocka_unit_test(empty_content_has_a_coded_form_too),
        cmocka_unit_test(several_members_or_frames_follow_each_other),
        cmocka_unit_test(trailing_garbage_is_an_error),
        cmocka_unit_test(corrupt_bytes_do_no_harm),
        cmocka_unit_test(a_wrong_checksum_is_an_error),
        cmocka_unit_test(text_that_is_not_coded_fails),
        cmocka_unit_test(one_byte_less_than_needed_is_too_large),
        cmocka_unit_test(a_bomb_stops_at_the_maximum_in_bounded_steps),
        cmocka_unit_test(a_bomb_between_two_codings_is_bounded_too),
        cmocka_unit_test(output_may_be_taken_between_steps),
        cmocka_unit_test(a_zstd_window_above_eight_mib_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
