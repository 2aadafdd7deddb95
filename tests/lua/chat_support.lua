--- What the specs of the Chat dialect share: contexts, values compared as JSON, streams run through.

local caps = require "lib.caps"
local chat = require "translators.chat"
local json = require "json"
local normalise = require "lib.normalise"

local M = {}

--- Text or value in one form: members sorted, no white space.
function M.canonical(value)
  if type(value) ~= "string" then value = json.encode(value) end
  return json.encode(assert(json.decode(value)))
end

--- Two JSON texts or values are the same value.
function M.same_json(got, wanted)
  local a, b = M.canonical(got), M.canonical(wanted)
  if a ~= b then error("got  " .. a .. "\nnot  " .. b, 2) end
end

--- A context as lib.hub makes it.  `options.caps` are laid over those of an unknown model.
function M.context(options)
  options = options or {}
  local merged, unique = {}, 0
  for name, value in pairs(caps.of("some-model", options.provider or "openai_compatibility")) do
    merged[name] = value
  end
  for name, value in pairs(options.caps or {}) do merged[name] = value end
  local ctx
  ctx = {
    caps = merged, warnings = {}, request = options.request,
    client = { dialect = options.client or "chat" },
    upstream = { dialect = options.upstream or "chat" },
    model = options.model or "m", upstream_model = options.upstream_model,
    created = options.created or 1760000001,
    warn = function(code, path, detail)
      ctx.warnings[#ctx.warnings + 1] = { code = code, path = path, detail = detail }
    end,
    unique = function(prefix, length)
      unique = unique + 1
      return prefix .. ("x"):rep(length - #tostring(unique)) .. unique
    end,
  }
  return ctx
end

--- The codes of the warnings, in order.
function M.codes(ctx)
  local codes = {}
  for i, warning in ipairs(ctx.warnings) do codes[i] = warning.code end
  return codes
end

function M.decode(body, ctx)
  if type(body) ~= "string" then
    if type(body.messages) == "table" then json.array(body.messages) end
    body = json.encode(body)
  end
  return chat.decode_request(body, ctx or M.context())
end

--- A client's request as the upstream gets it, all passes included.
function M.through(body, options, translator)
  options = options or {}
  local ctx = M.context(options)
  local request = (translator or chat).decode_request(
    type(body) == "string" and body or json.encode(body), ctx)
  ctx.request = request
  local encoded = chat.encode_request(normalise.run(request, ctx), ctx)
  return encoded, ctx, request
end

--- The events of an upstream's stream, its frames given as JSON texts.
function M.events(frames, ctx)
  local decoder = chat.decode_stream(ctx or M.context())
  local events = {}
  for _, frame in ipairs(frames) do
    for _, event in ipairs(decoder.frame("", frame)) do events[#events + 1] = event end
  end
  for _, event in ipairs(decoder.eof()) do events[#events + 1] = event end
  return events
end

--- One line for each event, without what is the same everywhere.
function M.brief(events)
  local lines = {}
  for i, event in ipairs(events) do
    local line = event.type
    if event.choice then line = line .. "/" .. event.choice end
    if event.idx then line = line .. " " .. event.idx end
    if event.block then
      line = line .. " " .. event.block.type
      if event.block.name then line = line .. " " .. event.block.id .. " " .. event.block.name end
    end
    if event.text then line = line .. " " .. event.text end
    if event.final and event.final.complete == false then line = line .. " incomplete" end
    if event.final and event.final.args then line = line .. " = " .. event.final.args end
    if event.stop then line = line .. " " .. event.stop.reason end
    if event.error then line = line .. " " .. event.error.kind end
    lines[i] = line
  end
  return lines
end

--- The data of the frames a client gets for events.
function M.frames(events, ctx)
  local encoder = chat.encode_stream(ctx or M.context())
  local frames = {}
  local function add(list)
    for _, frame in ipairs(list) do
      same(frame.name, "")
      frames[#frames + 1] = frame.data
    end
  end
  for _, event in ipairs(events) do add(encoder.event(event)) end
  add(encoder.eof())
  return frames
end

--- The deltas of frames as JSON texts; the finish reason, usage and [DONE] as words.
function M.deltas(frames)
  local lines = {}
  for _, data in ipairs(frames) do
    if data == "[DONE]" then
      lines[#lines + 1] = data
    else
      local chunk = json.decode(data)
      local choice = chunk.choices and chunk.choices[1]
      if chunk.error then
        lines[#lines + 1] = "error " .. chunk.error.message
      elseif not choice then
        lines[#lines + 1] = "usage"
      elseif choice.finish_reason ~= json.null then
        lines[#lines + 1] = "finish " .. choice.finish_reason
      else
        local prefix = choice.index > 0 and choice.index .. " " or ""
        lines[#lines + 1] = prefix .. json.encode(choice.delta)
      end
    end
  end
  return lines
end

return M
