---@meta ir
-- The neutral form between dialects (docs/translation.md).  Field meanings are those of the
-- specification of translation; here stand the names that scripts use.

---@alias Dialect "chat"|"responses"|"anthropic"|"gemini"
---@alias Variant "completions"|"codex"|"gemini_cli"

--- What a translation knows besides the body.  Made by `lib.hub`, pure data and pure functions.
---@class TranslationContext
---@field caps Caps                  of the target model; every encoder decision reads it
---@field request IrRequest?         the decoded request, for responses
---@field names NameMap              tool names, both directions
---@field ids IdMap                  tool call ids, both directions
---@field warn fun(code: string, path: string, detail: string?)
---@field warnings {code: string, path: string, detail: string?}[]
---@field replay table?              replay store, nil when offline
---@field client {dialect: Dialect, variant: Variant?, agent: string?}
---@field upstream {dialect: Dialect, variant: Variant?, profile: string?}
---@field model string               the client's name of the model, echoed in answers
---@field upstream_model string      what the upstream is asked for
---@field created integer            Unix seconds, for answers that lack it (given, so that
---  translators need no clock)
---@field unique fun(prefix: string, length: integer): string  random id, answers only

--- One wire format, lua/translators/<dialect>.lua.  Pure: no I/O, no clock.  A body that is wrong
--- raises `lib.reject` errors ({class, message, param}), which the hub catches.
---@class Translator
---@field decode_request fun(body: string, ctx: TranslationContext): IrRequest
---@field encode_request fun(request: IrRequest, ctx: TranslationContext): string
---@field decode_response fun(body: string, ctx: TranslationContext): IrResponse
---@field encode_response fun(response: IrResponse, ctx: TranslationContext): string
---@field decode_stream fun(ctx: TranslationContext): StreamDecoder
---@field encode_stream fun(ctx: TranslationContext): StreamEncoder
---@field sequential boolean?        its encoder needs one open block at a time (the hub sequences)

--- State of one upstream stream, in closures.
---@class StreamDecoder
---@field frame fun(name: string, data: string): IrEvent[]  one upstream SSE event
---@field eof fun(): IrEvent[]       the upstream closed; ends with `end` or `error` events

--- State of one client stream, in closures.
---@class StreamEncoder
---@field event fun(event: IrEvent): Frame[]
---@field eof fun(): Frame[]

---@class Frame
---@field name string  SSE event name, "" for none
---@field data string  one JSON text, or "[DONE]"

-- Values of `type` in blocks: text thinking redacted_thinking image document audio video tool_call
-- tool_result server_call server_result search_result refusal compaction opaque.
-- Values of `type` in events: start block_start text_delta thinking_delta refusal_delta
-- thinking_part args_delta media_delta signature citation block_stop usage stop error keepalive end.
-- Raw JSON values are RawJson of module `json` (tool schemas, extras, metadata, opaque); tool call
-- `args` is a string of JSON text, as the specification says.

---@class IrRequest
---@field model string
---@field stream boolean
---@field stream_usage boolean?
---@field system IrBlock[]
---@field turns IrTurn[]
---@field tools IrTool[]
---@field tool_choice table?
---@field sampling table
---@field n integer
---@field max_output integer?
---@field max_tool_calls integer?
---@field stop string[]
---@field reasoning table?
---@field format table?
---@field output table
---@field logprobs table?
---@field cache table
---@field identity table
---@field service table
---@field safety any?
---@field extras table<string, table<string, any>>

---@class IrTurn
---@field role "user"|"assistant"|"instruction"
---@field blocks IrBlock[]
---@field name string?
---@field level "system"|"developer"|nil
---@field phase string?

---@class IrBlock
---@field type string
---@field sig table?
---@field cache table?
---@field item table?
---@field extras table?

---@class IrTool
---@field kind "function"|"custom"|"server"
---@field name string

---@class IrResponse
---@field id string
---@field model string
---@field created integer
---@field choices {index: integer, blocks: IrBlock[], stop: table}[]
---@field usage table
---@field extras table

---@class IrEvent
---@field type string
---@field choice integer?  0 when absent

-- lua/lib modules of the hub, each rule in one place:
--   lib.reject      reject.bad(path, message), reject.kind(kind, message, param): raise
--   lib.fields      typed readers for decoded bodies: fields.string(object, name, path), .integer,
--                   .number, .boolean, .list, .object, .enum; absent and null give nil; a wrong type
--                   raises reject.bad naming the path
--   lib.ir          constructors with all defaults: ir.request(), ir.turn(role), ir.text(text),
--                   ir.usage(), ir.response(); ir.merge_usage(into, from)
--   lib.stops       stop reasons: stops.decode(dialect, native), stops.encode(dialect, stop, ...)
--   lib.usage       usage.decode(dialect, table) -> IR usage, usage.encode(dialect, usage) -> table
--   lib.names       names.map(request, caps) -> NameMap {to_upstream(full), to_client(name)},
--                   names.full(name, namespace), names.safe(full, caps)
--   lib.ids         ids.safe(id, dialect), ids.missing(turn, block, name, args), ids.fresh(ctx),
--                   ids.map(request, ctx) -> IdMap {to_upstream(id), to_client(id)}
--   lib.schema      schema.clean(raw, profile) -> raw, coercions
--   lib.thinking    levels, budgets, suffixes: thinking.suffix(model, known), thinking.level(budget),
--                   thinking.budget(level), thinking.fit(reasoning, caps.thinking, ctx)
--   lib.media       data URLs, magic bytes, file names: media.parse(url), media.data_url(source),
--                   media.sniff(base64)
--   lib.signatures  carriers and classes: signatures.wrap(sig), signatures.unwrap(text),
--                   signatures.classify(text), signatures.hygiene(dialect, body)
--   lib.normalise   normalise.run(request, ctx): the passes N1 to N10
--   lib.sequencer   sequencer.new(): {push(event) -> events}
--   lib.fold        fold.fold(events) -> IrResponse, fold.unfold(response) -> events
--   lib.problems    upstream error bodies: problems.decode(dialect, status, body, headers) -> error,
--                   problems.encode(dialect, error) -> table
--   lib.caps        caps.of(model, provider, entry) -> Caps from lua/models
--   lib.hub         hub.context{...}, hub.request(body, ctx), hub.whole(body, ctx),
--                   hub.stream(ctx) -> {push(name, data) -> Frame[], finish() -> Frame[]}
