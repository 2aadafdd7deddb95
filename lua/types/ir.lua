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
---@field replay Replay?             replay store, nil when offline
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

-- Who does what.  The hub runs decode_request, normalise, encode_request, and back:
--   decode_request   gives the client's names, ids, namespaces, kinds as they came
--   encode_request   gets the normalised copy: tool names flat and legal, ids legal, custom tools
--                    already functions where the target has none, unsupported media and thinking
--                    gone, results right behind their calls, reasoning fitted to caps.thinking,
--                    max_output, sampling, stop, n within the caps; it maps nothing itself
--   decode_response, decode_stream
--                    give the upstream's names and ids (lib.ids.fresh for calls that lack one)
--   encode_response, encode_stream
--                    get the client's: the hub's filter lib.restore put back names, namespaces,
--                    kinds, ids, unwrapped emulated custom calls and coerced arguments in between
--   ctx.request      stays the client's request as decoded

-- lua/lib modules of the hub, each rule in one place:
--   lib.reject      reject.bad(path, message), reject.json(problem), reject.upstream(message),
--                   reject.kind(kind, message, param): raise; reject.is(value)
--   lib.fields      typed readers for decoded bodies: fields.string(object, name, path), .integer,
--                   .number, .boolean, .list, .object, .enum(..., known), .element(list, i, path);
--                   `path` is where the object stands; absent and null give nil; a wrong type raises
--                   reject.bad.  fields.soft.string(object, name) and so on: a wrong type gives
--                   nil, for upstream data; .filled is a string that is not ""
--   lib.ir          constructors with all defaults: ir.request(), ir.turn(role), ir.text(text),
--                   ir.usage(), ir.response(), ir.choice(index); ir.merge_usage(into, from);
--                   ir.base(dialect or variant)
--   lib.stops       stops.decode(dialect, native) -> stop, stops.effective(stop, completed calls),
--                   stops.encode(dialect, stop, {refusal, compaction}) -> native, detail
--   lib.usage       usage.decode(dialect, table, before) -> reported fields only, or nil;
--                   usage.encode(dialect, usage) -> table; usage.start(usage) for message_start
--   lib.names       names.map(request, caps) -> NameMap {to_upstream(full), to_client(name) -> name,
--                   namespace, kind}, names.full(name, namespace), names.safe(full, caps)
--   lib.ids         ids.safe(id, dialect), ids.missing(turn, block, name, args), ids.fresh(ctx),
--                   ids.map(request, ctx) -> IdMap {to_upstream(id), to_client(id)}
--   lib.schema      schema.clean(raw, profile) -> raw, coercions
--   lib.thinking    levels, budgets, suffixes: thinking.suffix(model, known), thinking.level(budget),
--                   thinking.budget(level), thinking.fit(reasoning, caps.thinking, ctx)
--   lib.media       data URLs, magic bytes, file names: media.parse(url) -> source or nil,
--                   media.source(url), media.file(file_data, filename), media.data_url(source),
--                   media.sniff(base64), media.type(name), media.type_of_name, media.filename,
--                   media.block_type(media_type), media.audio_format, media.audio_type
--   lib.signatures  carriers and classes: signatures.wrap(sig), signatures.unwrap(text),
--                   signatures.classify(text), signatures.read(text, kind) -> sig,
--                   signatures.show(sig, dialect) -> text, signatures.hygiene(dialect, body)
--   lib.warnings    warnings.new() -> warn, list; warnings.header(list)
--   lib.normalise   normalise.run(request, ctx): the passes N1 to N10
--   lib.restore     restore.new(ctx) -> {push(event) -> events}: see above
--   lib.sequencer   sequencer.new(): {push(event) -> events}
--   lib.fold        fold.fold(events) -> IrResponse, fold.unfold(response) -> events
--   lib.problems    upstream error bodies: problems.decode(dialect, status, body, headers) -> error,
--                   problems.encode(dialect, error) -> table
--   lib.caps        caps.of(model, provider, entry) -> Caps from lua/models
--   lib.hub         hub.context{...}, hub.request(body, ctx), hub.whole(body, ctx),
--                   hub.stream(ctx) -> {push(name, data) -> Frame[], finish() -> Frame[]}

--- Replay store as translation sees it: strings by name, "id:<id shown to the client>" and
--- "sig:<call id>".
---@class Replay
---@field get fun(key: string): string?
---@field set fun(key: string, value: string)

---@class NameMap
---@field to_upstream fun(full: string): string
---@field to_client fun(name: string): string, string?, string?

---@class IdMap
---@field to_upstream fun(id: string): string
---@field to_client fun(id: string): string

---@class Caps  fields as in the specification of translation, 0.4
---@field thinking {kind: string, min: integer?, max: integer?, levels: string[]?, zero_ok: boolean?,
---  dynamic_ok: boolean?, always_on: boolean?}
---@field tool_name {max: integer, charset: "openai"|"anthropic"|"gemini"}
