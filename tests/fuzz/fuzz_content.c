// Feeds the content decoder: the first byte chooses the codings, the second the pieces, the rest is
// the coded stream.
//
// Besides memory errors it looks for broken promises: a step makes at most CONTENT_STEP bytes, the
// maximum holds, steps without output do not go on for ever, and the pieces do not matter.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/content.h"

enum { OUTPUT_MAX = 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static enum content_result feed(struct content *c, const char *bytes, size_t n, struct buf *out)
{
    enum content_result result;
    size_t idle = 0;

    do {
        size_t before = out->len;

        result = content_step(c, bytes, n, out);
        n = 0;
        demand(out->len - before <= CONTENT_STEP && out->len <= OUTPUT_MAX);
        idle = out->len == before ? idle + 1 : 0;
        demand(idle < 1000);
    } while (result == CONTENT_MORE_OUTPUT);
    return result;
}

static enum content_result decode(const char *encoding, const uint8_t *bytes, size_t n,
                                  size_t piece, struct buf *out)
{
    enum content_result result = CONTENT_MORE_INPUT;
    struct content *c;

    demand(content_new(encoding, strlen(encoding), &c) && c);
    for (size_t at = 0; at < n; at += piece) {
        size_t take = n - at < piece ? n - at : piece;
        char *copy = malloc(take);

        memcpy(copy, bytes + at, take);
        result = feed(c, copy, take, out);
        free(copy);
        if (result == CONTENT_FAILED || result == CONTENT_TOO_LARGE)
            break;
        demand((result == CONTENT_DONE) == content_complete(c));
    }
    content_free(c);
    return result;
}

static bool is_refusal(enum content_result result)
{
    return result == CONTENT_FAILED || result == CONTENT_TOO_LARGE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const encodings[] = {"gzip",       "deflate",    "br",         "zstd",
                                            "gzip, zstd", "zstd, br",   "br, deflate", "br, br",
                                            "zstd, zstd", "gzip, gzip", "deflate, gzip, br, zstd"};
    enum content_result one, other;
    const char *encoding;
    struct buf whole, pieces;
    struct content *c;

    if (size < 2)
        return 0;
    encoding = encodings[data[0] % (sizeof(encodings) / sizeof(*encodings))];
    buf_init(&whole, OUTPUT_MAX);
    buf_init(&pieces, OUTPUT_MAX);
    one = decode(encoding, data + 2, size - 2, size, &whole);
    other = decode(encoding, data + 2, size - 2, 1 + data[1] % 16, &pieces);
    // Before an error, more or less may have come out, even more than the maximum.
    // libzstd only compares the size that a frame announces when it sees the whole frame at once.
    demand(one == other || (is_refusal(one) && is_refusal(other)) ||
           (is_refusal(one) && strstr(encoding, "zstd")));
    if (one == CONTENT_DONE || one == CONTENT_MORE_INPUT)
        demand(whole.len == pieces.len &&
               (whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0));
    buf_deinit(&whole);
    buf_deinit(&pieces);
    if (content_new((const char *)data, size, &c)) // and as the header
        content_free(c);
    return 0;
}
