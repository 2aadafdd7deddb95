#include "net/local_get.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

enum { CONNECT_SECONDS = 3, ANSWER_SECONDS = 15, FIELD_SIZE = 512 };

static size_t on_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
    return buf_append(ctx, bytes, size * count) ? size * count : 0;
}

static void set_options(CURL *easy, const struct local_get *request,
                        const struct curl_slist *fields, struct buf *text, char *error)
{
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)ANSWER_SECONDS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, text);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    if (request->from_loopback)
        curl_easy_setopt(easy, CURLOPT_INTERFACE, "host!127.0.0.1");
}

bool local_get(const struct local_get *request, struct buf *text, char *failure, size_t size)
{
    char field[FIELD_SIZE], error[CURL_ERROR_SIZE] = "";
    struct curl_slist *fields = NULL;
    CURL *easy = curl_easy_init();
    CURLcode result = CURLE_OUT_OF_MEMORY;
    long status = 0;

    snprintf(field, sizeof(field), "Authorization: Bearer %s", request->bearer);
    fields = curl_slist_append(fields, field);
    fields = curl_slist_append(fields, "Host: localhost");
    if (easy && fields) {
        buf_clear(text);
        set_options(easy, request, fields, text, error);
        result = curl_easy_perform(easy);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    }
    if (result != CURLE_OK)
        snprintf(failure, size, "%s", *error ? error : curl_easy_strerror(result));
    else if (status != 200)
        snprintf(failure, size, "what listens there does not know the key (status %ld)", status);
    curl_slist_free_all(fields);
    curl_easy_cleanup(easy);
    explicit_bzero(field, sizeof(field));
    return result == CURLE_OK && status == 200;
}
