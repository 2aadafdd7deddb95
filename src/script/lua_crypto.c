// lua_crypto.c - the module `crypto`, see lua/types/crypto.lua.
//
// OpenSSL and libcrypt do the work; nothing here keeps state.  bcrypt_hash() and bcrypt_check()
// take some hundred milliseconds: they hold the loop, so call them where that is allowed.

#include <crypt.h>
#include <lauxlib.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "codec/base64.h"
#include "script/modules.h"
#include "script/state.h"

enum { RANDOM_MAX = 65536, PKCE_MAX = 96 };

static int push_hex(lua_State *L, const unsigned char *bytes, size_t n)
{
    luaL_Buffer out;

    luaL_buffinitsize(L, &out, 2 * n);
    for (size_t i = 0; i < n; i++) {
        luaL_addchar(&out, "0123456789abcdef"[bytes[i] >> 4]);
        luaL_addchar(&out, "0123456789abcdef"[bytes[i] & 15]);
    }
    luaL_pushresult(&out);
    return 1;
}

static void l_digest(lua_State *L, unsigned char digest[32])
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    if (!EVP_Digest(text, len, digest, NULL, EVP_sha256(), NULL))
        luaL_error(L, "SHA-256 is not available");
}

// crypto.sha256(s) -> bytes
static int l_sha256(lua_State *L)
{
    unsigned char digest[32];

    l_digest(L, digest);
    lua_pushlstring(L, (const char *)digest, sizeof(digest));
    return 1;
}

// crypto.sha256_hex(s) -> string
static int l_sha256_hex(lua_State *L)
{
    unsigned char digest[32];

    l_digest(L, digest);
    return push_hex(L, digest, sizeof(digest));
}

// crypto.hmac_sha256(key, s) -> bytes
static int l_hmac(lua_State *L)
{
    unsigned char digest[32];
    size_t key_len, len;
    const char *key = luaL_checklstring(L, 1, &key_len);
    const char *text = luaL_checklstring(L, 2, &len);

    if (!HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, len, digest, NULL))
        return luaL_error(L, "HMAC is not available");
    lua_pushlstring(L, (const char *)digest, sizeof(digest));
    return 1;
}

static void l_random_bytes(lua_State *L, unsigned char *to, size_t n)
{
    if (RAND_bytes(to, (int)n) != 1)
        luaL_error(L, "there is no randomness");
}

// crypto.random(n) -> bytes
static int l_random(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_Buffer out;
    char *to;

    luaL_argcheck(L, n > 0 && n <= RANDOM_MAX, 1, "out of range");
    to = luaL_buffinitsize(L, &out, (size_t)n);
    l_random_bytes(L, (unsigned char *)to, (size_t)n);
    luaL_pushresultsize(&out, (size_t)n);
    return 1;
}

// crypto.uuid() -> string
static int l_uuid(lua_State *L)
{
    unsigned char b[16];
    char text[37];

    l_random_bytes(L, b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(text, sizeof(text),
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    lua_pushstring(L, text);
    return 1;
}

// crypto.hex(s) -> string
static int l_hex(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    return push_hex(L, (const unsigned char *)text, len);
}

static int push_base64(lua_State *L, const void *bytes, size_t len, bool url)
{
    struct buf *out = &state_of(L)->scratch;

    buf_clear(out);
    if (!base64_encode(out, bytes, len, url))
        return luaL_error(L, "the text is too long");
    lua_pushlstring(L, out->len ? out->data : "", out->len);
    return 1;
}

// crypto.base64_encode(s), crypto.base64url_encode(s) -> string
static int l_base64_encode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    return push_base64(L, text, len, lua_toboolean(L, lua_upvalueindex(1)));
}

static int l_push_decoded(lua_State *L, const char *text, size_t len)
{
    struct buf *out = &state_of(L)->scratch;

    buf_clear(out);
    if (!base64_decode(out, text, len))
        return l_push_failure(L, "bad_base64", "this is not base64");
    lua_pushlstring(L, out->len ? out->data : "", out->len);
    return 1;
}

// crypto.base64_decode(s) -> bytes?, error?  both alphabets, padding optional
static int l_base64_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    return l_push_decoded(L, text, len);
}

// crypto.pkce(n?) -> verifier, challenge
static int l_pkce(lua_State *L)
{
    unsigned char bytes[PKCE_MAX], digest[32];
    lua_Integer n = luaL_optinteger(L, 1, PKCE_MAX);
    const char *verifier;
    size_t len;

    luaL_argcheck(L, n >= 32 && n <= PKCE_MAX, 1, "a verifier has 32 to 96 random bytes");
    l_random_bytes(L, bytes, (size_t)n);
    push_base64(L, bytes, (size_t)n, true);
    verifier = lua_tolstring(L, -1, &len);
    if (!EVP_Digest(verifier, len, digest, NULL, EVP_sha256(), NULL))
        return luaL_error(L, "SHA-256 is not available");
    push_base64(L, digest, sizeof(digest), true);
    return 2;
}

// crypto.jwt_payload(token) -> json?, error?
static int l_jwt_payload(lua_State *L)
{
    const char *token = luaL_checkstring(L, 1), *first = strchr(token, '.');
    const char *second = first ? strchr(first + 1, '.') : NULL;

    if (!second)
        return l_push_failure(L, "bad_token", "this is not a JSON Web Token");
    return l_push_decoded(L, first + 1, (size_t)(second - first - 1));
}

// crypto.bcrypt_hash(password, cost?) -> string
static int l_bcrypt_hash(lua_State *L)
{
    lua_Integer cost = luaL_optinteger(L, 2, 10);
    char salt[CRYPT_GENSALT_OUTPUT_SIZE], random[16];
    struct crypt_data *data;
    const char *hash;
    size_t len;
    const char *password = luaL_checklstring(L, 1, &len);

    luaL_argcheck(L, cost >= 4 && cost <= 15, 2, "out of range");
    luaL_argcheck(L, len <= 72, 1, "bcrypt takes at most 72 bytes");
    luaL_argcheck(L, strlen(password) == len, 1, "bcrypt takes no NUL byte");
    data = lua_newuserdatauv(L, sizeof(*data), 0);
    memset(data, 0, sizeof(*data));
    l_random_bytes(L, (unsigned char *)random, sizeof(random));
    if (!crypt_gensalt_rn("$2b$", (unsigned long)cost, random, sizeof(random), salt, sizeof(salt)))
        return luaL_error(L, "bcrypt is not available");
    hash = crypt_r(password, salt, data);
    if (!hash || *hash == '*')
        return luaL_error(L, "bcrypt failed");
    lua_pushstring(L, hash);
    explicit_bzero(data, sizeof(*data));
    return 1;
}

static bool is_bcrypt(const char *hash)
{
    return hash[0] == '$' && hash[1] == '2' && hash[2] && strchr("aby", hash[2]) && hash[3] == '$';
}

// crypto.bcrypt_check(password, hash) -> boolean
static int l_bcrypt_check(lua_State *L)
{
    size_t password_len, len;
    const char *password = luaL_checklstring(L, 1, &password_len);
    const char *wanted = luaL_checklstring(L, 2, &len);
    struct crypt_data *data = lua_newuserdatauv(L, sizeof(*data), 0);
    const char *hash = NULL;

    memset(data, 0, sizeof(*data));
    // A NUL would end the password early.
    if (strlen(password) == password_len && is_bcrypt(wanted))
        hash = crypt_r(password, wanted, data);
    lua_pushboolean(L, hash && *hash != '*' && strlen(hash) == len &&
                           CRYPTO_memcmp(hash, wanted, len) == 0);
    explicit_bzero(data, sizeof(*data));
    return 1;
}

// Without this OpenSSL would ask on the terminal.
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    (void)out, (void)size, (void)writing, (void)ctx;
    return -1;
}

// Signs with a PEM key.  The signature's length, 0 on failure.  Errors do not stay behind for the
// TLS code to find.
static size_t sign(const char *pem, size_t pem_len, const char *text, size_t len,
                   unsigned char *out, size_t size)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)pem_len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    if (!key || !md || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA ||
        EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(md, out, &size, (const unsigned char *)text, len) != 1)
        size = 0;
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return size;
}

// crypto.rs256_sign(pem, s) -> bytes?, error?
static int l_rs256_sign(lua_State *L)
{
    unsigned char signature[1024];
    size_t pem_len, len, n;
    const char *pem = luaL_checklstring(L, 1, &pem_len);
    const char *text = luaL_checklstring(L, 2, &len);

    n = sign(pem, pem_len, text, len, signature, sizeof(signature));
    if (n == 0)
        return l_push_failure(L, "bad_key", "the key cannot sign");
    lua_pushlstring(L, (const char *)signature, n);
    return 1;
}

// crypto.equal(a, b) -> boolean  in constant time for equal lengths
static int l_equal(lua_State *L)
{
    size_t a_len, b_len;
    const char *a = luaL_checklstring(L, 1, &a_len), *b = luaL_checklstring(L, 2, &b_len);

    lua_pushboolean(L, a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0);
    return 1;
}

int luaopen_crypto(lua_State *L)
{
    static const luaL_Reg functions[] = {{"sha256", l_sha256},
                                         {"sha256_hex", l_sha256_hex},
                                         {"hmac_sha256", l_hmac},
                                         {"random", l_random},
                                         {"uuid", l_uuid},
                                         {"hex", l_hex},
                                         {"base64_decode", l_base64_decode},
                                         {"base64url_decode", l_base64_decode},
                                         {"pkce", l_pkce},
                                         {"jwt_payload", l_jwt_payload},
                                         {"bcrypt_hash", l_bcrypt_hash},
                                         {"bcrypt_check", l_bcrypt_check},
                                         {"rs256_sign", l_rs256_sign},
                                         {"equal", l_equal},
                                         {0}};

    luaL_newlib(L, functions);
    lua_pushboolean(L, false);
    lua_pushcclosure(L, l_base64_encode, 1);
    lua_setfield(L, -2, "base64_encode");
    lua_pushboolean(L, true);
    lua_pushcclosure(L, l_base64_encode, 1);
    lua_setfield(L, -2, "base64url_encode");
    return 1;
}
