#include "replies.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Deltas are all the same, so one event can be repeated and the final texts still add up.
#define WORD " token"

#define ENDLESS_BLOCK 65536
// The closing events of some dialects repeat the whole text; an endless one is not repeated.
#define CLOSING_WORDS_MAX 4096

#define STREAM_HEAD                                                                                \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"            \
    "Transfer-Encoding: chunked\r\n\r\n"

#define CHAT_CHUNK                                                                                 \
    "{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion.chunk\","     \
    "\"created\":1741570283,\"model\":\"bench-model\",\"service_tier\":\"default\","               \
    "\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":"

#define RESPONSE_OBJECT                                                                            \
    "{\"id\":\"resp_67ccd2bed1ec8190b14f964abc054267\",\"object\":\"response\","                   \
    "\"created_at\":1741570283,\"status\":\"%s\",\"model\":\"bench-model\",\"error\":null,"        \
    "\"incomplete_details\":null,\"parallel_tool_calls\":true,\"tools\":[],\"output\":[%s%s%s],"   \
    "\"usage\":%s}"
#define RESPONSE_ITEM_OPEN                                                                         \
    "{\"id\":\"msg_67ccd2bf17f0819081ff3bb2cf6508e6\",\"type\":\"message\","                       \
    "\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","      \
    "\"annotations\":[],\"text\":\""
#define RESPONSE_ITEM_CLOSE "\"}]}"
#define RESPONSE_USAGE                                                                             \
    "{\"input_tokens\":36,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":20,"    \
    "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":56}"
#define RESPONSE_PLACE                                                                             \
    "\"item_id\":\"msg_67ccd2bf17f0819081ff3bb2cf6508e6\",\"output_index\":0,\"content_index\":0"

// --- one event, framed as one HTTP chunk -----------------------------------------------------

// `name` may be NULL.  What goes wrong here shows in ferror() when the stream is closed.
__attribute__((format(printf, 4, 5))) static void
put_event(FILE *out, const char *name, const char *line_end, const char *format, ...)
{
    va_list args;
    char *json = NULL;
    char *event = NULL;
    int len;

    va_start(args, format);
    len = vasprintf(&json, format, args);
    va_end(args);
    if (len < 0)
        return;
    if (name)
        len = asprintf(&event, "event: %s%sdata: %s%s%s", name, line_end, json, line_end,
                       line_end);
    else
        len = asprintf(&event, "data: %s%s%s", json, line_end, line_end);
    free(json);
    if (len < 0)
        return;
    fprintf(out, "%x\r\n%s\r\n", (unsigned)len, event);
    free(event);
}

static char *repeated_words(size_t count)
{
    size_t word = strlen(WORD);
    char *text = malloc(count * word + 1);

    if (!text)
        return NULL;
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * word, WORD, word);
    text[count * word] = '\0';
    return text;
}

// --- what comes before, during and after the text of a stream --------------------------------

static void put_opening(FILE *out, enum dialect dialect)
{
    switch (dialect) {
    case DIALECT_CHAT:
        put_event(out, NULL, "\n",
                  CHAT_CHUNK "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\","
                             "\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}]}");
        break;
    case DIALECT_ANTHROPIC:
        put_event(out, "message_start", "\n",
                  "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_014p7gG3wDgGV9EUtLvnow3U\","
                  "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench-model\","
                  "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
                  "\"usage\":{\"input_tokens\":36,\"output_tokens\":1}}}");
        put_event(out, "content_block_start", "\n",
                  "{\"type\":\"content_block_start\",\"index\":0,"
                  "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
        break;
    case DIALECT_RESPONSES:
        put_event(out, "response.created", "\n",
                  "{\"type\":\"response.created\",\"sequence_number\":0,"
                  "\"response\":" RESPONSE_OBJECT "}",
                  "in_progress", "", "", "", "null");
        put_event(out, "response.output_item.added", "\n",
                  "{\"type\":\"response.output_item.added\",\"sequence_number\":1,"
                  "\"output_index\":0,\"item\":{\"id\":\"msg_67ccd2bf17f0819081ff3bb2cf6508e6\","
                  "\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\","
                  "\"content\":[]}}");
        put_event(out, "response.content_part.added", "\n",
                  "{\"type\":\"response.content_part.added\",\"sequence_number\":2," RESPONSE_PLACE
                  ",\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}}");
        break;
    default: // a Gemini stream begins with its text
        break;
    }
}

static void put_delta(FILE *out, enum dialect dialect, size_t number)
{
    switch (dialect) {
    case DIALECT_CHAT:
        put_event(out, NULL, "\n",
                  CHAT_CHUNK "[{\"index\":0,\"delta\":{\"content\":\"" WORD "\"},"
                             "\"logprobs\":null,\"finish_reason\":null}]}");
        break;
    case DIALECT_ANTHROPIC:
        put_event(out, "content_block_delta", "\n",
                  "{\"type\":\"content_block_delta\",\"index\":0,"
                  "\"delta\":{\"type\":\"text_delta\",\"text\":\"" WORD "\"}}");
        break;
    case DIALECT_RESPONSES:
        put_event(out, "response.output_text.delta", "\n",
                  "{\"type\":\"response.output_text.delta\",\"sequence_number\":%zu," RESPONSE_PLACE
                  ",\"delta\":\"" WORD "\"}",
                  number + 3);
        break;
    default:
        put_event(out, NULL, "\r\n",
                  "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" WORD "\"}],"
                  "\"role\":\"model\"},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":36,"
                  "\"totalTokenCount\":36},\"modelVersion\":\"bench-model\","
                  "\"responseId\":\"mNmXaLmjHaWsnsEPsf2lkAY\"}");
    }
}

static void put_closing_responses(FILE *out, size_t number, const char *text)
{
    put_event(out, "response.output_text.done", "\n",
              "{\"type\":\"response.output_text.done\",\"sequence_number\":%zu," RESPONSE_PLACE
              ",\"text\":\"%s\"}",
              number + 3, text);
    put_event(out, "response.content_part.done", "\n",
              "{\"type\":\"response.content_part.done\",\"sequence_number\":%zu," RESPONSE_PLACE
              ",\"part\":{\"type\":\"output_text\",\"text\":\"%s\",\"annotations\":[]}}",
              number + 4, text);
    put_event(out, "response.output_item.done", "\n",
              "{\"type\":\"response.output_item.done\",\"sequence_number\":%zu,"
              "\"output_index\":0,\"item\":" RESPONSE_ITEM_OPEN "%s" RESPONSE_ITEM_CLOSE "}",
              number + 5, text);
    put_event(out, "response.completed", "\n",
              "{\"type\":\"response.completed\",\"sequence_number\":%zu,"
              "\"response\":" RESPONSE_OBJECT "}",
              number + 6, "completed", RESPONSE_ITEM_OPEN, text, RESPONSE_ITEM_CLOSE,
              RESPONSE_USAGE);
}

static void put_closing(FILE *out, enum dialect dialect, size_t number, const char *text)
{
    switch (dialect) {
    case DIALECT_CHAT:
        put_event(out, NULL, "\n",
                  CHAT_CHUNK "[{\"index\":0,\"delta\":{},\"logprobs\":null,"
                             "\"finish_reason\":\"stop\"}]}");
        put_event(out, NULL, "\n",
                  CHAT_CHUNK "[],\"usage\":{\"prompt_tokens\":36,\"completion_tokens\":20,"
                             "\"total_tokens\":56,\"prompt_tokens_details\":{\"cached_tokens\":0},"
                             "\"completion_tokens_details\":{\"reasoning_tokens\":0}}}");
        put_event(out, NULL, "\n", "[DONE]");
        break;
    case DIALECT_ANTHROPIC:
        put_event(out, "content_block_stop", "\n", "{\"type\":\"content_block_stop\",\"index\":0}");
        put_event(out, "message_delta", "\n",
                  "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
                  "\"stop_sequence\":null},\"usage\":{\"output_tokens\":20}}");
        put_event(out, "message_stop", "\n", "{\"type\":\"message_stop\"}");
        break;
    case DIALECT_RESPONSES:
        put_closing_responses(out, number, text);
        break;
    default:
        put_event(out, NULL, "\r\n",
                  "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},"
                  "\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{"
                  "\"promptTokenCount\":36,\"candidatesTokenCount\":20,\"totalTokenCount\":56},"
                  "\"modelVersion\":\"bench-model\",\"responseId\":\"mNmXaLmjHaWsnsEPsf2lkAY\"}");
    }
    fputs("0\r\n\r\n", out);
}

static const char *json_document(enum dialect dialect)
{
    switch (dialect) {
    case DIALECT_CHAT:
        return "{\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion\","
               "\"created\":1741569952,\"model\":\"bench-model\",\"choices\":[{\"index\":0,"
               "\"message\":{\"role\":\"assistant\",\"content\":\"Hello! How can I help you with "
               "the build today?\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
               "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":36,"
               "\"completion_tokens\":11,\"total_tokens\":47,\"prompt_tokens_details\":"
               "{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":"
               "{\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
               "\"rejected_prediction_tokens\":0}},\"service_tier\":\"default\"}";
    case DIALECT_ANTHROPIC:
        return "{\"id\":\"msg_013Zva2CMHLNnXjNJJKqJ2EF\",\"type\":\"message\","
               "\"role\":\"assistant\",\"model\":\"bench-model\",\"content\":[{\"type\":\"text\","
               "\"text\":\"Hello! How can I help you with the build today?\"}],"
               "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
               "\"usage\":{\"input_tokens\":36,\"output_tokens\":11}}";
    case DIALECT_RESPONSES:
        return "{\"id\":\"resp_67ccd2bed1ec8190b14f964abc054267\",\"object\":\"response\","
               "\"created_at\":1741476542,\"status\":\"completed\",\"error\":null,"
               "\"incomplete_details\":null,\"model\":\"bench-model\",\"tools\":[],"
               "\"parallel_tool_calls\":true,\"output\":[" RESPONSE_ITEM_OPEN
               "Hello! How can I help you with the build today?" RESPONSE_ITEM_CLOSE
               "],\"usage\":" RESPONSE_USAGE ",\"truncation\":\"disabled\",\"user\":null}";
    default:
        return "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hello! How can I help you "
               "with the build today?\"}],\"role\":\"model\"},\"finishReason\":\"STOP\","
               "\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":36,"
               "\"candidatesTokenCount\":11,\"totalTokenCount\":47},"
               "\"modelVersion\":\"bench-model\",\"responseId\":\"mNmXaLmjHaWsnsEPsf2lkAY\"}";
    }
}

// --- putting them together -------------------------------------------------------------------

// Which part of a stream text_of() writes.
struct part {
    bool head;
    bool opening;
    size_t deltas;
    size_t delta_from; // number of the first delta, for dialects that count
    bool closing;
    const char *words; // the whole text, for dialects that repeat it at the end
};

static bool text_of(struct text *text, enum dialect dialect, struct part part)
{
    FILE *out = open_memstream(&text->data, &text->len);
    bool good;

    if (!out)
        return false;
    if (part.head)
        fputs(STREAM_HEAD, out);
    if (part.opening)
        put_opening(out, dialect);
    for (size_t i = 0; i < part.deltas; i++)
        put_delta(out, dialect, part.delta_from + i);
    if (part.closing)
        put_closing(out, dialect, part.delta_from + part.deltas, part.words);
    good = !ferror(out);
    return fclose(out) == 0 && good && text->data;
}

static bool build_json(struct reply *reply, enum dialect dialect)
{
    const char *json = json_document(dialect);
    int len = asprintf(&reply->first.data,
                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       strlen(json), json);

    if (len < 0) {
        reply->first.data = NULL;
        return false;
    }
    reply->first.len = (size_t)len;
    return true;
}

// A stream whose `body` is `block` deltas, sent `repeat` times.
static bool build_repeated(struct reply *reply, enum dialect dialect, size_t block, size_t repeat)
{
    size_t deltas = block * repeat;
    char *words = repeated_words(deltas < CLOSING_WORDS_MAX ? deltas : CLOSING_WORDS_MAX);
    bool good = words != NULL;

    reply->repeat = repeat;
    good = good && text_of(&reply->first, dialect, (struct part){.head = true, .opening = true});
    good = good && text_of(&reply->body, dialect, (struct part){.deltas = block});
    good = good && text_of(&reply->last, dialect,
                           (struct part){.delta_from = deltas, .closing = true, .words = words});
    free(words);
    return good;
}

static bool build_burst(struct reply *reply, enum dialect dialect, size_t events)
{
    char *words = repeated_words(events);
    bool good = words && text_of(&reply->first, dialect,
                                 (struct part){.head = true,
                                               .opening = true,
                                               .deltas = events,
                                               .closing = true,
                                               .words = words});

    free(words);
    return good;
}

static bool build_endless(struct reply *reply, enum dialect dialect, size_t bytes)
{
    size_t block_events = ENDLESS_BLOCK / 256;

    if (!build_repeated(reply, dialect, block_events, 1))
        return false;
    reply->repeat = bytes / reply->body.len + 1;
    return true;
}

static bool build_dialect(struct reply *modes, enum dialect dialect, const struct reply_options *o)
{
    modes[MODE_PACED].paced = true;
    modes[MODE_IDLE].hang = true;
    return build_json(&modes[MODE_JSON], dialect) &&
           build_burst(&modes[MODE_BURST], dialect, o->events) &&
           build_burst(&modes[MODE_BRIEF], dialect, 1) &&
           build_repeated(&modes[MODE_SPLIT], dialect, 1, o->events) &&
           build_repeated(&modes[MODE_PACED], dialect, 1, o->paced_events) &&
           build_endless(&modes[MODE_ENDLESS], dialect, o->endless_bytes) &&
           text_of(&modes[MODE_IDLE].first, dialect,
                   (struct part){.head = true, .opening = true, .deltas = 1});
}

bool replies_init(struct replies *r, const struct reply_options *options)
{
    memset(r, 0, sizeof(*r));
    for (int dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        if (!build_dialect(r->table[dialect], (enum dialect)dialect, options))
            return false;
    }
    return true;
}

void replies_deinit(struct replies *r)
{
    for (int dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        for (int mode = 0; mode < MODE_COUNT; mode++) {
            free(r->table[dialect][mode].first.data);
            free(r->table[dialect][mode].body.data);
            free(r->table[dialect][mode].last.data);
        }
    }
    memset(r, 0, sizeof(*r));
}
