// websocket.h - WebSocket frames (RFC 6455) as a server reads and writes them.
//
// Pull style: feed bytes as they come and get whole messages and control frames, one at a time.
// Strict: no extension is spoken, so reserved bits are refused, and so are unmasked frames, lengths
// not in their shortest form, control frames that are fragmented or above 125 bytes, text that is
// not UTF-8.  Knows no socket and no handshake.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define WEBSOCKET_CONTROL_MAX 125
#define WEBSOCKET_HEAD_MAX 10 // bytes of a frame's head that websocket_head() writes

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0, // never in an event
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10
};

// Status codes of close frames that are used here.
enum websocket_status {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_UNSUPPORTED = 1003,
    WEBSOCKET_NO_STATUS = 1005, // a close frame had none; never sent
    WEBSOCKET_ABNORMAL = 1006,  // there was no close frame; never sent
    WEBSOCKET_BAD_DATA = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_LARGE = 1009,
    WEBSOCKET_INTERNAL = 1011
};

struct websocket_event {
    enum websocket_opcode opcode;
    const char *data; // of a close frame its reason; valid until the next call on the decoder
    size_t len;
    int status; // of a close frame
};

enum websocket_result {
    WEBSOCKET_MORE,  // all bytes were used, nothing is complete
    WEBSOCKET_EVENT, // `event` is filled
    WEBSOCKET_FAILED // for good; `status` and `problem` tell why
};

struct websocket {
    unsigned char head[14]; // of the frame under way
    size_t head_len;
    uint64_t left;   // payload bytes of that frame still to come
    size_t masked;   // payload bytes of that frame seen
    bool in_payload; // its head is complete
    bool final;      // it ends its message
    enum websocket_opcode opcode;
    enum websocket_opcode message_opcode; // of the message under way; 0: none
    struct buf message;
    unsigned char control[WEBSOCKET_CONTROL_MAX];
    size_t control_len;
    bool taken;                   // `message` was handed out by the last call
    enum websocket_status status; // of the close frame to send after WEBSOCKET_FAILED
    const char *problem;          // static text
};

// `message_max`: largest message in bytes, however it is fragmented.
void websocket_init(struct websocket *w, size_t message_max);
void websocket_deinit(struct websocket *w);

// Takes bytes up to the end of an event at most.  `*used` gets how many; call again with the rest.
enum websocket_result websocket_take(struct websocket *w, const char *bytes, size_t n, size_t *used,
                                     struct websocket_event *event);

// Hands the message of the last event over (free()), so that it need not be copied: it stays where
// it is.  A NUL follows it.  NULL without memory (only of an empty one).
char *websocket_detach(struct websocket *w, size_t *len);

// Writes the head of an unmasked, unfragmented frame whose payload has `len` bytes; its length.
size_t websocket_head(char out[WEBSOCKET_HEAD_MAX], enum websocket_opcode opcode, size_t len);

// Appends a close frame; a reason that does not fit is cut between two characters.
bool websocket_put_close(struct buf *out, enum websocket_status status, const char *reason);
