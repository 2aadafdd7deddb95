---@meta json
-- JSON for payloads in transit: nothing is lost between text and tables and back.
--
-- Texts are strings or RawJson wherever a text is taken.  Expected failures are `nil, err`
-- (`false, err` for peek); err.offset counts bytes from 0.

---@class JsonError
---@field code "json"
---@field message string
---@field offset integer  byte in the text, from 0
---@field path string?    decode only: the value it stands in, such as `messages[3].content`
-- tostring(err): "expected a value at byte 27 (messages[1].content)"

--- One valid JSON value as text, written out byte for byte.  tostring() gives the text, `#` its
--- length, `==` compares bytes.
---@class RawJson: userdata

--- Compiled options of decode.  Compile once, at the top of a script.
---@class JsonShape: userdata

--- Which members to decode.  In the list part: names whose values are decoded whole.  In the named
--- part: `true` (decode whole), `"raw"` (keep raw), or the shape of the member's value.  Members not
--- named stay RawJson, scalars too.  `["*"]` stands for every name not listed.  Arrays hand the
--- shape on to their elements; a shape means nothing to scalars, so a member that is a string or
--- a list of objects needs no two forms.  A shape may contain itself.
---
---     local block = { "type", "text", input = "raw" }
---     block.content = block
---     local REQUEST = json.shape {
---       known = { "model", "stream", messages = { "role", content = block } },
---       raw = { "input_schema" },
---       strict = true,
---     }
---@alias JsonKnown table<string|integer, string|boolean|JsonKnown>

---@class JsonOptions
---@field known? JsonKnown        absent: everything is decoded
---@field raw? string[]|table<string, any>  names that stay RawJson wherever they occur; stronger than known
---@field order? boolean          objects remember the order of their members
---@field strict? boolean         text from a client: a name given twice and invalid UTF-8 are errors
---                               (else the last one wins, and U+FFFD stands for what is invalid)
---@field kept? string[]|table<string, any>  members of the top level that mostly come with the same
---                               bytes: their arrays and objects are decoded once, and the same bytes
---                               give the same table again, so do not change it.  Up to 8 values of 256
---                               bytes to 512 KiB are kept, 512 KiB of text in all; what is one too many
---                               takes the place of all of them.  Only for a compiled shape

---@class JsonModule
---@field null lightuserdata  the value of `null`; the same as cjson.null
local json = {}

--- Marks a table as an array (a new one without argument) and returns it.
---@generic T: table
---@param t? T
---@return T
function json.array(t) end

--- Marks a table as an object and returns it.  Only needed to undo json.array: an unmarked empty
--- table is written `{}`.
---@generic T: table
---@param t? T
---@return T
function json.object(t) end

--- True for a table that encode writes as an array: marked, or unmarked with elements.
---@param value any
---@return boolean
function json.is_array(value) end

--- Checks a text and keeps it, without the white space around it.  Up to 512 levels.
---@param text string|RawJson
---@return RawJson?
---@return JsonError? err
function json.raw(text) end

---@param value any
---@return boolean
function json.is_raw(value) end

--- The JSON type a value has when written; a RawJson has that of its text.  nil for what has none.
---@param value any
---@return "null"|"boolean"|"number"|"string"|"array"|"object"|nil
function json.type(value) end

---@param options JsonOptions
---@return JsonShape
function json.shape(options) end

--- Arrays come marked, objects as plain tables, `null` as json.null.  A number without fraction and
--- exponent that fits 64 bits is an integer, any other a float (`-0` too); one beyond the floats is
--- an error.  Up to 64 levels.  The top level may be any value: check json.type.  Options given as
--- a plain table are compiled at each call: for tests and rare paths.
---@param text string|RawJson
---@param options? JsonShape|JsonOptions
---@return any value
---@return JsonError? err
function json.decode(text, options) end

--- Compiled form of a text, for json.match.  Compile once, at the top of a script.
---@class JsonPattern: userdata

--- What a text has to be: an integer is a string, number, boolean or null that match gives out at
--- that place; `"any"` is any value, `"null"` null, `"=text"` that string; json.array of one form is
--- an array of one such element, any other table an object with no members but these (they may be
--- absent).
---@alias JsonForm integer|string|table<string, JsonForm>|JsonForm[]

--- For texts that come often and mostly in one form, such as deltas of a stream: no tables are made.
---
---     local DELTA = json.pattern { type = "=text", index = "any", text = 1 }
---     local fine, text = json.match(data, DELTA)
---@param form JsonForm
---@return JsonPattern
function json.pattern(form) end

--- True and the values (nil for null and for what is absent) when the text has the pattern's form.
--- False when it has another one, is not JSON, or holds something rare at a place (a number that is
--- no integer, invalid UTF-8): then json.decode says more.
---@param text string|RawJson
---@param pattern JsonPattern
---@return boolean fine
---@return any ...
function json.match(text, pattern) end

--- The same value gives the same bytes: members in byte order of their names (objects decoded with
--- `order`: in that order, then new ones sorted), no white space, RawJson as it is.  Only what must
--- be is escaped; invalid UTF-8 becomes U+FFFD.  Floats are as short as reads back the same, without
--- a fraction when they have none (`1.0` is `1`).  Raises for functions, NaN, infinity, arrays with
--- holes or other keys, and tables that are too deep (128) or contain themselves.
---@param value any
---@return string
function json.encode(value) end

--- The member names of an object in the order of encode.
---@param object table
---@return string[]
function json.keys(object) end

--- Reads top-level members of an object in one pass: `true` and a value for each name.  Scalars are
--- decoded, arrays and objects RawJson, `null` json.null, absent ones nil.  The whole text is
--- checked; `false, err` when it is not one JSON object.  The last of equal names counts.
---
---     local ok, model, stream = json.peek(body, "model", "stream")
---@param text string|RawJson
---@param ... string  up to 32 names
---@return boolean ok
---@return any ...
function json.peek(text, ...) end

--- peek for text from clients: invalid UTF-8 and a wanted name given twice are errors.
---@param text string|RawJson
---@param ... string
---@return boolean ok
---@return any ...
function json.peek_strict(text, ...) end

--- The value at a path, as peek gives it; nil when there is none.  What follows it is not checked.
---@param text string|RawJson
---@param path string|(string|integer)[]  a member name, or names and indexes from 1
---@return any value
function json.get(text, path) end

--- Replaces, inserts or (value nil) removes the value at a path; all other bytes stay.  A new member
--- comes last; an index one behind the last element appends.  A string value is a JSON string; for
--- JSON text use json.raw.  Removing what is not there changes nothing.  Fails when the text is not
--- JSON, the parent is missing, or a name of the path is given twice in its object.  Returns
--- a RawJson when given one.
---@generic T: string|RawJson
---@param text T
---@param path string|(string|integer)[]
---@param value any
---@return T?
---@return JsonError? err
function json.splice(text, path, value) end

--- Several edits in turn: `{ {path, value}, {path_to_remove} }`.
---@generic T: string|RawJson
---@param text T
---@param edits table[]
---@return T?
---@return JsonError? err
function json.splice_all(text, edits) end

return json
