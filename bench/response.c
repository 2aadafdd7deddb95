#include "response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINE_MAX_BYTES 4096

void response_init(struct response *r)
{
    memset(r, 0, offsetof(struct response, head));
}

static void parse_header(struct response *r, const char *line)
{
    if (strncasecmp(line, "content-length:", 15) == 0) {
        r->left = strtoull(line + 15, NULL, 10);
        if (!r->chunked)
            r->state = RESPONSE_LENGTH;
    } else if (strncasecmp(line, "transfer-encoding:", 18) == 0) {
        r->chunked = strcasestr(line + 18, "chunked") != NULL;
        r->left = 0;
        r->state = RESPONSE_CHUNK_SIZE;
    } else if (strncasecmp(line, "connection:", 11) == 0) {
        r->close = strcasestr(line + 11, "close") != NULL;
    }
}

// `head` holds the whole head; cuts it into strings as it goes.
static bool parse_head(struct response *r, size_t len)
{
    char *line = r->head;
    char *end = r->head + len;

    if (len < 13 || memcmp(line, "HTTP/1.1 ", 9) != 0)
        return false;
    r->status = atoi(line + 9);
    r->state = RESPONSE_UNTIL_CLOSE;
    while (line < end) {
        char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);

        if (!stop)
            return false;
        *stop = '\0';
        parse_header(r, line);
        line = stop + 2;
    }
    if (r->status / 100 == 1) { // "100 Continue": the answer is still to come
        response_init(r);
        return true;
    }
    if (r->state == RESPONSE_LENGTH && !r->left)
        r->state = RESPONSE_DONE;
    if (r->state == RESPONSE_UNTIL_CLOSE)
        r->close = true;
    return r->status >= 200;
}

static ptrdiff_t feed_head(struct response *r, const char *data, size_t len)
{
    size_t before = r->head_len;
    size_t take = len < RESPONSE_HEAD_MAX - before ? len : RESPONSE_HEAD_MAX - before;
    size_t from = before > 3 ? before - 3 : 0;
    char *end;

    memcpy(r->head + before, data, take);
    r->head_len += take;
    end = memmem(r->head + from, r->head_len - from, "\r\n\r\n", 4);
    if (!end)
        return r->head_len < RESPONSE_HEAD_MAX ? (ptrdiff_t)take : -1;
    take = (size_t)(end + 4 - r->head) - before;
    return parse_head(r, (size_t)(end + 2 - r->head)) ? (ptrdiff_t)take : -1;
}

static void keep_tail(struct response *r, const char *data, size_t len)
{
    r->body_bytes += len;
    if (len >= RESPONSE_TAIL) {
        memcpy(r->tail, data + len - RESPONSE_TAIL, RESPONSE_TAIL);
        r->tail_len = RESPONSE_TAIL;
        return;
    }
    if (r->tail_len + len > sizeof(r->tail)) {
        memmove(r->tail, r->tail + r->tail_len - RESPONSE_TAIL, RESPONSE_TAIL);
        r->tail_len = RESPONSE_TAIL;
    }
    memcpy(r->tail + r->tail_len, data, len);
    r->tail_len += len;
}

static size_t feed_data(struct response *r, const char *data, size_t len)
{
    size_t take = len;

    if (r->state != RESPONSE_UNTIL_CLOSE && r->left < take)
        take = (size_t)r->left;
    keep_tail(r, data, take);
    if (r->state == RESPONSE_UNTIL_CLOSE)
        return take;
    r->left -= take;
    if (!r->left)
        r->state = r->state == RESPONSE_LENGTH ? RESPONSE_DONE : RESPONSE_CHUNK_END;
    return take;
}

static void end_line(struct response *r)
{
    bool empty = r->line_len == 0;

    r->line_len = 0;
    if (r->state == RESPONSE_CHUNK_SIZE)
        r->state = r->left ? RESPONSE_CHUNK_DATA : RESPONSE_TRAILER;
    else if (r->state == RESPONSE_CHUNK_END)
        r->state = RESPONSE_CHUNK_SIZE;
    else if (empty)
        r->state = RESPONSE_DONE;
}

static bool size_digit(struct response *r, char c)
{
    int lower = c | 0x20;

    if (c == ';' || c == ' ') // extensions and padding: ignored up to the end of the line
        r->line_len = LINE_MAX_BYTES / 2;
    if (r->line_len >= LINE_MAX_BYTES / 2)
        return true;
    if (r->left >> 56)
        return false;
    if (c >= '0' && c <= '9')
        r->left = r->left * 16 + (uint64_t)(c - '0');
    else if (lower >= 'a' && lower <= 'f')
        r->left = r->left * 16 + (uint64_t)(lower - 'a' + 10);
    else
        return false;
    return true;
}

// A byte of chunk framing.
static bool feed_line(struct response *r, char c)
{
    if (c == '\r')
        return true;
    if (c == '\n') {
        end_line(r);
        return true;
    }
    if (r->state == RESPONSE_CHUNK_END || r->line_len >= LINE_MAX_BYTES)
        return false;
    if (r->state == RESPONSE_CHUNK_SIZE && !size_digit(r, c))
        return false;
    r->line_len++;
    return true;
}

ptrdiff_t response_feed(struct response *r, const char *data, size_t len)
{
    size_t used = 0;

    while (used < len && r->state != RESPONSE_DONE) {
        if (r->state == RESPONSE_HEAD) {
            ptrdiff_t n = feed_head(r, data + used, len - used);

            if (n < 0)
                return -1;
            used += (size_t)n;
        } else if (r->state == RESPONSE_LENGTH || r->state == RESPONSE_UNTIL_CLOSE ||
                   r->state == RESPONSE_CHUNK_DATA) {
            used += feed_data(r, data + used, len - used);
        } else if (!feed_line(r, data[used++])) {
            return -1;
        }
    }
    return (ptrdiff_t)used;
}

bool response_end(struct response *r)
{
    if (r->state == RESPONSE_UNTIL_CLOSE)
        r->state = RESPONSE_DONE;
    return r->state == RESPONSE_DONE;
}

bool response_tail_has(const struct response *r, const char *text)
{
    return memmem(r->tail, r->tail_len, text, strlen(text)) != NULL;
}
