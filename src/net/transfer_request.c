// The request of an upstream call, as curl wants it.

#include "net/upstream_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool has_field(const char *const *fields, const char *name)
{
    size_t n = strlen(name);

    for (; fields && *fields; fields++)
        if (strncasecmp(*fields, name, n) == 0 && (*fields)[n] == ':')
            return true;
    return false;
}

// Writes one field as curl wants it: an empty value is spelt `Name;`.
static size_t put_field(char *out, const char *field)
{
    size_t n = strlen(field);
    const char *colon = strchr(field, ':');

    memcpy(out, field, n + 1);
    if (colon && colon[1 + strspn(colon + 1, " \t")] == '\0') {
        n = (size_t)(colon - field) + 1;
        out[n - 1] = ';';
        out[n] = '\0';
    }
    return n + 1;
}

// Copies the request fields into one block: list nodes first, text behind.  False without memory.
static bool copy_fields(struct call *c, const struct transfer_request *request,
                        struct curl_slist **list)
{
    const char *extra[3];
    size_t count = 0, extras = 0, bytes = 0;
    struct curl_slist *nodes;
    char *text;

    while (request->fields && request->fields[count])
        bytes += strlen(request->fields[count++]) + 1;
    extra[extras++] = "Expect:"; // none: it would cost a round trip
    if (!has_field(request->fields, "content-type"))
        extra[extras++] = "Content-Type:"; // none: curl would say that it is a form
    if (c->proxy && *c->proxy)
        extra[extras++] = "Proxy-Connection:"; // none: a plain forward proxy may pass it on
    bytes += 64 + (count + extras) * sizeof(*nodes);
    if (bytes > c->block_cap) {
        void *fresh = realloc(c->block, bytes);

        if (!fresh)
            return false;
        c->block = fresh;
        c->block_cap = bytes;
    }
    nodes = c->block;
    text = (char *)(nodes + count + extras);
    for (size_t i = 0; i < count + extras; i++) {
        nodes[i].data = text;
        nodes[i].next = i + 1 < count + extras ? &nodes[i + 1] : NULL;
        if (i < count) {
            text += put_field(text, request->fields[i]);
        } else {
            strcpy(text, extra[i - count]);
            text += strlen(text) + 1;
        }
    }
    *list = nodes;
    return true;
}

bool transfer_request_is_clean(const struct transfer_request *request)
{
    const char *method = request->method;

    if (!*method)
        return false;
    for (; *method; method++)
        if (!isalnum((unsigned char)*method) && *method != '-' && *method != '_')
            return false;
    for (const char *const *f = request->fields; f && *f; f++)
        if ((*f)[strcspn(*f, "\r\n")])
            return false;
    return true;
}

static CURLcode set_method(CURL *easy, const struct transfer_request *request)
{
    const char *method = request->method, *custom = method;
    bool post = strcmp(method, "POST") == 0, body = request->body && request->body_len;
    CURLcode rc = curl_easy_setopt(easy, CURLOPT_NOBODY, 0L);

    if (body || post || !strcmp(method, "PUT") || !strcmp(method, "PATCH")) {
        curl_off_t len = body ? (curl_off_t)request->body_len : 0;

        rc = rc ? rc : curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, len);
        rc = rc ? rc : curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body ? request->body : "");
        custom = post ? NULL : method;
    } else if (strcmp(method, "HEAD") == 0) {
        rc = rc ? rc : curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        custom = NULL;
    } else {
        rc = rc ? rc : curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        custom = strcmp(method, "GET") == 0 ? NULL : method;
    }
    return rc ? rc : curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, custom);
}

// Each piece wakes the upstream and us, so a body goes in one where it can; curl has a buffer of
// that size while it sends.  The smallest one is its minimum.
#define UPLOAD_STEP (16 * 1024L)
#define UPLOAD_MAX (256 * 1024L)

CURLcode call_set_upload(struct call *c, size_t body_len)
{
    long wanted = UPLOAD_MAX;
    CURLcode rc = CURLE_OK;

    if (body_len <= UPLOAD_STEP)
        wanted = UPLOAD_STEP;
    else if (body_len < UPLOAD_MAX)
        wanted = ((long)body_len + UPLOAD_STEP - 1) / UPLOAD_STEP * UPLOAD_STEP;

    if (wanted != c->upload)
        rc = curl_easy_setopt(c->easy, CURLOPT_UPLOAD_BUFFERSIZE, wanted);
    if (rc == CURLE_OK)
        c->upload = wanted;
    return rc;
}

CURLcode call_set_request(struct call *c, const struct transfer_request *request,
                          const char *no_proxy)
{
    struct curl_slist *list;
    CURLcode rc;

    if (!copy_fields(c, request, &list))
        return CURLE_OUT_OF_MEMORY;
    rc = set_method(c->easy, request);
    rc = rc ? rc : call_set_upload(c, request->body ? request->body_len : 0);
    rc = rc ? rc : curl_easy_setopt(c->easy, CURLOPT_URL, request->url);
    rc = rc ? rc : curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, list);
    rc = rc ? rc : curl_easy_setopt(c->easy, CURLOPT_PROXY, c->proxy);
    rc = rc ? rc : curl_easy_setopt(c->easy, CURLOPT_NOPROXY, no_proxy);
    if (c->up->env.resolve) // each multi handle has to learn them
        rc = rc ? rc : curl_easy_setopt(c->easy, CURLOPT_RESOLVE, c->up->env.resolve);
    if (c->up->env.connect_to) // a proxy is told the name
        rc = rc ? rc
                : curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO,
                                   *c->proxy ? NULL : c->up->env.connect_to);
    return rc ? rc
              : curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS,
                                 (long)(c->connect_seconds * 1000) + 1);
}
