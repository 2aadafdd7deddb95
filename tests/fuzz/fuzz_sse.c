// Feeds the event stream decoder: the first two bytes choose the pieces and the maximum, the rest
// is the stream.
//
// Besides memory errors it looks for broken promises: the same bytes in one piece and in pieces
// give the same events, no event exceeds the maximum, and what is written decodes to itself.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

// Takes all events, writes them into one text with lengths, so that texts differ when events do.
static void collect(struct sse *s, struct buf *out)
{
    struct sse_event event;

    while (sse_next(s, &event)) {
        buf_append(out, &event.name_len, sizeof(event.name_len));
        buf_append(out, event.name, event.name_len);
        buf_append(out, &event.data_len, sizeof(event.data_len));
        buf_append(out, event.data, event.data_len);
        demand(event.name_len + event.data_len <= s->event_max);
        demand(event.data_len > 0 || event.data);
    }
}

// Feeds pieces of pseudo-random length below `longest`, each from memory of its own.  True when the
// stream was taken whole.
static bool decode(const uint8_t *bytes, size_t n, size_t longest, size_t max, struct buf *out)
{
    unsigned random = (unsigned)n;
    struct sse s;
    bool ok = true;

    sse_init(&s, max);
    for (size_t at = 0; at < n && ok;) {
        size_t take = 1 + ((random = random * 1103515245 + 12345) >> 16) % longest;
        char *copy;

        take = take < n - at ? take : n - at;
        copy = malloc(take);
        memcpy(copy, bytes + at, take);
        ok = sse_feed(&s, copy, take);
        free(copy);
        collect(&s, out);
        at += take;
    }
    sse_end(&s);
    collect(&s, out);
    demand(ok == !s.too_large);
    demand(!ok || s.in.len == 0);
    sse_deinit(&s);
    return ok;
}

static void try_write(const uint8_t *bytes, size_t n)
{
    struct sse_event event;
    struct buf out;
    struct sse s;

    if (memchr(bytes, '\r', n))
        return; // would come back as LF
    buf_init(&out, 8 * n + 100);
    demand(sse_write(&out, "n", 1, (const char *)bytes, n));
    sse_init(&s, 0);
    demand(sse_feed(&s, out.data, out.len));
    demand(sse_next(&s, &event));
    demand(event.name_len == 1 && event.data_len == n);
    demand(n == 0 || memcmp(event.data, bytes, n) == 0);
    demand(!sse_next(&s, &event));
    sse_deinit(&s);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;
    size_t longest, max;
    bool ok;

    if (size < 2)
        return 0;
    longest = 1 + data[0] % 32;
    max = data[1] < 128 ? 0 : 8 + data[1] % 64;
    buf_init(&whole, 32 * size + 1000);
    buf_init(&pieces, 32 * size + 1000);
    ok = decode(data + 2, size - 2, size, max, &whole);
    demand(ok == decode(data + 2, size - 2, longest, max, &pieces));
    if (ok)
        demand(whole.len == pieces.len &&
               (whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0));
    try_write(data + 2, size - 2);
    buf_deinit(&whole);
    buf_deinit(&pieces);
    return 0;
}
