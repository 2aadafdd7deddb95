// Feeds the readers of URLs, Host headers, query strings and base64, and the redaction for logs.
//
// Besides memory errors it looks for broken promises: parts lie inside of the text and hold no
// delimiters, what is encoded decodes to itself, and no control character reaches a log.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/base64.h"
#include "codec/redact.h"
#include "codec/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static void try_parse(const char *text, size_t len)
{
    struct url url;
    const char *host;
    size_t host_len;
    int port;

    if (url_parse(text, len, &url)) {
        demand(url.scheme == text && url.scheme_len > 0 && url.host_len > 0);
        demand(url.host > text && url.path + url.path_len == text + len);
        demand(url.host + url.host_len <= url.path);
        demand(url.port >= 0 && url.port <= 65535);
        demand(!memchr(url.host, '@', url.host_len) && !memchr(url.host, '/', url.host_len));
        demand(url.path_len == 0 || strchr("/?#", *url.path));
        url_host_is_loopback(url.host, url.host_len);
    }
    if (url_split_host(text, len, &host, &host_len, &port)) {
        demand(host_len > 0 && host >= text && host + host_len <= text + len);
        demand(port >= 0 && port <= 65535);
        for (size_t i = 0; i < host_len; i++)
            demand((unsigned char)host[i] > ' ' && host[i] != '/' && host[i] != '@');
    }
    if (url_host_is_loopback(text, len))
        demand(len <= 15 && !memchr(text, '/', len));
}

static void try_codes(const char *text, size_t len)
{
    struct buf there, back;

    buf_init(&there, 3 * len + 4);
    buf_init(&back, len);
    demand(url_encode(&there, text, len) && url_decode(&back, there.data, there.len, true));
    demand(back.len == len && (len == 0 || memcmp(back.data, text, len) == 0));
    buf_clear(&back);
    demand(url_decode(&back, text, len, false));
    for (int url = 0; url < 2; url++) {
        buf_clear(&there);
        buf_clear(&back);
        demand(base64_encode(&there, text, len, url));
        demand(base64_decode(&back, there.data, there.len));
        demand(back.len == len && (len == 0 || memcmp(back.data, text, len) == 0));
    }
    buf_clear(&back);
    demand(base64_decode(&back, text, len) || back.len == 0);
    buf_deinit(&there);
    buf_deinit(&back);
}

static void assert_printable(const struct buf *out)
{
    for (size_t i = 0; i < out->len; i++)
        demand((unsigned char)out->data[i] >= ' ' && out->data[i] != 0x7f);
}

static void try_redact(const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    struct buf out;

    memcpy(copy, text, len);
    copy[len] = '\0';
    buf_init(&out, 16 * len + 100);
    redact_target(&out, copy);
    assert_printable(&out);
    buf_clear(&out);
    redact_field(&out, copy, copy);
    redact_field(&out, "authorization", copy);
    assert_printable(&out);
    buf_clear(&out);
    demand(!url_query(&out, text, len, "key") || out.len <= len);
    buf_deinit(&out);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // Memory of its own, also for nothing: a byte too many is noticed.
    char *text = malloc(size ? size : 1);

    if (size > 0)
        memcpy(text, data, size);
    try_parse(text, size);
    try_codes(text, size);
    try_redact(text, size);
    free(text);
    return 0;
}
