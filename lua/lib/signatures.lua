--- Signatures of thinking: carriers across dialects, whose a bare value is, what may be replayed.
---
--- A signature is {family, kind, data}; data is opaque and never touched.  In a foreign dialect it
--- travels as a carrier: `sc1~<family>~<kind>~<base64url>`.

local crypto = require "crypto"
local ir = require "lib.ir"

local byte, find, match, sub = string.byte, string.find, string.match, string.sub

local M = {}

--- The carrier that carries nothing.
M.EMPTY = "sc1~n~n~"
--- What Gemini takes in place of a signature that is lost.
M.SENTINEL = "skip_thought_signature_validator"

local MAX = 16 * 1024 * 1024
-- Model names stand near the front of what Anthropic signs.
local LOOKED_AT = 64 * 1024

local sentinels = {
  [M.SENTINEL] = true,
  ["context_engineering_is_the_way_to_go"] = true,
  ["skip_thought_signature"] = true,
}

local family_letters = {
  anthropic = "a", openai = "o", google = "g", xai = "x", kimi = "k", none = "n", unknown = "u",
}
local kind_letters = {
  thinking = "t", redacted = "r", reasoning = "e", call = "f", text = "p", media = "m", none = "n",
}
local families, kinds = {}, {}
for name, letter in pairs(family_letters) do families[letter] = name end
for name, letter in pairs(kind_letters) do kinds[letter] = name end

-- Whose signatures a dialect shows bare.
local native = { anthropic = "anthropic", responses = "openai", gemini = "google" }

--- The carrier of a signature.
--- @param sig table?  nil gives the empty carrier
--- @return string
function M.wrap(sig)
  if not sig or sig.family == "none" then return M.EMPTY end
  return "sc1~" .. (family_letters[sig.family] or "u") .. "~" .. (kind_letters[sig.kind] or "t")
    .. "~" .. crypto.base64url_encode(sig.data)
end

local function read_carrier(text)
  if sub(text, 1, 4) ~= "sc1~" or #text > MAX then return nil end
  local family, kind = match(text, "^sc1~(%l)~(%l)~", 1)
  family, kind = families[family], kinds[kind]
  if not family or not kind then return nil end
  local data = crypto.base64_decode(sub(text, 9))
  if not data then return nil end
  return { family = family, kind = kind, data = data }
end

--- The signature in a carrier, also in one that is base64 once more (Gemini's clients).
--- @param text string
--- @return table? sig  nil when it is no carrier
function M.unwrap(text)
  if sub(text, 1, 4) == "sc1~" then return read_carrier(text) end
  -- "sc1~" in base64 begins so.
  if sub(text, 1, 5) ~= "c2Mxf" or #text > MAX then return nil end
  local inner = crypto.base64_decode(text)
  return inner and read_carrier(inner) or nil
end

-- True for one length-delimited protobuf record (field 2) that fills the bytes.
local function is_one_record(bytes)
  if byte(bytes, 1) ~= 0x12 then return false end
  local length, shift, at = 0, 0, 2
  while true do
    local b = byte(bytes, at)
    if not b or shift > 28 then return false end
    length = length | (b & 0x7f) << shift
    at, shift = at + 1, shift + 7
    if b < 0x80 then break end
  end
  return length > 0 and at - 1 + length == #bytes
end

--- Whose value this is.
--- @param text string
--- @return "anthropic"|"openai"|"google"|"xai"|"kimi"|"none"|"sentinel"|"unknown" family
--- @return table? sig  when it is a carrier
function M.classify(text)
  if text == "" then return "none" end
  local sig = M.unwrap(text)
  if sig then return sig.family, sig end
  if sentinels[text] then return "sentinel" end
  if sub(text, 1, 4) == "sc1~" then return "none" end
  if #text > MAX then return "unknown" end
  if sub(text, 1, 5) == "gAAAA" and not find(text, "[^%w_=%-]") then return "openai" end
  local once = crypto.base64_decode(text)
  if not once then return "unknown" end
  if sentinels[once] then return "sentinel" end
  if find(sub(once, 1, LOOKED_AT), "claude-", 1, true) then return "anthropic" end
  if is_one_record(once) then return "google" end
  local twice = crypto.base64_decode(once)
  if twice and find(sub(twice, 1, LOOKED_AT), "claude-", 1, true) then return "anthropic" end
  return "unknown"
end

--- The signature in a client's field; nil for an empty field.
--- @param text string?
--- @param kind string  what it is when it is bare
--- @return table? sig
function M.read(text, kind)
  if not text or text == "" then return nil end
  local family, sig = M.classify(text)
  if sig then return sig end
  if family == "sentinel" or family == "none" then
    return { family = "none", kind = kind, data = "" }
  end
  return { family = family, kind = kind, data = text }
end

--- What a client of the dialect is shown.
--- @param sig table?
--- @param dialect string
--- @return string
function M.show(sig, dialect)
  local base = ir.base(dialect)
  if sig and sig.family == native[base] then return sig.data end
  if base == "gemini" then return crypto.base64_encode(M.wrap(sig)) end
  return M.wrap(sig)
end

--- True when the target can take the signature back.
--- @param sig table?
--- @param caps Caps
--- @return boolean
function M.usable(sig, caps)
  return sig ~= nil and sig.family == caps.signature_family and sig.data ~= ""
end

--- Cleans a body that goes through unchanged otherwise: see lib.hygiene.
--- @param dialect string
--- @param body string
--- @param caps Caps?
--- @return string body
function M.hygiene(dialect, body, caps)
  return require("lib.hygiene").run(dialect, body, caps)
end

--- Takes all thinking out of a body that goes through: the retry after a refused signature.
--- @param dialect string
--- @param body string
--- @param caps Caps?
--- @return string body  the same string when there was none
function M.strip(dialect, body, caps)
  return require("lib.hygiene").strip(dialect, body, caps)
end

return M
