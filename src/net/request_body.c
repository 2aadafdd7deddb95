// request_body.c - the body of a request: framing by llhttp, limits, content decoding.
//
// A coded body is decoded one bounded step a loop iteration, so that a small bomb cannot hold the
// loop; until a step is through, further input waits in the backlog.

#include <stdlib.h>
#include <string.h>

#include "codec/content.h"
#include "net/server_internal.h"

#define BODY_RESERVE (1024 * 1024)
#define PLACE_MIN (16 * 1024) // a copy of less is cheaper than one more read that finds nothing

void body_fail(struct connection *c, enum server_body state)
{
    c->req.body_state = state;
    c->decoding = false;
    buf_deinit(&c->coded);
    buf_deinit(&c->req.body);
    content_free(c->content);
    c->content = NULL;
    connection_changed(c);
}

void body_end(struct connection *c)
{
    content_free(c->content);
    c->content = NULL;
    buf_deinit(&c->coded);
    c->decoding = false;
}

static void complete(struct connection *c)
{
    if (c->content && !content_complete(c->content)) {
        body_fail(c, SERVER_BODY_MALFORMED);
        return;
    }
    body_end(c);
    c->req.body_state = SERVER_BODY_COMPLETE;
    connection_changed(c);
}

void body_begin(struct connection *c)
{
    struct server_request *req = &c->req;
    size_t max = c->server->limits.body_bytes;
    const struct server_field *encoding;
    uint64_t length = c->parser.content_length;

    req->body_state = SERVER_BODY_READING;
    req->body.max = max;
    c->coded.max = max < SIZE_MAX - INPUT_SIZE ? max + INPUT_SIZE : max;
    c->body_raw = c->framing = c->chunks = 0;
    c->decoding = false;
    if (c->message_done) {
        req->body_state = SERVER_BODY_COMPLETE;
        return;
    }
    encoding = server_field(req, "content-encoding");
    if (encoding && !content_new(encoding->value, encoding->value_len, &c->content)) {
        body_fail(c, SERVER_BODY_BAD_ENCODING);
        return;
    }
    if (c->parser.flags & F_CHUNKED)
        return;
    if (length > max)
        body_fail(c, SERVER_BODY_TOO_LARGE);
    else if (!c->content)
        buf_reserve(&req->body, length < BODY_RESERVE ? (size_t)length : BODY_RESERVE);
}

bool body_takes(const struct connection *c)
{
    return (c->announce || c->wanted) && !c->message_done && !c->decoding &&
           c->req.body_state == SERVER_BODY_READING;
}

bool body_place(struct connection *c, uv_buf_t *place)
{
    struct buf *body = &c->req.body;
    uint64_t missing = c->parser.content_length;
    size_t used = body->start + body->len + 1, space = body->cap > used ? body->cap - used : 0;

    if (c->phase != PHASE_REQUEST || !body_takes(c) || c->tls || c->content || c->backlog.len > 0 ||
        (c->parser.flags & F_CHUNKED) || missing < PLACE_MIN)
        return false;
    if (space > missing)
        space = (size_t)missing; // what comes behind is another request
    // Where there is little space left, the shared buffer takes more at once.
    if (space == 0 || (space < missing && space < sizeof(c->server->input)))
        return false;
    *place = uv_buf_init(body->data + body->len, (unsigned)space);
    return true;
}

int body_on_bytes(llhttp_t *parser, const char *at, size_t n)
{
    struct connection *c = parser->data;
    struct buf *body = c->content ? &c->coded : &c->req.body;

    c->body_raw += n;
    if (c->body_raw > c->req.body.max)
        return HPE_USER;
    if (body->data && at == body->data + body->len) { // read there, see body_place()
        buf_commit(body, n);
        return 0;
    }
    return buf_append(body, at, n) ? 0 : HPE_USER;
}

// llhttp lets a bare LF end the trailers; only CRLF may.
static bool ends_cleanly(const struct connection *c, const char *bytes, size_t used)
{
    char before = used >= 2 ? bytes[used - 2] : c->last_byte;

    return !(c->parser.flags & F_CHUNKED) || (before == '\r' && bytes[used - 1] == '\n');
}

size_t body_take(struct connection *c, const char *bytes, size_t n)
{
    size_t before = c->body_raw, used = n;
    llhttp_errno_t result = llhttp_execute(&c->parser, bytes, n);

    c->expects = false; // it did not wait
    if (result == HPE_PAUSED) {
        used = (size_t)(llhttp_get_error_pos(&c->parser) - bytes);
        if (!ends_cleanly(c, bytes, used)) {
            body_fail(c, SERVER_BODY_MALFORMED);
            return n;
        }
    } else if (result != HPE_OK) {
        bool large = c->body_raw > c->req.body.max || c->req.body.overflow || c->coded.overflow;

        body_fail(c, large ? SERVER_BODY_TOO_LARGE : SERVER_BODY_MALFORMED);
        return n;
    }
    c->last_byte = bytes[used - 1];
    // Chunk lines may be long or many, but not without limit.
    c->framing += used - (c->body_raw - before);
    if (c->framing > FRAMING_MAX + c->chunks * FRAMING_PER_CHUNK)
        body_fail(c, SERVER_BODY_MALFORMED);
    else if (c->content)
        body_decode(c);
    else if (c->message_done)
        complete(c);
    return used;
}

void body_decode(struct connection *c)
{
    enum content_result result;

    result = content_step(c->content, c->coded.data, c->coded.len, &c->req.body);
    buf_clear(&c->coded);
    c->decoding = result == CONTENT_MORE_OUTPUT;
    if (result == CONTENT_FAILED)
        body_fail(c, SERVER_BODY_MALFORMED);
    else if (result == CONTENT_TOO_LARGE)
        body_fail(c, SERVER_BODY_TOO_LARGE);
    else if (c->decoding)
        server_schedule(c->server, c);
    else if (c->message_done)
        complete(c);
}
