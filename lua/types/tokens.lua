---@meta tokens
-- How many tokens a text has, roughly (src/codec/tokens.h says how rough).

---@class TokensModule
local tokens = {}

--- @param text string
--- @param family? "o200k"|"cl100k"|"claude"|"gemini"|"qwen"  absent or unknown: o200k
--- @return integer
function tokens.count(text, family) end

return tokens
