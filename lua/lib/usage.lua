--- Token counts between the dialects.  In the neutral form `input` includes the cache and tool
--- prompt tokens, `output` includes reasoning.
---
--- decode gives only what the report tells, so that ir.merge_usage can add up reports of a stream.

local ir = require "lib.ir"

local math_type, max, tointeger, type = math.type, math.max, math.tointeger, type

local M = {}

local function count(object, name)
  local value = object[name]
  if value == nil or not math_type(value) then return nil end
  value = tointeger(value)
  return value and (value < 0 and 0 or value) or nil
end

local NONE = {}

local function details(object, name)
  local value = object[name]
  return value ~= nil and type(value) == "table" and value or NONE
end

local decode, encode = {}, {}

function decode.chat(native)
  local input = details(native, "prompt_tokens_details")
  local output = details(native, "completion_tokens_details")
  return {
    input = count(native, "prompt_tokens"),
    output = count(native, "completion_tokens"),
    cache_read = count(input, "cached_tokens") or count(native, "cached_tokens")
      or count(native, "prompt_cache_hit_tokens"),
    cache_write = count(input, "cache_write_tokens") or count(input, "cached_creation_tokens")
      or count(native, "cached_creation_tokens"),
    reasoning = count(output, "reasoning_tokens") or count(native, "reasoning_tokens"),
    audio_in = count(input, "audio_tokens"),
    audio_out = count(output, "audio_tokens"),
  }
end

function decode.responses(native)
  local input = details(native, "input_tokens_details")
  local output = details(native, "output_tokens_details")
  return {
    input = count(native, "input_tokens"),
    output = count(native, "output_tokens"),
    cache_read = count(input, "cached_tokens"),
    cache_write = count(input, "cache_write_tokens"),
    reasoning = count(output, "reasoning_tokens"),
  }
end

-- Cached tokens are not in input_tokens here.  A later report may restate a part of the sum: the
-- rest is what was known before.
function decode.anthropic(native, before)
  before = before or NONE
  local fresh = count(native, "input_tokens")
  local read = count(native, "cache_read_input_tokens")
  local written = count(native, "cache_creation_input_tokens")
  local searches = details(native, "server_tool_use")
  local usage = {
    cache_read = read, cache_write = written,
    cache_write_1h = count(details(native, "cache_creation"), "ephemeral_1h_input_tokens"),
    output = count(native, "output_tokens"),
    reasoning = count(details(native, "output_tokens_details"), "thinking_tokens"),
    search_requests = count(searches, "web_search_requests"),
    fetch_requests = count(searches, "web_fetch_requests"),
  }
  if fresh or read or written then
    local old_read, old_written = before.cache_read or 0, before.cache_write or 0
    fresh = fresh or max(0, (before.input or 0) - old_read - old_written)
    usage.input = fresh + (read or old_read) + (written or old_written)
  end
  return usage
end

local snake = {
  promptTokenCount = "prompt_token_count", toolUsePromptTokenCount = "tool_use_prompt_token_count",
  cachedContentTokenCount = "cached_content_token_count",
  candidatesTokenCount = "candidates_token_count", thoughtsTokenCount = "thoughts_token_count",
}

local function gemini_count(native, name)
  return count(native, name) or count(native, snake[name])
end

function decode.gemini(native)
  local prompt = gemini_count(native, "promptTokenCount")
  local tool_prompt = gemini_count(native, "toolUsePromptTokenCount")
  local answer = gemini_count(native, "candidatesTokenCount")
  local thoughts = gemini_count(native, "thoughtsTokenCount")
  return {
    input = (prompt or tool_prompt) and (prompt or 0) + (tool_prompt or 0) or nil,
    tool_prompt = tool_prompt,
    cache_read = gemini_count(native, "cachedContentTokenCount"),
    output = (answer or thoughts) and (answer or 0) + (thoughts or 0) or nil,
    reasoning = thoughts,
  }
end

--- Reads a report.
--- @param dialect string
--- @param native any  decoded; what is no table gives nil
--- @param before table?  what the stream reported before (anthropic)
--- @return table? usage  with the reported fields only; nil when there is none
function M.decode(dialect, native, before)
  if type(native) ~= "table" then return nil end
  local usage = decode[ir.base(dialect)](native, before)
  if next(usage) == nil then return nil end
  return usage
end

function encode.chat(usage)
  local input, output = usage.input or 0, usage.output or 0
  return {
    prompt_tokens = input, completion_tokens = output, total_tokens = input + output,
    prompt_tokens_details = {
      cached_tokens = usage.cache_read or 0, cache_write_tokens = usage.cache_write or 0,
      audio_tokens = usage.audio_in,
    },
    completion_tokens_details = {
      reasoning_tokens = usage.reasoning or 0, audio_tokens = usage.audio_out,
    },
  }
end

function encode.responses(usage)
  local input, output = usage.input or 0, usage.output or 0
  return {
    input_tokens = input, output_tokens = output, total_tokens = input + output,
    input_tokens_details = {
      cached_tokens = usage.cache_read or 0, cache_write_tokens = usage.cache_write or 0,
    },
    output_tokens_details = { reasoning_tokens = usage.reasoning or 0 },
  }
end

function encode.anthropic(usage)
  local native = M.start(usage)
  native.output_tokens = usage.output or 0
  native.output_tokens_details = { thinking_tokens = usage.reasoning or 0 }
  local searches, fetches = usage.search_requests or 0, usage.fetch_requests or 0
  if searches > 0 or fetches > 0 then
    native.server_tool_use = {
      web_search_requests = searches, web_fetch_requests = fetches > 0 and fetches or nil,
    }
  end
  return native
end

function encode.gemini(usage)
  local input, output = usage.input or 0, usage.output or 0
  local thoughts, tool_prompt = usage.reasoning or 0, usage.tool_prompt or 0
  local cached = usage.cache_read or 0
  return {
    promptTokenCount = max(0, input - tool_prompt),
    toolUsePromptTokenCount = tool_prompt > 0 and tool_prompt or nil,
    cachedContentTokenCount = cached > 0 and cached or nil,
    candidatesTokenCount = max(0, output - thoughts),
    thoughtsTokenCount = thoughts > 0 and thoughts or nil,
    totalTokenCount = input + output,
  }
end

--- What Anthropic's message_start tells: the input as far as it is known, no output yet.
--- @param usage table?
--- @return table native
function M.start(usage)
  usage = usage or {}
  local read, written = usage.cache_read or 0, usage.cache_write or 0
  local native = {
    input_tokens = max(0, (usage.input or 0) - read - written),
    cache_creation_input_tokens = written, cache_read_input_tokens = read, output_tokens = 0,
  }
  local hour = usage.cache_write_1h
  if hour then
    native.cache_creation = {
      ephemeral_1h_input_tokens = hour, ephemeral_5m_input_tokens = max(0, written - hour),
    }
  end
  return native
end

--- Writes a report; what is not known counts 0.
--- @param dialect string
--- @param usage table
--- @return table native
function M.encode(dialect, usage)
  return encode[ir.base(dialect)](usage)
end

return M
