#include "codec/content.h"

#include <brotli/decode.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

enum {
    LAYERS_MAX = 4,
    PIPE_MAX = 256 * 1024,       // bytes between two layers
    INPUT_MAX = 8 * 1024 * 1024, // pending input; the caller feeds what it reads
    // A layer may turn a few bytes into any number that the next one swallows without a trace.
    WORK_MAX = 4 * CONTENT_STEP,    // bytes that layers hand each other in one step
    BETWEEN_MAX = 256 * 1024 * 1024 // and in all
};

enum coding { GZIP, DEFLATE, BROTLI, ZSTD };

// One coding, with the input it has not used yet.
struct layer {
    enum coding coding;
    union {
        z_stream z;
        BrotliDecoderState *brotli;
        ZSTD_DStream *zstd;
    };
    bool started, ended;
    bool full; // the last run filled its room: there may be more without further input
    struct buf in;
};

struct content {
    struct layer layers[LAYERS_MAX]; // the first one sees the wire
    size_t count;
    size_t between; // bytes that one layer made for another so far
};

// --- construction ------------------------------------------------------------------------------

static bool coding_of(const char *name, size_t len, enum coding *out)
{
    static const struct {
        const char *name;
        enum coding coding;
    } known[] = {{"gzip", GZIP}, {"x-gzip", GZIP}, {"deflate", DEFLATE}, {"br", BROTLI},
                 {"zstd", ZSTD}};

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strlen(known[i].name) == len && strncasecmp(known[i].name, name, len) == 0) {
            *out = known[i].coding;
            return true;
        }
    }
    return false;
}

static bool is_separator(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

// Reads the last coding of the list `at`..`*end` and cuts it off.  False when the list is empty.
static bool last_coding(const char *at, const char **end, const char **name, size_t *len)
{
    const char *stop = *end, *comma;

    while (stop > at && is_separator(stop[-1]))
        stop--;
    if (stop == at)
        return false;
    comma = memrchr(at, ',', (size_t)(stop - at));
    *name = comma ? comma + 1 : at;
    while (*name < stop && (**name == ' ' || **name == '\t'))
        (*name)++;
    *len = (size_t)(stop - *name);
    *end = comma ? comma : at;
    return true;
}

bool content_new(const char *encoding, size_t len, struct content **out)
{
    const char *end = encoding + len, *name;
    struct content *c = calloc(1, sizeof(*c));
    size_t name_len;

    *out = NULL;
    if (!c)
        return false;
    while (last_coding(encoding, &end, &name, &name_len)) {
        struct layer *layer = &c->layers[c->count];

        if (name_len == 8 && strncasecmp(name, "identity", 8) == 0)
            continue;
        if (c->count == LAYERS_MAX || !coding_of(name, name_len, &layer->coding)) {
            content_free(c);
            return false;
        }
        buf_init(&layer->in, c->count == 0 ? INPUT_MAX : PIPE_MAX);
        c->count++;
    }
    if (c->count == 0)
        content_free(c);
    else
        *out = c;
    return true;
}

void content_free(struct content *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++) {
        struct layer *layer = &c->layers[i];

        buf_deinit(&layer->in);
        if (!layer->started)
            continue;
        if (layer->coding == BROTLI)
            BrotliDecoderDestroyInstance(layer->brotli);
        else if (layer->coding == ZSTD)
            ZSTD_freeDStream(layer->zstd);
        else
            inflateEnd(&layer->z);
    }
    free(c);
}

// deflate comes wrapped in zlib, as the standard says, or raw, as some send it.
static int deflate_window(const struct buf *in)
{
    unsigned head = (unsigned char)in->data[0] * 256u + (unsigned char)in->data[1];

    return (in->data[0] & 15) == 8 && head % 31 == 0 ? MAX_WBITS : -MAX_WBITS;
}

// Makes the decoder once its first bytes are there.  False without memory.
static bool start(struct layer *layer)
{
    switch (layer->coding) {
    case GZIP:
        layer->started = inflateInit2(&layer->z, MAX_WBITS + 16) == Z_OK;
        break;
    case DEFLATE:
        layer->started = inflateInit2(&layer->z, deflate_window(&layer->in)) == Z_OK;
        break;
    case BROTLI:
        layer->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
        layer->started = layer->brotli;
        break;
    case ZSTD:
        layer->zstd = ZSTD_createDStream();
        layer->started = layer->zstd;
        if (layer->started)
            ZSTD_DCtx_setParameter(layer->zstd, ZSTD_d_windowLogMax, 23); // 8 MiB, as RFC 9659 says
        break;
    }
    return layer->started;
}

// --- decoding ----------------------------------------------------------------------------------

// Runs a decoder once over `in` into `room` bytes at `to`; *used and *made say how far it came.
static bool run_zlib(struct layer *layer, char *to, size_t room, size_t *used, size_t *made)
{
    int result;

    layer->z.next_in = (unsigned char *)layer->in.data;
    layer->z.avail_in = (unsigned)layer->in.len;
    layer->z.next_out = (unsigned char *)to;
    layer->z.avail_out = (unsigned)room;
    result = inflate(&layer->z, Z_NO_FLUSH);
    *used = layer->in.len - layer->z.avail_in;
    *made = room - layer->z.avail_out;
    layer->ended = result == Z_STREAM_END;
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
}

static bool run_brotli(struct layer *layer, char *to, size_t room, size_t *used, size_t *made)
{
    const uint8_t *next_in = (const uint8_t *)layer->in.data;
    uint8_t *next_out = (uint8_t *)to;
    size_t in = layer->in.len, out = room;
    BrotliDecoderResult result =
        BrotliDecoderDecompressStream(layer->brotli, &in, &next_in, &out, &next_out, NULL);

    *used = layer->in.len - in;
    *made = room - out;
    layer->ended = result == BROTLI_DECODER_RESULT_SUCCESS;
    return result != BROTLI_DECODER_RESULT_ERROR;
}

static bool run_zstd(struct layer *layer, char *to, size_t room, size_t *used, size_t *made)
{
    ZSTD_inBuffer in = {layer->in.data, layer->in.len, 0};
    ZSTD_outBuffer out = {to, room, 0};
    size_t result = ZSTD_decompressStream(layer->zstd, &out, &in);

    *used = in.pos;
    *made = out.pos;
    layer->ended = result == 0;
    return !ZSTD_isError(result);
}

// gzip may have several members, zstd several frames, one after the other.
static bool begins_again(struct layer *layer)
{
    if (!layer->ended || layer->in.len == 0)
        return false;
    if (layer->coding == GZIP && layer->in.data[0] == 0x1f) {
        layer->ended = false;
        return inflateReset(&layer->z) == Z_OK;
    }
    if (layer->coding == ZSTD) {
        layer->ended = false;
        return true;
    }
    return false;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Makes at most `room` bytes at `to`.  False when the input is corrupt.
static bool run_layer(struct layer *layer, char *to, size_t room, size_t *made, bool *progress)
{
    size_t used = 0;
    bool ok;

    *made = 0;
    if (!layer->started && layer->in.len < (layer->coding == DEFLATE ? 2 : 1))
        return true;
    if (!layer->started && !start(layer))
        return false;
    if (layer->ended && layer->in.len > 0 && !begins_again(layer))
        return false; // trailing garbage
    // zstd takes repeated calls that change nothing for an error.
    if (layer->ended || room == 0 || (layer->in.len == 0 && !layer->full))
        return true;
    if (layer->coding == BROTLI)
        ok = run_brotli(layer, to, room, &used, made);
    else if (layer->coding == ZSTD)
        ok = run_zstd(layer, to, room, &used, made);
    else
        ok = run_zlib(layer, to, room, &used, made);
    buf_consume(&layer->in, used);
    layer->full = *made == room;
    *progress = *progress || used > 0 || *made > 0;
    return ok;
}

// Runs a layer whose output the next one reads.
static bool run_inner(struct content *c, size_t i, size_t *work, bool *progress, bool *too_large)
{
    struct buf *out = &c->layers[i + 1].in;
    size_t room = smaller(PIPE_MAX / 4, out->max - out->len), made;
    char *to = buf_reserve(out, room);

    if (!to || !run_layer(&c->layers[i], to, room, &made, progress))
        return false;
    buf_commit(out, made);
    *work += made;
    c->between += made;
    *too_large = *too_large || c->between > BETWEEN_MAX;
    return true;
}

// Runs the layer whose output the caller gets.  When `out` is full, one byte more tells whether the
// stream only has its end left or is too large.
static bool run_last(struct content *c, size_t room, struct buf *out, bool *progress,
                     bool *too_large)
{
    struct layer *layer = &c->layers[c->count - 1];
    char extra, *to;
    size_t made;

    if (out->len == out->max) {
        if (!run_layer(layer, &extra, 1, &made, progress))
            return false;
        *too_large = made > 0;
        return true;
    }
    room = smaller(room, out->max - out->len);
    to = buf_reserve(out, room);
    if (!to || !run_layer(layer, to, room, &made, progress))
        return false;
    buf_commit(out, made);
    return true;
}

enum content_result content_step(struct content *c, const char *bytes, size_t n, struct buf *out)
{
    size_t end = out->len + CONTENT_STEP, work = 0;
    bool progress = true, too_large = false;

    if (n > 0 && !buf_append(&c->layers[0].in, bytes, n))
        return CONTENT_FAILED;
    while (progress && out->len < end && work < WORK_MAX) {
        progress = false;
        if (!run_last(c, end - out->len, out, &progress, &too_large))
            return CONTENT_FAILED;
        for (size_t i = c->count - 1; i-- > 0;)
            if (!run_inner(c, i, &work, &progress, &too_large))
                return CONTENT_FAILED;
        if (too_large)
            return CONTENT_TOO_LARGE;
    }
    if (content_complete(c))
        return CONTENT_DONE;
    return progress ? CONTENT_MORE_OUTPUT : CONTENT_MORE_INPUT;
}

bool content_complete(const struct content *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (!c->layers[i].ended || c->layers[i].in.len > 0)
            return false;
    return true;
}
