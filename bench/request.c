#include "request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX 65536
#define REQUEST_MAX ((size_t)64 << 20)
#define FIRST_CAPACITY 16384
// Clients name the model and the streaming flag first or last; look there before the middle.
#define EDGE 2048

enum chunk_state { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };

char *request_room(struct request *r, size_t *room)
{
    size_t needed = r->len + FIRST_CAPACITY / 4;

    if (r->head_len && !r->chunked)
        needed = r->head_len + r->body_len;
    if (r->capacity < needed) {
        size_t capacity = needed > 2 * r->capacity ? needed : 2 * r->capacity;
        char *data;

        if (capacity < FIRST_CAPACITY)
            capacity = FIRST_CAPACITY;
        if (capacity > 2 * REQUEST_MAX)
            return NULL;
        data = realloc(r->data, capacity);
        if (!data)
            return NULL;
        r->data = data;
        r->capacity = capacity;
    }
    *room = r->capacity - r->len;
    return r->data + r->len;
}

static bool has_word(const char *text, size_t len, const char *word)
{
    size_t word_len = strlen(word);

    for (size_t i = 0; i + word_len <= len; i++) {
        if (strncasecmp(text + i, word, word_len) == 0)
            return true;
    }
    return false;
}

static bool name_is(const char *line, size_t name_len, const char *name)
{
    return strlen(name) == name_len && strncasecmp(line, name, name_len) == 0;
}

static bool parse_length(const char *text, size_t len, size_t *value)
{
    size_t n = 0;

    while (len && (*text == ' ' || *text == '\t'))
        text++, len--;
    if (!len)
        return false;
    for (size_t i = 0; i < len && text[i] != ' '; i++) {
        if (text[i] < '0' || text[i] > '9' || n > REQUEST_MAX)
            return false;
        n = n * 10 + (size_t)(text[i] - '0');
    }
    *value = n;
    return n <= REQUEST_MAX;
}

static bool parse_header(struct request *r, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    size_t name_len;
    const char *value;
    size_t value_len;

    if (!colon)
        return false;
    name_len = (size_t)(colon - line);
    value = colon + 1;
    value_len = len - name_len - 1;
    if (name_is(line, name_len, "content-length"))
        return parse_length(value, value_len, &r->body_len);
    if (name_is(line, name_len, "transfer-encoding"))
        r->chunked = has_word(value, value_len, "chunked");
    else if (name_is(line, name_len, "connection"))
        r->close = has_word(value, value_len, "close");
    else if (name_is(line, name_len, "expect"))
        r->expects = has_word(value, value_len, "100-continue");
    return true;
}

static bool parse_head(struct request *r)
{
    const char *end = r->data + r->head_len - 2; // keeps the last header's own line end
    const char *line = memmem(r->data, r->head_len, "\r\n", 2);

    if (!line || line - r->data < 9 || memcmp(line - 9, " HTTP/1.1", 9) != 0)
        return false;
    for (line += 2; line < end;) {
        const char *stop = memmem(line, (size_t)(end - line) + 2, "\r\n", 2);

        if (!stop || !parse_header(r, line, (size_t)(stop - line)))
            return false;
        line = stop + 2;
    }
    if (r->chunked)
        r->body_len = 0;
    return true;
}

// One line of chunk framing, without its end.  NULL when it is not complete yet.
static const char *next_line(struct request *r, size_t *len)
{
    const char *line = r->data + r->scan;
    const char *stop = memmem(line, r->len - r->scan, "\r\n", 2);

    if (!stop)
        return NULL;
    *len = (size_t)(stop - line);
    r->scan += *len + 2;
    return line;
}

static bool read_chunk_size(struct request *r, const char *line, size_t len)
{
    size_t size = 0;
    size_t digits = 0;

    for (; digits < len && line[digits] != ';' && line[digits] != ' '; digits++) {
        int c = line[digits] | 0x20;

        if (size > REQUEST_MAX)
            return false;
        if (c >= '0' && c <= '9')
            size = size * 16 + (size_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            size = size * 16 + (size_t)(c - 'a' + 10);
        else
            return false;
    }
    r->chunk_left = size;
    r->chunk_state = size ? CHUNK_DATA : CHUNK_TRAILER;
    return digits > 0 && size <= REQUEST_MAX;
}

static enum request_result decode_chunks(struct request *r)
{
    for (;;) {
        const char *line;
        size_t len;

        if (r->chunk_state == CHUNK_DATA) {
            size_t have = r->len - r->scan;
            size_t take = have < r->chunk_left ? have : r->chunk_left;

            memmove(r->data + r->head_len + r->body_len, r->data + r->scan, take);
            r->body_len += take;
            r->scan += take;
            r->chunk_left -= take;
            if (r->chunk_left)
                return REQUEST_MORE;
            r->chunk_state = CHUNK_DATA_END;
        }
        line = next_line(r, &len);
        if (!line)
            return REQUEST_MORE;
        if (r->chunk_state == CHUNK_SIZE) {
            if (!read_chunk_size(r, line, len))
                return REQUEST_BAD;
        } else if (r->chunk_state == CHUNK_DATA_END) {
            if (len)
                return REQUEST_BAD;
            r->chunk_state = CHUNK_SIZE;
        } else if (!len) {
            return REQUEST_READY;
        }
    }
}

enum request_result request_feed(struct request *r, size_t added)
{
    r->len += added;
    if (!r->head_len) {
        char *end = r->len ? memmem(r->data, r->len, "\r\n\r\n", 4) : NULL;

        if (!end)
            return r->len < HEAD_MAX ? REQUEST_MORE : REQUEST_BAD;
        r->head_len = (size_t)(end - r->data) + 4;
        r->scan = r->head_len;
        if (!parse_head(r))
            return REQUEST_BAD;
        if (r->expects)
            return REQUEST_CONTINUE;
    }
    if (r->chunked)
        return decode_chunks(r);
    if (r->len < r->head_len + r->body_len)
        return REQUEST_MORE;
    r->scan = r->head_len + r->body_len;
    return REQUEST_READY;
}

// The value of a member named `key` (quotes included), wherever it stands.
static const char *find_value(const char *text, size_t len, const char *key, size_t *left)
{
    size_t key_len = strlen(key);
    const char *end = text + len;

    for (const char *at = text; (at = memmem(at, (size_t)(end - at), key, key_len));) {
        at += key_len;
        while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
            at++;
        if (at >= end || *at != ':')
            continue;
        at++;
        while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
            at++;
        *left = (size_t)(end - at);
        return at;
    }
    return NULL;
}

static const char *find_member(const struct request *r, const char *key, size_t *left)
{
    const char *body = r->data + r->head_len;
    size_t len = r->body_len;
    const char *value;

    if (len <= 2 * EDGE)
        return find_value(body, len, key, left);
    value = find_value(body, EDGE, key, left);
    if (!value)
        value = find_value(body + len - EDGE, EDGE, key, left);
    return value ? value : find_value(body, len, key, left);
}

static bool wants_stream(const struct request *r)
{
    size_t left;
    const char *value = find_member(r, "\"stream\"", &left);

    return value && left >= 4 && memcmp(value, "true", 4) == 0;
}

static bool mode_from_name(const char *name, size_t len, enum mode *mode)
{
    static const struct {
        const char *word;
        enum mode mode;
    } words[] = {
        {"brief", MODE_BRIEF},
        {"endless", MODE_ENDLESS},
        {"idle", MODE_IDLE},
        {"paced", MODE_PACED},
        {"split", MODE_SPLIT},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (memmem(name, len, words[i].word, strlen(words[i].word))) {
            *mode = words[i].mode;
            return true;
        }
    }
    return false;
}

static const char *request_target(const struct request *r, size_t *len)
{
    const char *head_end = r->data + r->head_len;
    const char *start = memchr(r->data, ' ', r->head_len);
    const char *end = start ? memchr(start + 1, ' ', (size_t)(head_end - start - 1)) : NULL;

    *len = end ? (size_t)(end - start - 1) : 0;
    return end ? start + 1 : "";
}

static enum mode stream_mode(const struct request *r, const char *target, size_t target_len)
{
    enum mode mode = MODE_BURST;
    size_t left;
    const char *model;
    const char *quote;

    if (mode_from_name(target, target_len, &mode))
        return mode;
    model = find_member(r, "\"model\"", &left);
    if (!model || left < 2 || *model != '"')
        return mode;
    quote = memchr(model + 1, '"', left - 1);
    if (quote)
        mode_from_name(model, (size_t)(quote - model), &mode);
    return mode;
}

bool request_route(const struct request *r, enum dialect *dialect, enum mode *mode)
{
    size_t len;
    const char *target = request_target(r, &len);
    bool stream;

    if (memmem(target, len, "/chat/completions", 17)) {
        *dialect = DIALECT_CHAT;
    } else if (memmem(target, len, "/messages", 9)) {
        *dialect = DIALECT_ANTHROPIC;
    } else if (memmem(target, len, "/responses", 10)) {
        *dialect = DIALECT_RESPONSES;
    } else if (memmem(target, len, "enerateContent", 14)) {
        *dialect = DIALECT_GEMINI;
    } else {
        return false;
    }
    if (*dialect == DIALECT_GEMINI)
        stream = memmem(target, len, ":streamGenerateContent", 22) != NULL;
    else
        stream = wants_stream(r);
    *mode = stream ? stream_mode(r, target, len) : MODE_JSON;
    return true;
}

bool request_is_get(const struct request *r, const char *path)
{
    size_t len;
    const char *target = request_target(r, &len);

    return memcmp(r->data, "GET ", 4) == 0 && len == strlen(path) && memcmp(target, path, len) == 0;
}

void request_next(struct request *r)
{
    size_t left = r->len - r->scan;
    struct request next = {.data = r->data, .len = left, .capacity = r->capacity};

    if (left)
        memmove(r->data, r->data + r->scan, left);
    *r = next;
}

void request_deinit(struct request *r)
{
    free(r->data);
    memset(r, 0, sizeof(*r));
}
