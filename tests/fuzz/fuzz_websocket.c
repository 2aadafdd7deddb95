// Feeds the decoder of WebSocket frames: the first two bytes choose the pieces and the maximum, the
// rest is what a client sent.
//
// Besides memory errors it looks for broken promises: the same bytes in one piece and in pieces
// give the same events, no message exceeds the maximum, text is UTF-8, and what the writer makes
// decodes to itself once it is masked.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "codec/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static bool is_utf8(const char *text, size_t n)
{
    struct buf fixed;
    bool same;

    buf_init(&fixed, 3 * n + 100);
    demand(json_repair(&fixed, text, n));
    same = fixed.len == n && (n == 0 || memcmp(fixed.data, text, n) == 0);
    buf_deinit(&fixed);
    return same;
}

static void note(struct websocket *w, const struct websocket_event *e, size_t max, struct buf *out)
{
    demand(e->len <= (e->opcode >= WEBSOCKET_CLOSE ? WEBSOCKET_CONTROL_MAX : max));
    demand(e->opcode != WEBSOCKET_TEXT || is_utf8(e->data, e->len));
    buf_append(out, &e->opcode, sizeof(e->opcode));
    buf_append(out, &e->len, sizeof(e->len));
    buf_append(out, e->data, e->len);
    if (e->opcode == WEBSOCKET_CLOSE)
        buf_append(out, &e->status, sizeof(e->status));
    if (e->opcode <= WEBSOCKET_BINARY && e->len % 2) {
        size_t len;
        char *message = websocket_detach(w, &len);

        demand(len == e->len && message[len] == '\0');
        free(message);
    }
}

// Feeds pieces of pseudo-random length, each from memory of its own.  The status of a failure.
static int decode(const uint8_t *bytes, size_t n, size_t longest, size_t max, struct buf *out)
{
    unsigned random = (unsigned)n;
    struct websocket w;
    int status = 0;

    websocket_init(&w, max);
    for (size_t at = 0; at < n && !status;) {
        size_t take = 1 + ((random = random * 1103515245 + 12345) >> 16) % longest, left, used;
        struct websocket_event e;
        char *copy, *from;

        left = take = take < n - at ? take : n - at;
        from = copy = malloc(take);
        memcpy(copy, bytes + at, take);
        for (;;) {
            enum websocket_result result = websocket_take(&w, from, left, &used, &e);

            demand(used <= left);
            from += used;
            left -= used;
            if (result == WEBSOCKET_FAILED) {
                demand(w.problem && w.status >= 1002);
                status = w.status;
            }
            if (result != WEBSOCKET_EVENT)
                break;
            note(&w, &e, max, out);
        }
        demand(status || left == 0);
        free(copy);
        at += take;
    }
    websocket_deinit(&w);
    return status;
}

static void try_write(const uint8_t *bytes, size_t n)
{
    static const char key[4] = {1, 2, 3, 4};
    struct websocket_event e;
    struct websocket w;
    struct buf frame;
    size_t used;
    char *to;

    buf_init(&frame, n + 100);
    to = buf_reserve(&frame, n + 20);
    used = websocket_head(to, WEBSOCKET_BINARY, n);
    to[1] = (char)(to[1] | 0x80);
    memcpy(to + used, key, 4);
    for (size_t i = 0; i < n; i++)
        to[used + 4 + i] = (char)(bytes[i] ^ (uint8_t)key[i & 3]);
    buf_commit(&frame, used + 4 + n);
    websocket_init(&w, n);
    demand(websocket_take(&w, frame.data, frame.len, &used, &e) == WEBSOCKET_EVENT);
    demand(used == frame.len && e.len == n && (n == 0 || memcmp(e.data, bytes, n) == 0));
    websocket_deinit(&w);
    buf_deinit(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, pieces;
    size_t longest, max;
    int status;

    if (size < 2)
        return 0;
    longest = 1 + data[0] % 32;
    max = data[1] < 128 ? 1 << 20 : data[1] % 64;
    buf_init(&whole, 64 * size + 1000);
    buf_init(&pieces, 64 * size + 1000);
    status = decode(data + 2, size - 2, size, max, &whole);
    demand(status == decode(data + 2, size - 2, longest, max, &pieces));
    demand(whole.len == pieces.len &&
           (whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0));
    try_write(data + 2, size - 2);
    buf_deinit(&whole);
    buf_deinit(&pieces);
    return 0;
}
