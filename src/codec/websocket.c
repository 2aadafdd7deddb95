#include "codec/websocket.h"

#include <string.h>

#include "codec/json_scan.h"

#define FINAL 0x80
#define RESERVED 0x70
#define OPCODE 0x0f
#define MASKED 0x80
#define LENGTH 0x7f

void websocket_init(struct websocket *w, size_t message_max)
{
    *w = (struct websocket){.status = WEBSOCKET_NORMAL};
    buf_init(&w->message, message_max);
}

void websocket_deinit(struct websocket *w)
{
    buf_deinit(&w->message);
}

static bool is_control(enum websocket_opcode opcode)
{
    return opcode >= WEBSOCKET_CLOSE;
}

static bool is_utf8(const char *p, size_t n)
{
    const char *end = p + n;
    size_t step;

    while (p < end) {
        uint64_t word;

        // Eight bytes at a time as long as they are ASCII.
        if (end - p >= 8 && (memcpy(&word, p, 8), (word & 0x8080808080808080u) == 0)) {
            p += 8;
            continue;
        }
        if ((unsigned char)*p < 0x80) {
            p++;
            continue;
        }
        step = json_utf8_length(p, end);
        if (step == 0)
            return false;
        p += step;
    }
    return true;
}

static enum websocket_result fail(struct websocket *w, enum websocket_status status,
                                  const char *problem)
{
    w->status = status;
    w->problem = problem;
    return WEBSOCKET_FAILED;
}

// --- heads ---------------------------------------------------------------------------------------

// Bytes of the whole head, as far as its first two tell.
static size_t head_size(const struct websocket *w)
{
    int length = w->head[1] & LENGTH;

    if (w->head_len < 2)
        return 2;
    return 2 + (length == 127 ? 8 : length == 126 ? 2 : 0) + 4;
}

static uint64_t declared_length(const struct websocket *w)
{
    int length = w->head[1] & LENGTH, bytes = length == 127 ? 8 : length == 126 ? 2 : 0;
    uint64_t n = 0;

    if (bytes == 0)
        return (uint64_t)length;
    for (int i = 0; i < bytes; i++)
        n = n << 8 | w->head[2 + i];
    return n;
}

// What the first two bytes tell: a bad frame is refused before the rest of it comes.
static const char *bad_start(const struct websocket *w)
{
    enum websocket_opcode opcode = w->head[0] & OPCODE;
    bool final = w->head[0] & FINAL;

    if (w->head[0] & RESERVED)
        return "a reserved bit is set";
    if ((opcode > WEBSOCKET_BINARY && opcode < WEBSOCKET_CLOSE) || opcode > WEBSOCKET_PONG)
        return "unknown opcode";
    if (!(w->head[1] & MASKED))
        return "the frame is not masked";
    if (is_control(opcode) && !final)
        return "a control frame is fragmented";
    if (is_control(opcode) && (w->head[1] & LENGTH) > WEBSOCKET_CONTROL_MAX)
        return "a control frame is too long";
    if (opcode == WEBSOCKET_CONTINUATION && !w->message_opcode)
        return "there is no message to continue";
    if (!is_control(opcode) && opcode != WEBSOCKET_CONTINUATION && w->message_opcode)
        return "a message begins within another";
    return NULL;
}

static enum websocket_result begin_payload(struct websocket *w)
{
    int length = w->head[1] & LENGTH;

    w->opcode = w->head[0] & OPCODE;
    w->final = w->head[0] & FINAL;
    w->left = declared_length(w);
    w->masked = 0;
    w->in_payload = true;
    if ((length == 126 && w->left < 126) || (length == 127 && w->left <= 0xffff) || w->left >> 63)
        return fail(w, WEBSOCKET_PROTOCOL_ERROR, "the length of a frame is malformed");
    if (is_control(w->opcode)) {
        w->control_len = 0;
        return WEBSOCKET_MORE;
    }
    if (w->opcode != WEBSOCKET_CONTINUATION)
        w->message_opcode = w->opcode;
    if (w->left > w->message.max - w->message.len)
        return fail(w, WEBSOCKET_TOO_LARGE, "the message is too large");
    return WEBSOCKET_MORE;
}

static enum websocket_result take_head(struct websocket *w, const char *bytes, size_t n,
                                       size_t *used)
{
    const char *problem;

    while (*used < n && w->head_len < head_size(w)) {
        w->head[w->head_len++] = (unsigned char)bytes[(*used)++];
        if (w->head_len == 2 && (problem = bad_start(w)))
            return fail(w, WEBSOCKET_PROTOCOL_ERROR, problem);
    }
    return w->head_len == head_size(w) ? begin_payload(w) : WEBSOCKET_MORE;
}

// --- payloads ------------------------------------------------------------------------------------

static void unmask(char *to, const char *from, size_t n, const unsigned char key[4], size_t at)
{
    unsigned char turned[8];
    uint64_t mask, word;
    size_t i;

    for (i = 0; i < 8; i++)
        turned[i] = key[(at + i) & 3];
    memcpy(&mask, turned, 8);
    for (i = 0; i + 8 <= n; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= mask;
        memcpy(to + i, &word, 8);
    }
    for (; i < n; i++)
        to[i] = (char)((unsigned char)from[i] ^ turned[i & 7]);
}

static bool take_payload(struct websocket *w, const char *bytes, size_t n)
{
    const unsigned char *key = w->head + w->head_len - 4;
    char *to;

    if (n == 0)
        return true;
    if (is_control(w->opcode)) {
        to = (char *)w->control + w->control_len;
        w->control_len += n;
    } else {
        to = buf_reserve(&w->message, n);
        if (!to)
            return false;
        buf_commit(&w->message, n);
    }
    unmask(to, bytes, n, key, w->masked);
    w->masked += n;
    w->left -= n;
    return true;
}

static bool is_status(int status)
{
    return (status >= 1000 && status <= 1003) || (status >= 1007 && status <= 1014) ||
           (status >= 3000 && status <= 4999);
}

static enum websocket_result end_close(struct websocket *w, struct websocket_event *event)
{
    event->status = WEBSOCKET_NO_STATUS;
    if (w->control_len == 0)
        return WEBSOCKET_EVENT;
    event->status = w->control_len >= 2 ? w->control[0] << 8 | w->control[1] : 0;
    if (!is_status(event->status))
        return fail(w, WEBSOCKET_PROTOCOL_ERROR, "the status of a close frame is malformed");
    event->data += 2;
    event->len -= 2;
    if (!is_utf8(event->data, event->len))
        return fail(w, WEBSOCKET_BAD_DATA, "the reason of a close frame is not UTF-8");
    return WEBSOCKET_EVENT;
}

// The payload of a frame is complete.
static enum websocket_result end_frame(struct websocket *w, struct websocket_event *event)
{
    w->in_payload = false;
    w->head_len = 0;
    if (is_control(w->opcode)) {
        *event = (struct websocket_event){
            .opcode = w->opcode, .data = (const char *)w->control, .len = w->control_len};
        return w->opcode == WEBSOCKET_CLOSE ? end_close(w, event) : WEBSOCKET_EVENT;
    }
    if (!w->final)
        return WEBSOCKET_MORE;
    *event = (struct websocket_event){.opcode = w->message_opcode,
                                      .data = w->message.len ? w->message.data : "",
                                      .len = w->message.len};
    w->message_opcode = 0;
    w->taken = true;
    if (event->opcode == WEBSOCKET_TEXT && !is_utf8(event->data, event->len))
        return fail(w, WEBSOCKET_BAD_DATA, "a text message is not UTF-8");
    return WEBSOCKET_EVENT;
}

static void drop_taken(struct websocket *w)
{
    if (w->taken)
        buf_deinit(&w->message);
    w->taken = false;
}

enum websocket_result websocket_take(struct websocket *w, const char *bytes, size_t n, size_t *used,
                                     struct websocket_event *event)
{
    enum websocket_result result;

    *used = 0;
    if (w->problem)
        return WEBSOCKET_FAILED;
    drop_taken(w);
    for (;;) {
        size_t step;

        if (!w->in_payload) {
            result = take_head(w, bytes, n, used);
            if (result == WEBSOCKET_FAILED || !w->in_payload)
                return result;
        }
        step = n - *used < w->left ? n - *used : (size_t)w->left;
        if (!take_payload(w, bytes + *used, step))
            return fail(w, WEBSOCKET_INTERNAL, "out of memory");
        *used += step;
        if (w->left > 0)
            return WEBSOCKET_MORE;
        result = end_frame(w, event);
        if (result != WEBSOCKET_MORE)
            return result;
    }
}

char *websocket_detach(struct websocket *w, size_t *len)
{
    w->taken = false;
    return buf_detach(&w->message, len);
}

// --- writing -------------------------------------------------------------------------------------

size_t websocket_head(char out[WEBSOCKET_HEAD_MAX], enum websocket_opcode opcode, size_t len)
{
    int bytes = len > 0xffff ? 8 : len > WEBSOCKET_CONTROL_MAX ? 2 : 0;

    out[0] = (char)(FINAL | opcode);
    out[1] = (char)(bytes == 8 ? 127 : bytes == 2 ? 126 : len);
    for (int i = 0; i < bytes; i++)
        out[2 + i] = (char)((uint64_t)len >> 8 * (bytes - 1 - i));
    return (size_t)(2 + bytes);
}

bool websocket_put_close(struct buf *out, enum websocket_status status, const char *reason)
{
    size_t len = strlen(reason), max = WEBSOCKET_CONTROL_MAX - 2;
    char head[WEBSOCKET_HEAD_MAX + 2];
    size_t n;

    if (len > max) {
        len = max;
        while (len > 0 && ((unsigned char)reason[len] & 0xc0) == 0x80)
            len--;
    }
    n = websocket_head(head, WEBSOCKET_CLOSE, len + 2);
    head[n++] = (char)(status >> 8);
    head[n++] = (char)(status & 0xff);
    return buf_append(out, head, n) && buf_append(out, reason, len);
}
