---@meta crypto

--- Hashes, random numbers, encodings and signatures.
local crypto = {}

---@param s string
---@return string bytes  32 bytes
function crypto.sha256(s) end
---@param s string
---@return string hex
function crypto.sha256_hex(s) end
---@param key string
---@param s string
---@return string bytes
function crypto.hmac_sha256(key, s) end
--- Cryptographically strong random bytes.
---@param n integer  1 to 65536
---@return string bytes
function crypto.random(n) end
--- A random UUID (version 4).
---@return string
function crypto.uuid() end
---@param s string
---@return string
function crypto.hex(s) end
---@param s string
---@return string
function crypto.base64_encode(s) end
--- The URL alphabet, without padding.
---@param s string
---@return string
function crypto.base64url_encode(s) end
--- Accepts both alphabets, with or without padding.
---@param s string
---@return string? bytes
---@return {code: string, message: string}? error  "bad_base64"
function crypto.base64_decode(s) end
crypto.base64url_decode = crypto.base64_decode
--- A PKCE verifier of `n` random bytes (32 to 96, default 96) and its S256 challenge (RFC 7636).
---@param n? integer
---@return string verifier
---@return string challenge
function crypto.pkce(n) end
--- The payload of a JSON Web Token, not verified.
---@param token string
---@return string? json
---@return {code: string, message: string}? error
function crypto.jwt_payload(token) end
--- bcrypt in `$2b$` form; raises above 72 bytes and for a NUL byte.  Takes some hundred milliseconds.
---@param password string
---@param cost? integer  default 10
---@return string
function crypto.bcrypt_hash(password, cost) end
---@param password string
---@param hash string  `$2a$`, `$2b$` or `$2y$`
---@return boolean
function crypto.bcrypt_check(password, hash) end
--- RSASSA-PKCS1-v1_5 with SHA-256.
---@param pem string  private key
---@param s string
---@return string? signature
---@return {code: string, message: string}? error
function crypto.rs256_sign(pem, s) end
--- Compares in constant time (for equal lengths).
---@param a string
---@param b string
---@return boolean
function crypto.equal(a, b) end

return crypto
