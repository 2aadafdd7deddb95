--- `cli-proxy-api translate`: one body or stream from one dialect to another, without any network.

local crypto = require "crypto"
local hub = require "lib.hub"
local ir = require "lib.ir"
local json = require "json"
local sse = require "sse"
local streams = require "models.streams"

local concat = table.concat

local M = {}

-- What a decoder of events takes at once.
local PIECE = 512 * 1024

-- Whose models a dialect's upstream has, for what the target can do.
local PROVIDERS = {
  chat = "openai_compatibility", responses = "codex", codex = "codex", anthropic = "claude",
  gemini = "gemini", gemini_cli = "gemini",
}

local function unique(prefix, length)
  return prefix .. crypto.hex(crypto.random((length + 1) // 2)):sub(1, length)
end

local function model_of(text)
  local fine, model = json.peek(text, "model")
  return fine and type(model) == "string" and model ~= "" and model or nil
end

local function context(client, upstream, given)
  local model = given.model or model_of(given.text) or "model"
  return hub.context {
    client = client, upstream = upstream, provider = PROVIDERS[upstream],
    model = model, upstream_model = model, created = os.time(), unique = unique,
    stream = given.mode == "stream",
  }
end

local function frames_as_text(frames, dialect)
  local rules, parts = streams[ir.base(dialect)], {}
  for _, frame in ipairs(frames) do
    -- Part of the ending.
    if frame.data ~= "[DONE]" then
      local name = rules.names and frame.name ~= "" and "event: " .. frame.name .. "\n" or ""
      parts[#parts + 1] = name .. "data: " .. frame.data .. "\n\n"
    end
  end
  return concat(parts) .. rules.ending
end

local function stream(text, ctx, dialect)
  local decoder, translated, frames = sse.decoder(), hub.stream(ctx), {}
  local function add(more)
    for _, frame in ipairs(more) do frames[#frames + 1] = { name = frame.name, data = frame.data } end
  end
  local function take()
    for name, data in function() return decoder:next() end do
      if data ~= "" then add(translated.push(name, data)) end
    end
  end
  for at = 1, #text, PIECE do
    local fine, problem = decoder:feed(text:sub(at, at + PIECE - 1))
    if not fine then return nil, problem end
    take()
  end
  decoder:finish()
  take()
  add(translated.finish())
  local problem = translated.problem()
  if problem then return nil, problem end
  return frames_as_text(frames, dialect), translated.error()
end

local modes = {}

-- A request goes from the client to the upstream, an answer the other way.
function modes.request(given)
  local ctx = context(given.from, given.to, given)
  local body, problem = hub.request(given.text, ctx)
  return ctx, body, problem
end

function modes.response(given)
  local ctx = context(given.to, given.from, given)
  local body, problem = hub.whole(given.text, ctx)
  return ctx, body, problem
end

function modes.stream(given)
  local ctx = context(given.to, given.from, given)
  local body, problem = stream(given.text, ctx, given.to)
  return ctx, body, problem
end

local function notes_of(ctx, problem)
  local lines = {}
  for _, warning in ipairs(ctx.warnings) do
    local detail = warning.detail and ": " .. tostring(warning.detail) or ""
    lines[#lines + 1] = "warning: " .. warning.code .. " " .. warning.path .. detail .. "\n"
  end
  if problem then
    local param = problem.param and " (" .. tostring(problem.param) .. ")" or ""
    lines[#lines + 1] = "error: " .. tostring(problem.message) .. param .. "\n"
  end
  return concat(lines)
end

--- @param from string  dialect of the text
--- @param to string
--- @param mode "request"|"response"|"stream"
--- @param model string  "" for the one of the text
--- @param text string
--- @return string? result  nil when it cannot be translated
--- @return string notes  lines for the user
--- @return boolean fine  false as well for a stream that ends in an error
function M.run(from, to, mode, model, text)
  local ctx, result, problem = modes[mode] {
    from = from, to = to, mode = mode, model = model ~= "" and model or nil, text = text,
  }
  if result and mode ~= "stream" then result = result .. "\n" end
  return result, notes_of(ctx, problem), result ~= nil and problem == nil
end

return M
