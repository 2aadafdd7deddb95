// Why an upstream call failed: what curl tells, as one of our errors and in words for the log.

#include "net/upstream_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

// Host and port of a URL for the log, without userinfo, path and query.
static void describe_host(const char *url, bool with_port, char *out, size_t size)
{
    CURLU *parsed = curl_url();
    char *host = NULL, *port = NULL;

    snprintf(out, size, "the host");
    if (parsed && !curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) &&
        !curl_url_get(parsed, CURLUPART_HOST, &host, 0)) {
        bool found = !curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);

        if (with_port && found)
            snprintf(out, size, "%.100s:%s", host, port);
        else
            snprintf(out, size, "%.100s", host);
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parsed);
}

// The connection could not be made.  `peer` is who curl talked to first, the proxy if there is one.
static void fail_connect(struct call *c, CURLcode result, const char *peer)
{
    long os_error = 0;

    curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &os_error);
    if (result == CURLE_PROXY)
        call_fail(c, TRANSFER_UNREACHABLE, "proxy %s refused to connect", peer);
    else if (os_error == ECONNREFUSED)
        call_fail(c, TRANSFER_UNREACHABLE, "connection refused by %s", peer);
    else
        call_fail(c, TRANSFER_UNREACHABLE, "cannot connect to %s: %s", peer,
                  os_error ? strerror((int)os_error) : curl_easy_strerror(result));
}

static void fail_broken(struct call *c, CURLcode result)
{
    const char *when = c->public.head_done ? "" : " before an answer";
    const char *text = "malformed response";

    switch (result) {
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
        call_fail(c, TRANSFER_BROKEN, "connection cut%s", when);
        return;
    case CURLE_RECV_ERROR:
        // Curl gives bad chunks and broken connections the same code.
        if (!strstr(c->error_text, "chunk") && !strstr(c->error_text, "hexadecimal")) {
            call_fail(c, TRANSFER_BROKEN, "connection cut%s", when);
            return;
        }
        text = "bad chunked encoding";
        break;
    case CURLE_BAD_CONTENT_ENCODING:
        text = "bad compressed data";
        break;
    case CURLE_WRITE_ERROR:
        text = c->public.head_done ? "response could not be stored"
                                   : "response head is too large or malformed";
        break;
    case CURLE_OUT_OF_MEMORY:
        text = "out of memory";
        break;
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        text = "HTTP/2 stream error";
        break;
    default:
        break;
    }
    call_fail(c, TRANSFER_BROKEN, "%s", text);
}

void call_ended(struct call *c, CURLcode result)
{
    bool proxied = c->proxy && *c->proxy;
    const char *first = proxied ? c->proxy : c->url;
    long tunnel = 0, sent = 0;
    char peer[160], host[160];

    if (result == CURLE_OK) {
        // Curl 7.88 takes the end of the connection inside a head for a complete answer.
        if (c->public.head_done)
            call_finish(c, TRANSFER_OK);
        else
            fail_broken(c, CURLE_GOT_NOTHING);
        return;
    }
    describe_host(first, true, peer, sizeof(peer));
    describe_host(first, false, host, sizeof(host));
    curl_easy_getinfo(c->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
    curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &sent);
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        call_fail(c, TRANSFER_UNREACHABLE, "could not resolve %s %s", proxied ? "proxy" : "host",
                  host);
        return;
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
        fail_connect(c, result, peer);
        return;
    case CURLE_OPERATION_TIMEDOUT:
        call_fail(c, TRANSFER_TIMEOUT, "no connection to %s within %g s", peer,
                  c->connect_seconds);
        return;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CIPHER:
        describe_host(c->url, true, peer, sizeof(peer));
        call_fail(c, TRANSFER_UNREACHABLE, "TLS: %s%.120s (%s)",
                  result == CURLE_PEER_FAILED_VERIFICATION ? "certificate refused: " : "",
                  *c->error_text ? c->error_text : curl_easy_strerror(result), peer);
        return;
    case CURLE_URL_MALFORMAT:
        call_fail(c, TRANSFER_UNREACHABLE, "the URL is malformed");
        return;
    default:
        break;
    }
    if (tunnel >= 300 && !c->public.head_done)
        call_fail(c, TRANSFER_UNREACHABLE, "proxy %s refused the tunnel with status %ld", peer,
                  tunnel);
    else if (result == CURLE_UNSUPPORTED_PROTOCOL && !sent)
        call_fail(c, TRANSFER_UNREACHABLE, "the URL is neither http nor https");
    else
        fail_broken(c, result);
}
