---@meta runtime
-- The small modules: store, credentials, keeper, config, file, timer, log, task, cjson.

--- The shared store: survives requests and generations, shared by all workers.  Values are
--- booleans, integers, floats and strings; times to live in seconds, nil for ever.
---@class StoreModule
local store = {}
---@param key string
---@return boolean|number|string|nil value
---@return number? ttl  seconds left, nil for ever
function store.get(key) end
---@param key string
---@param value boolean|number|string|nil  nil deletes
---@param ttl? number
function store.set(key, value, ttl) end
--- Adds to an integer counter and returns the new value; `ttl` counts from its creation.
---@param key string
---@param delta? integer  default 1
---@param ttl? number
---@return integer
function store.add(key, delta, ttl) end
--- Sets only when the key is absent; true when this call did it.
---@param key string
---@param value boolean|number|string
---@param ttl? number
---@return boolean
function store.claim(key, value, ttl) end
---@param prefix string
---@return string[] keys
function store.keys(prefix) end

--- One credential as scripts may see it: never its secret.
---@class Credential
---@field id string        stable id (spec http-api 5.1)
---@field provider string  script name, such as "openai_compatibility"
---@field name string      routing name: the entry's lower-cased name, else the provider's
---@field kind "api_key"|"oauth"|"session"|"none"
---@field label string     for logs: masked key or account
---@field base_url string?
---@field entry table      the config entry it came from, secrets left out; of a token file the
---  members about selection, in the configuration's spelling
---@field weight? integer  of this key of an entry with several, when it has its own
---@field facts? table     of a token file: what the provider's account script says about it
---@field file? string     of a token file: its name
---@field expires? number  Unix time at which the secret ends
---@field ahead? number    seconds before that at which a request refreshes it first
---@field refreshable? boolean
---@field problem? string  why it needs a new login

---@class CredentialsModule
local credentials = {}
--- All credentials: those of the configuration in order of id, then accounts of token files and
--- sessions.
---@return Credential[]
function credentials.list() end
--- Changes whenever list() would give something else.
---@return integer
function credentials.version() end
--- Tells one secret of a credential from the next: 12 hex digits; nil for an unknown id.
---@param id string
---@return string?
function credentials.stamp(id) end
--- A text without the secrets that are known here (keys, tokens, values of configured headers, proxy
--- passwords): `***` stands in their place.  For words of upstreams that people will read; error
--- bodies, headers, log lines and route traces have it done already.
---@param text string
---@return string
function credentials.redact(text) end

--- Calls to the scripts of the main thread, see lua/core/keeper.lua.
---@class KeeperModule
local keeper = {}
--- Sends a call and goes on.
---@param name string
---@param argument string  JSON, or ""
---@return KeeperCall
function keeper.start(name, argument) end
--- Sends a call and waits for its answer.
---@param name string
---@param argument string
---@param seconds? number  nil: as long as it takes
---@return string? answer  JSON
---@return string? problem
function keeper.ask(name, argument, seconds) end
--- Sends a call whose answer does not matter.
---@param name string
---@param argument string
function keeper.post(name, argument) end
--- In the keeper: answers the call that the running task serves; the first answer counts.
---@param answer string?
---@param problem string?
function keeper.reply(answer, problem) end

--- A call on its way; `<close>` it when the answer does not matter any more.
---@class KeeperCall
local KeeperCall = {}
--- The answer, nil and a message, or false when `seconds` passed first.
---@param seconds? number
---@return string|false|nil answer
---@return string? problem
function KeeperCall:wait(seconds) end
function KeeperCall:close() end

--- The configuration of this generation.
---@class ConfigModule
---@field values table   the whole tree with defaults; keys as in the file; secrets are left out
---@field path string    the file, "" when there is none
local config = {}
--- True when clients must present a key.
---@return boolean
function config.keys_required() end
--- Why all proxy routes are closed (unsafe public bind), or nil.
---@return string?
function config.closed() end
--- Compares with the program's `--password` in constant time: nil when there is none.  A right one
--- counts as a sign of life of the program that started the proxy.
---@param candidate string
---@return boolean?
function config.local_password(candidate) end
--- Compares with the key that commands on this machine read from a file; nil when there is none.
---@param candidate string
---@return boolean?
function config.local_key(candidate) end
--- Compares in constant time; the principal (a short hash, never the key) or nil.
---@param candidate string
---@return string? principal
function config.client_key(candidate) end

--- Files; the work is done in the thread pool.
---@class FileModule
local file = {}
---@param path string
---@param max? integer  default 8 MiB
---@return string? content
---@return {code: string, message: string}? error
function file.read(path, max) end
--- Replaces a file atomically (temp, fsync, rename), mode 0600.
---@param path string
---@param content string
---@return boolean? ok
---@return {code: string, message: string}? error
function file.write(path, content) end
--- The names of the regular files in a directory.
---@param directory string
---@return string[]? names
---@return {code: string, message: string}? error
function file.list(directory) end
---@param path string
---@return boolean? ok
---@return {code: string, message: string}? error
function file.remove(path) end
--- Locks a file (made when missing) against other holders, in this process and in others; it ends
--- when it is closed or collected.  `code` is "busy" while somebody else has it.
---@param path string
---@return FileLock? lock
---@return {code: string, message: string}? error
function file.try_lock(path) end

---@class FileLock
local FileLock = {}
function FileLock:close() end

---@class TimerModule
local timer = {}
---@param seconds number
function timer.sleep(seconds) end
---@return number seconds  monotonic
function timer.now() end
---@return number seconds  Unix time
function timer.wall() end

--- The application log; the request id and the place in the script are added.
---@class LogModule
local log = {}
---@param format string
---@param ... any  as for string.format
function log.debug(format, ...) end
function log.info(format, ...) end
function log.warn(format, ...) end
function log.error(format, ...) end
--- A secret for people's eyes.
---@param secret string
---@return string
function log.mask(secret) end

---@class TaskModule
---@field version string   program version
local task = {}
--- Id of the request that runs this, or nil outside of one.
---@return string?
function task.id() end
--- Names of the scripts directly in a folder, without `.lua`: task.scripts("providers").
---@param folder string
---@return string[]
function task.scripts(folder) end
--- What became of one of the newest 1,000 model calls: a JSON object with `id`, `time` (Unix),
--- `seconds`, `first_byte`, `status`, `method`, `path`, `dialect`, `model`, `provider` and
--- `credential` (of the last attempt) and `steps` (see core.trace).
---@param id string  as in the header X-Request-Id
---@return string? json
function task.trace(id) end
