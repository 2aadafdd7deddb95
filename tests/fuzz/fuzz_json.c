// Feeds the JSON codec: the first byte chooses the flags, the rest is the text.
//
// Besides memory errors it looks for broken promises: what was accepted is accepted again after a
// splice, what was unquoted is the same after quoting and unquoting, and the two ways to take a
// string agree.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static void try_splice(const char *text, size_t len, const struct json_step *path, size_t steps,
                       const char *raw, bool valid)
{
    struct json_error error;
    struct buf out;

    buf_init(&out, 2 * len + 64);
    if (json_splice(&out, text, len, path, steps, raw, raw ? strlen(raw) : 0, &error)) {
        demand(valid);
        demand(json_check(out.data, out.len, 0, &error));
        if (raw && out.len)
            demand(json_find(out.data, out.len, path, steps).len == strlen(raw));
    }
    buf_deinit(&out);
}

static void try_string(const char *text, size_t len)
{
    struct buf once, quoted, twice;

    buf_init(&once, 4 * len + 64);
    buf_init(&quoted, 24 * len + 64);
    buf_init(&twice, 4 * len + 64);
    if (json_unquote(&once, text, len)) {
        demand(json_quote(&quoted, once.data, once.len));
        demand(json_check(quoted.data, quoted.len, JSON_STRICT_UTF8, NULL));
        demand(json_unquote(&twice, quoted.data, quoted.len));
        demand(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    }
    buf_deinit(&once);
    buf_deinit(&quoted);
    buf_deinit(&twice);
}

static void try_content(const char *text, size_t len, unsigned flags)
{
    struct json_scan one, two;
    struct json_content content;
    struct buf scratch, once;
    bool plain;

    if (len == 0 || text[0] != '"')
        return;
    buf_init(&scratch, 4 * len + 64);
    buf_init(&once, 4 * len + 64);
    json_scan_init(&one, text, len, flags);
    json_scan_init(&two, text, len, flags);
    if (json_scan_string(&one, &plain)) {
        demand(json_scan_content(&two, &scratch, &content));
        demand(json_unquote(&once, text, (size_t)(one.at - text)));
        demand(once.len == content.len && memcmp(once.data, content.at, once.len) == 0);
        demand(one.broken_utf8 == two.broken_utf8);
    } else {
        demand(!json_scan_content(&two, &scratch, &content));
    }
    demand(one.at == two.at && one.message == two.message);
    buf_deinit(&scratch);
    buf_deinit(&once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "b"};
    static const struct json_step a[] = {{"a", 1, 0}, {NULL, 0, 1}, {"b", 1, 0}};
    static const struct json_step second[] = {{NULL, 0, 1}, {"a", 1, 0}};
    struct json_error error;
    struct json_slice out[2];
    char *text;
    bool valid;

    if (size == 0)
        return 0;
    size--;
    text = malloc(size ? size : 1); // of exact size, so that a read too far is seen
    if (!text)
        return 0;
    memcpy(text, data + 1, size);
    valid = json_check(text, size, data[0] & JSON_STRICT_UTF8, &error);
    demand(valid || error.offset <= size);
    if (json_members(text, size, names, 2, out, data[0] & 3, &error))
        demand(json_check(text, size, data[0] & JSON_STRICT_UTF8, &error));
    valid = json_check(text, size, 0, &error);
    for (size_t steps = 0; steps <= 3; steps++) {
        try_splice(text, size, a, steps, "[7]", valid);
        try_splice(text, size, a, steps, NULL, valid);
    }
    try_splice(text, size, second, 1, NULL, valid);
    try_splice(text, size, second, 2, "{}", valid);
    try_string(text, size);
    try_content(text, size, data[0] & JSON_STRICT_UTF8);
    free(text);
    return 0;
}
