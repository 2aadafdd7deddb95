// request_head.c - strict parsing of a request head.
//
// The head is collected whole before llhttp sees it, so that method, target and fields are views
// of one buffer and no split of the input can matter.  What llhttp lets through although two
// parties may read it differently is refused here: bare CR or LF, control characters, obs-fold,
// a second or missing Host, any Transfer-Encoding but one `chunked`.  Targets are origin form (or
// `*` for OPTIONS): this server is not a forward proxy, so the absolute form is refused as well.

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "net/server_internal.h"

static bool is_name(const struct server_field *f, const char *name, size_t len)
{
    return f->name_len == len && strncasecmp(f->name, name, len) == 0;
}

static bool is_value(const struct server_field *f, const char *value)
{
    return f->value_len == strlen(value) && strncasecmp(f->value, value, f->value_len) == 0;
}

static bool is_number(const struct server_field *f)
{
    // 18 digits cannot overflow 64 bits.
    if (f->value_len == 0 || f->value_len > 18)
        return false;
    for (size_t i = 0; i < f->value_len; i++) {
        if (f->value[i] < '0' || f->value[i] > '9')
            return false;
    }
    return true;
}

static bool is_host(const struct server_field *f)
{
    for (size_t i = 0; i < f->value_len; i++) {
        if (f->value[i] <= ' ' || strchr("/\\@,#?\"<>", f->value[i]))
            return false;
    }
    return true;
}

static int check_fields(struct connection *c)
{
    int hosts = 0, lengths = 0, codings = 0;

    for (size_t i = 0; i < c->req.field_count; i++) {
        const struct server_field *f = &c->req.fields[i];

        if (is_name(f, "host", 4)) {
            if (++hosts > 1 || !is_host(f))
                return 400;
        } else if (is_name(f, "content-length", 14)) {
            if (++lengths > 1 || !is_number(f))
                return 400;
        } else if (is_name(f, "transfer-encoding", 17)) {
            if (++codings > 1 || c->http10)
                return 400;
            if (!is_value(f, "chunked"))
                return 501;
        } else if (is_name(f, "expect", 6)) {
            if (!is_value(f, "100-continue"))
                return 417;
            c->expects = !c->http10;
        }
    }
    if (lengths && codings)
        return 400;
    return hosts == 0 && !c->http10 ? 400 : 0;
}

// `METHOD SP target SP HTTP/1.x CRLF` to the byte; llhttp forgives further spaces.
static bool is_line(const struct connection *c)
{
    size_t method = strlen(llhttp_method_name(c->parser.method));
    const char *end = c->target + c->target_len;

    return c->target == c->head.data + method + 1 && memcmp(end, " HTTP/1.", 8) == 0 &&
           end[9] == '\r';
}

static bool is_target(const struct connection *c)
{
    if (c->target_len == 1 && c->target[0] == '*')
        return c->parser.method == HTTP_OPTIONS;
    if (c->target_len == 0 || c->target[0] != '/')
        return false;
    return !memchr(c->target, '#', c->target_len);
}

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    struct connection *c = parser->data;

    c->target = c->head.data + (at - c->head.data);
    c->target_len = n;
    return 0;
}

static struct server_field *add_field(struct connection *c)
{
    if (c->req.field_count == c->field_cap) {
        size_t cap = c->field_cap ? c->field_cap * 2 : 16;
        struct server_field *more;

        if (cap > FIELDS_MAX)
            return NULL;
        more = realloc(c->fields, cap * sizeof(*more));
        if (!more)
            return NULL;
        c->fields = more;
        c->field_cap = cap;
        c->req.fields = more;
    }
    return &c->fields[c->req.field_count++];
}

static int on_field(llhttp_t *parser, const char *at, size_t n)
{
    struct connection *c = parser->data;
    struct server_field *f;

    // Trailers have no use here and are one more place to hide something in.
    if (c->phase != PHASE_HEAD)
        return -1;
    f = add_field(c);
    if (!f) {
        c->refused = 431;
        return -1;
    }
    *f = (struct server_field){.name = at, .name_len = n, .value = at + n};
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
    struct connection *c = parser->data;
    struct server_field *f = &c->fields[c->req.field_count - 1];

    if (c->phase != PHASE_HEAD)
        return -1;
    while (n > 0 && (at[n - 1] == ' ' || at[n - 1] == '\t'))
        n--;
    while (n > 0 && (*at == ' ' || *at == '\t')) {
        at++;
        n--;
    }
    f->value = at;
    f->value_len = n;
    return 0;
}

static int on_head(llhttp_t *parser)
{
    struct connection *c = parser->data;

    c->http10 = parser->http_minor == 0;
    if (parser->http_major != 1 || parser->http_minor > 1)
        c->refused = 505;
    else if (!c->target || !is_line(c) || !is_target(c))
        c->refused = 400;
    else
        c->refused = check_fields(c);
    if (c->refused)
        return -1;
    c->keep_alive = llhttp_should_keep_alive(parser);
    // An upgrade is the user's business and an ordinary request until then.
    parser->upgrade = 0;
    return 0;
}

static int on_chunk(llhttp_t *parser)
{
    struct connection *c = parser->data;

    c->chunks++;
    return 0;
}

static int on_end(llhttp_t *parser)
{
    struct connection *c = parser->data;

    c->message_done = true;
    return HPE_PAUSED;
}

void head_settings(llhttp_settings_t *settings)
{
    llhttp_settings_init(settings);
    settings->on_url = on_url;
    settings->on_header_field = on_field;
    settings->on_header_value = on_value;
    settings->on_headers_complete = on_head;
    settings->on_body = body_on_bytes;
    settings->on_chunk_header = on_chunk;
    settings->on_message_complete = on_end;
}

// The request as the user sees it, for a head that parsed; also as far as a refused one got.
static void fill_request(struct connection *c)
{
    struct server_request *req = &c->req;
    const char *query;

    req->method = c->head_len ? llhttp_method_name(c->parser.method) : "";
    req->target = "";
    req->path_len = 0;
    if (!c->target)
        return;
    c->target[c->target_len] = '\0'; // the space before the version
    req->target = c->target;
    query = memchr(c->target, '?', c->target_len);
    req->path_len = query ? (size_t)(query - c->target) : c->target_len;
}

static void parse(struct connection *c)
{
    llhttp_errno_t result;

    c->head_len = c->head.len;
    c->target = NULL;
    c->req.field_count = 0;
    c->refused = 400; // until on_head() has seen it all
    c->expects = false;
    c->message_done = false;
    llhttp_init(&c->parser, HTTP_REQUEST, &c->server->parser_settings);
    c->parser.data = c;
    result = llhttp_execute(&c->parser, c->head.data, c->head.len);
    if (result == HPE_PAUSED)
        llhttp_resume(&c->parser);
    else if (result != HPE_OK && !c->refused)
        c->refused = 400;
    if (result == HPE_INVALID_METHOD)
        c->head_len = 0; // there is no method to tell
    fill_request(c);
    if (c->refused) {
        connection_refuse(c, c->refused);
        return;
    }
    c->head_only = c->parser.method == HTTP_HEAD;
    c->req.started = clock_mono();
    c->phase = PHASE_REQUEST;
    c->announce = true;
    c->open = true;
    c->server->open_requests++;
    body_begin(c);
}

// Walks over head bytes.  Returns how many belong to the head, or -1 for bytes no head may have.
static ptrdiff_t scan(struct connection *c, const char *bytes, size_t n, bool *complete)
{
    enum head_position at = c->position;
    size_t i;

    for (i = 0; i < n && !*complete; i++) {
        unsigned char b = (unsigned char)bytes[i];

        if (at == HEAD_AFTER_CR || at == HEAD_AFTER_LAST_CR) {
            if (b != '\n')
                return -1;
            *complete = at == HEAD_AFTER_LAST_CR;
            at = HEAD_LINE_START;
        } else if (b == '\r') {
            at = at == HEAD_LINE_START ? HEAD_AFTER_LAST_CR : HEAD_AFTER_CR;
        } else {
            if ((b < ' ' && b != '\t') || b == 0x7f)
                return -1;
            // Folded lines, and names that are empty: llhttp would not even report those.
            if (at == HEAD_LINE_START && (b == ' ' || b == '\t' || b == ':'))
                return -1;
            at = HEAD_IN_LINE;
        }
    }
    c->position = at;
    return (ptrdiff_t)i;
}

size_t head_take(struct connection *c, const char *bytes, size_t n)
{
    size_t max = c->server->limits.head_bytes;
    bool complete = false;
    ptrdiff_t used;

    if (c->head.len == 0) {
        c->since = clock_mono();
        c->head_len = 0;
        c->target = NULL;
        c->req.method = c->req.target = "";
    }
    used = scan(c, bytes, n, &complete);
    if (used < 0) {
        connection_refuse(c, 400);
        return n;
    }
    c->head.max = max;
    if (!buf_append(&c->head, bytes, (size_t)used)) {
        connection_refuse(c, 431);
        return n;
    }
    if (!complete)
        return (size_t)used;
    if (c->head.len > 2) {
        c->blank = false;
        parse(c);
    } else if (c->blank) {
        connection_refuse(c, 400);
    } else {
        // Some old clients end a body with a CRLF too many; one is forgiven.
        c->blank = true;
        buf_clear(&c->head);
    }
    return (size_t)used;
}
