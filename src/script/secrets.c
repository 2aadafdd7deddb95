#include "script/secrets.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/base64.h"
#include "codec/redact.h"
#include "codec/url.h"
#include "net/server.h"
#include "script/state.h"

enum { SHORTEST = 8, LONGEST = 64 * 1024 };

struct secret {
    char *text;
    size_t len;
};

struct secrets {
    struct secret *items;
    size_t count;
};

// --- what is known -----------------------------------------------------------------------------

static void add(struct secrets *known, const char *text, size_t len)
{
    struct secret *more;
    char *copy;

    if (len < SHORTEST || len > LONGEST)
        return;
    more = realloc(known->items, (known->count + 1) * sizeof(*more));
    copy = more ? malloc(len) : NULL;
    if (more)
        known->items = more;
    if (!copy)
        return;
    memcpy(copy, text, len); // of a text that may go on
    known->items[known->count++] = (struct secret){copy, len};
}

// What JSON with escaped slashes and what URLs make of a secret; empty when it is the same.
struct forms {
    struct buf json, url;
};

static void forms_init(struct forms *f, const char *text, size_t len)
{
    buf_init(&f->json, 2 * LONGEST);
    buf_init(&f->url, 3 * LONGEST);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '/' || c == '"' || c == '\\')
            buf_putc(&f->json, '\\');
        buf_putc(&f->json, (char)c);
        if (isalnum(c) || strchr("-._~", c))
            buf_putc(&f->url, (char)c);
        else
            buf_printf(&f->url, "%%%02X", c);
    }
    if (f->json.len == len)
        buf_clear(&f->json);
    if (f->url.len == len)
        buf_clear(&f->url);
}

static void forms_deinit(struct forms *f)
{
    buf_deinit(&f->json);
    buf_deinit(&f->url);
}

static void add_forms(struct secrets *known, const char *text, size_t len)
{
    struct forms f;

    forms_init(&f, text, len);
    add(known, text, len);
    add(known, f.json.data, f.json.len);
    add(known, f.url.data, f.url.len);
    forms_deinit(&f);
}

// The `user:password` of a proxy URL and its password; false when it has none.
static bool find_userinfo(const char *url, struct secret *both, struct secret *password)
{
    char *begin = strstr(url, "://"), *at, *colon;

    if (!begin)
        return false;
    begin += 3;
    at = memrchr(begin, '@', strcspn(begin, "/?#"));
    colon = at ? memchr(begin, ':', (size_t)(at - begin)) : NULL;
    if (!colon)
        return false;
    *both = (struct secret){begin, (size_t)(at - begin)};
    *password = (struct secret){colon + 1, (size_t)(at - colon - 1)};
    return true;
}

// A proxy's password, and with its user as Basic authentication has them.
static void add_proxy(struct secrets *known, const char *url)
{
    struct secret both, password;
    struct buf basic;

    if (!find_userinfo(url, &both, &password))
        return;
    add_forms(known, password.text, password.len);
    buf_init(&basic, 2 * LONGEST);
    if (base64_encode(&basic, both.text, both.len, false))
        add(known, basic.data, basic.len);
    buf_deinit(&basic);
}

static void collect(struct secrets *known, const struct config_node *node, bool secret)
{
    if (!node)
        return;
    secret = secret || node->secret;
    if (node->type == CONFIG_STRING && secret) {
        if (strstr(node->text, "://"))
            add_proxy(known, node->text);
        else if (*node->text != '$') // a client's header of that name
            add_forms(known, node->text, strlen(node->text));
    }
    for (size_t i = 0; i < node->count; i++)
        collect(known, node->items[i],
                secret || (node->type == CONFIG_MAP && strcmp(node->names[i], "headers") == 0));
}

// The longest first: one may begin like another.
static int by_length(const void *a, const void *b)
{
    size_t one = ((const struct secret *)a)->len, two = ((const struct secret *)b)->len;

    return one < two ? 1 : one > two ? -1 : 0;
}

static const struct secrets *known_to(struct script_state *s)
{
    if (!s->secrets) {
        s->secrets = calloc(1, sizeof(*s->secrets));
        if (s->secrets)
            collect(s->secrets, config_root(s->config), false);
        if (s->secrets && s->secrets->count > 1)
            qsort(s->secrets->items, s->secrets->count, sizeof(struct secret), by_length);
    }
    return s->secrets;
}

void secrets_free(struct secrets *known)
{
    if (!known)
        return;
    for (size_t i = 0; i < known->count; i++) {
        explicit_bzero(known->items[i].text, known->items[i].len);
        free(known->items[i].text);
    }
    free(known->items);
    free(known);
}

// --- taking them out -----------------------------------------------------------------------------

struct redaction {
    const char *text;
    size_t len;
    struct buf *out;
    bool found; // `out` has a copy
};

void secrets_replace(struct buf *b, const char *secret, size_t len)
{
    char *read = b->data, *write = b->data, *end = b->data + b->len, *at;

    if (len < SHORTEST || b->len < len)
        return;
    while ((at = memmem(read, (size_t)(end - read), secret, len))) {
        memmove(write, read, (size_t)(at - read));
        write += at - read;
        memcpy(write, "***", 3);
        write += 3;
        read = at + len;
    }
    memmove(write, read, (size_t)(end - read));
    b->len = (size_t)(write + (end - read) - b->data);
}

static void take_out(struct redaction *r, const char *secret, size_t len)
{
    if (len < SHORTEST || (!r->found && !memmem(r->text, r->len, secret, len)))
        return;
    if (!r->found) {
        buf_clear(r->out);
        if (!buf_append(r->out, r->text, r->len))
            buf_puts(r->out, "***"); // no room: rather nothing than a secret
        r->found = true;
    }
    secrets_replace(r->out, secret, len);
}

static void take_out_forms(struct redaction *r, const char *secret)
{
    size_t len = strlen(secret);
    struct forms f;

    if (len < SHORTEST || len > r->len) // the other forms are longer
        return;
    take_out(r, secret, len);
    if (!strpbrk(secret, "/+=\"\\%"))
        return;
    forms_init(&f, secret, len);
    take_out(r, f.json.data, f.json.len);
    take_out(r, f.url.data, f.url.len);
    forms_deinit(&f);
}

static void take_out_account(struct redaction *r, const struct credential *c)
{
    struct secret both, password;

    take_out_forms(r, c->secret);
    if (c->proxy && find_userinfo(c->proxy, &both, &password))
        take_out(r, password.text, password.len);
}

bool secrets_redact(struct script_state *s, const char *text, size_t len, const char *own,
                    struct buf *out)
{
    const struct secrets *known = known_to(s);
    struct redaction r = {text, len, out, false};

    if (len < SHORTEST)
        return false;
    if (own)
        take_out_forms(&r, own);
    for (int i = 0; i < ACCOUNTS_SOURCES && s->live[i]; i++)
        for (size_t k = 0; k < s->live[i]->count; k++)
            take_out_account(&r, &s->live[i]->items[k]);
    for (size_t i = 0; known && i < known->count; i++)
        take_out(&r, known->items[i].text, known->items[i].len);
    return r.found;
}

// --- failures ----------------------------------------------------------------------------------

static void hide_field(struct buf *text, const struct server_field *f)
{
    const char *value = f->value, *space;
    size_t len = f->value_len;
    char name[128];

    snprintf(name, sizeof(name), "%.*s", (int)f->name_len, f->name);
    if (!redact_is_secret(name))
        return;
    secrets_replace(text, value, len);
    space = memchr(value, ' ', len); // behind a scheme
    if (space)
        secrets_replace(text, space + 1, len - (size_t)(space + 1 - value));
}

static void hide_request(struct buf *text, const struct server_request *req)
{
    static const char *const parameters[] = {"key", "auth_token"};
    const char *query = req->target + req->path_len;
    struct buf value;

    for (size_t i = 0; i < req->field_count; i++)
        hide_field(text, &req->fields[i]);
    buf_init(&value, LONGEST);
    for (size_t i = 0; i < 2 && *query == '?'; i++) {
        buf_clear(&value);
        if (url_query(&value, query + 1, strlen(query + 1), parameters[i]) && value.len > 0)
            secrets_replace(text, value.data, value.len);
    }
    buf_deinit(&value);
}

void secrets_log_failure(struct script_state *s, const char *request_id, const char *message,
                         const struct server_request *req)
{
    struct buf text;

    buf_init(&text, LONGEST);
    if (!secrets_redact(s, message, strnlen(message, LONGEST), NULL, &text)) {
        buf_clear(&text);
        buf_append(&text, message, strnlen(message, LONGEST));
    }
    if (req)
        hide_request(&text, req);
    log_write(s->host->log, LOG_ERROR, "script", request_id, "%s",
              text.len ? buf_cstr(&text) : "a script failed");
    buf_deinit(&text);
}
