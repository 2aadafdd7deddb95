// test_lua_modules.c - the modules `crypto` and `sse`, as scripts see them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "script/state.h"

// What the snippets begin with: the modules, and helpers that say what they saw.
static const char prelude[] =
    "local crypto, sse = require 'crypto', require 'sse'\n"
    "local function same(got, wanted)\n"
    "  if got ~= wanted then\n"
    "    error(('got %s, expected %s'):format(tostring(got), tostring(wanted)), 2)\n"
    "  end\n"
    "end\n"
    "local function raises(fn, ...)\n"
    "  if pcall(fn, ...) then error('nothing was raised', 2) end\n"
    "end\n"
    "local function fails(code, value, err)\n"
    "  if value ~= nil or err.code ~= code then error('this should have failed', 2) end\n"
    "  assert(tostring(err) ~= '')\n"
    "end\n";

static int set_up(void **state)
{
    struct script_limits limits = {.memory = 64 * 1024 * 1024, .hard = 10};
    struct config_report report;
    struct config *config;
    struct credential_set *credentials;
    struct bundle *bundle;
    struct buf error;

    buf_init(&error, 10000);
    config_report_init(&report);
    config = config_parse("", "", 0, &report);
    config_report_deinit(&report);
    bundle = bundle_new(NULL, &error);
    if (!config || !bundle || !bundle_compile(bundle, &error))
        return -1;
    credentials = credentials_from_config(config);
    *state = state_new(bundle, config, credentials, &limits);
    credentials_unref(credentials);
    bundle_unref(bundle);
    config_unref(config);
    buf_deinit(&error);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    state_free(*state);
    return 0;
}

// Runs a snippet; its `...` is `argument`.  Its result stays on the stack.
static void run(void **state, const char *snippet, const char *argument)
{
    lua_State *L = ((struct script_state *)*state)->L;
    struct buf code;

    buf_init(&code, 100000);
    buf_printf(&code, "%s%s", prelude, snippet);
    lua_settop(L, 0);
    if (luaL_loadbufferx(L, code.data, code.len, "=snippet", "t") != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    buf_deinit(&code);
    lua_pushstring(L, argument);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
}

// --- crypto ------------------------------------------------------------------------------------

static void digests_match_published_vectors(void **state)
{
    run(state,
        "same(crypto.sha256_hex '',"
        "  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')\n"
        "same(crypto.sha256_hex 'abc',"
        "  'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')\n"
        "same(crypto.hex(crypto.sha256 'abc'), crypto.sha256_hex 'abc')\n"
        "same(crypto.hex(crypto.hmac_sha256('Jefe', 'what do ya want for nothing?')),"
        "  '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')\n"
        "same(crypto.hex(crypto.hmac_sha256(('\\xaa'):rep(131),"
        "  'Test Using Larger Than Block-Size Key - Hash Key First')),"
        "  '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54')\n"
        "same(crypto.hex(crypto.hmac_sha256('', '')),"
        "  'b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad')\n"
        "same(crypto.hex '\\0\\x7f\\xff', '007fff')\n"
        "same(crypto.hex '', '')\n",
        NULL);
}

static void base64_knows_both_alphabets(void **state)
{
    run(state,
        "same(crypto.base64_encode 'foob', 'Zm9vYg==')\n"
        "same(crypto.base64url_encode 'foob', 'Zm9vYg')\n"
        "same(crypto.base64_encode '\\xfb\\xff', '+/8=')\n"
        "same(crypto.base64url_encode '\\xfb\\xff', '-_8')\n"
        "same(crypto.base64_encode '', '')\n"
        "same(crypto.base64_decode '', '')\n"
        "same(crypto.base64_decode '-_8', '\\xfb\\xff')\n"
        "same(crypto.base64url_decode '+/8=', '\\xfb\\xff')\n"
        "fails('bad_base64', crypto.base64_decode 'what is this')\n"
        "local long = ('x'):rep(1000000)\n"
        "same(crypto.base64_decode(crypto.base64_encode(long)), long)\n",
        NULL);
}

static void random_bytes_and_uuids_differ_each_time(void **state)
{
    run(state,
        "same(#crypto.random(1), 1)\n"
        "same(#crypto.random(65536), 65536)\n"
        "assert(crypto.random(16) ~= crypto.random(16))\n"
        "raises(crypto.random, 0) raises(crypto.random, -1) raises(crypto.random, 65537)\n"
        "local hex = '%x'\n"
        "local form = '^' .. hex:rep(8) .. '%-' .. hex:rep(4) .. '%-4' .. hex:rep(3) .. '%-[89ab]'"
        "  .. hex:rep(3) .. '%-' .. hex:rep(12) .. '$'\n"
        "for _ = 1, 100 do assert(crypto.uuid():find(form)) end\n"
        "assert(crypto.uuid() ~= crypto.uuid())\n",
        NULL);
}

static void a_pkce_challenge_is_the_digest_of_its_verifier(void **state)
{
    run(state,
        "same(crypto.base64url_encode(crypto.sha256 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'),"
        "  'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM')\n" // RFC 7636 appendix B
        "for _, n in ipairs { 32, 33, 64, 96 } do\n"
        "  local verifier, challenge = crypto.pkce(n)\n"
        "  same(#verifier, (n * 4 + 2) // 3)\n"
        "  assert(verifier:find '^[%w_-]+$')\n"
        "  same(challenge, crypto.base64url_encode(crypto.sha256(verifier)))\n"
        "end\n"
        "same(#crypto.pkce(), 128)\n"
        "assert(crypto.pkce() ~= crypto.pkce())\n"
        "raises(crypto.pkce, 31) raises(crypto.pkce, 97)\n",
        NULL);
}

static void the_payload_of_a_token_is_read_without_its_signature(void **state)
{
    run(state,
        "local payload = '{\"email\":\"a@b.example\",\"exp\":1}'\n"
        "local token = 'e30.' .. crypto.base64url_encode(payload) .. '.c2ln'\n"
        "same(crypto.jwt_payload(token), payload)\n"
        "same(crypto.jwt_payload 'a..b', '')\n"
        "fails('bad_token', crypto.jwt_payload '')\n"
        "fails('bad_token', crypto.jwt_payload 'one.two')\n"
        "fails('bad_base64', crypto.jwt_payload 'a.???.b')\n",
        NULL);
}

static void passwords_are_checked_against_bcrypt(void **state)
{
    run(state,
        "local known = '$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe'\n"
        "assert(crypto.bcrypt_check('a', known))\n"
        "assert(crypto.bcrypt_check('a', (known:gsub('^%$2a', '$2y'))))\n"
        "assert(not crypto.bcrypt_check('b', known))\n"
        "assert(not crypto.bcrypt_check('', known))\n"
        "assert(not crypto.bcrypt_check('a\\0x', known))\n"
        "assert(not crypto.bcrypt_check('a', known .. 'x'))\n"
        "assert(not crypto.bcrypt_check('a', known:sub(1, -2)))\n"
        "local wrong = { '', '$2', '$2a$', 'a', '$1$abc$xyz', '$2a$99$' .. known:sub(8) }\n"
        "for _, hash in ipairs(wrong) do\n"
        "  assert(not crypto.bcrypt_check('a', hash), hash)\n"
        "end\n"
        "local made = crypto.bcrypt_hash('pass word', 4)\n"
        "assert(made:find '^%$2b%$04%$' and #made == 60)\n"
        "assert(crypto.bcrypt_check('pass word', made))\n"
        "assert(not crypto.bcrypt_check('pass', made))\n"
        "assert(made ~= crypto.bcrypt_hash('pass word', 4))\n"
        "assert(crypto.bcrypt_hash('x'):find '^%$2b%$10%$')\n" // the default
        "raises(crypto.bcrypt_hash, ('x'):rep(73), 4)\n"
        "raises(crypto.bcrypt_hash, 'a\\0b', 4)\n"
        "raises(crypto.bcrypt_hash, 'a', 3) raises(crypto.bcrypt_hash, 'a', 16)\n"
        "raises(crypto.bcrypt_check, 'a')\n",
        NULL);
}

static void comparison_is_by_bytes(void **state)
{
    run(state,
        "assert(crypto.equal('', '') and crypto.equal('a\\0b', 'a\\0b'))\n"
        "assert(not crypto.equal('a\\0b', 'a\\0c') and not crypto.equal('a', 'ab'))\n",
        NULL);
}

// The PEM form of a private key, encrypted when there is a password.
static char *pem_of(EVP_PKEY *key, const char *password)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *copy;
    long len;

    assert_true(PEM_write_bio_PrivateKey(bio, key, password ? EVP_aes_128_cbc() : NULL,
                                         (const unsigned char *)password,
                                         password ? (int)strlen(password) : 0, NULL, NULL));
    len = BIO_get_mem_data(bio, &data);
    copy = malloc((size_t)len + 1);
    assert_non_null(copy);
    memcpy(copy, data, (size_t)len);
    copy[len] = '\0';
    BIO_free(bio);
    return copy;
}

static void a_signature_verifies_with_the_public_key(void **state)
{
    lua_State *L = ((struct script_state *)*state)->L;
    EVP_PKEY *key = EVP_RSA_gen(2048);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    char *pem = pem_of(key, NULL);
    static const unsigned char text[] = "head.payload";
    const unsigned char *signature;
    size_t len;

    run(state, "return assert(crypto.rs256_sign(..., 'head.payload'))\n", pem);
    signature = (const unsigned char *)lua_tolstring(L, -1, &len);
    assert_int_equal(len, 256);
    assert_int_equal(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(md, signature, len, text, sizeof(text) - 1), 1);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    free(pem);
}

static void what_is_no_usable_rsa_key_cannot_sign(void **state)
{
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
    char *encrypted = pem_of(rsa, "password"), *other = pem_of(ec, NULL);
    static const char snippet[] = "fails('bad_key', crypto.rs256_sign(..., 'x'))\n";

    run(state, snippet, "");
    run(state, snippet, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    run(state, snippet, encrypted); // and nobody is asked for the password
    run(state, snippet, other);
    assert_int_equal(ERR_peek_error(), 0);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    free(encrypted);
    free(other);
}

// --- sse ---------------------------------------------------------------------------------------

static void a_script_decodes_a_stream(void **state)
{
    run(state,
        "local decoder = sse.decoder()\n"
        "same(decoder:next(), nil)\n"
        "assert(decoder:feed 'event: ping\\ndata: {}\\n\\ndata: a\\ndata: b\\n\\nda')\n"
        "local name, data = decoder:next()\n"
        "same(name, 'ping') same(data, '{}')\n"
        "name, data = decoder:next()\n"
        "same(name, '') same(data, 'a\\nb')\n"
        "same(decoder:next(), nil)\n"
        "assert(decoder:feed 'ta: end')\n"
        "same(decoder:next(), nil)\n"
        "decoder:finish()\n"
        "name, data = decoder:next()\n"
        "same(data, 'end')\n"
        "same(decoder:next(), nil)\n",
        NULL);
}

static void a_too_large_event_is_an_error_a_script_can_see(void **state)
{
    run(state,
        "local decoder = sse.decoder(20)\n"
        "assert(decoder:feed 'data: 1\\n\\ndata: 2\\n\\ndata: 3\\n\\n')\n"
        "local count = 0\n"
        "while decoder:next() do count = count + 1 end\n"
        "same(count, 3)\n"
        "fails('too_large', decoder:feed('data: ' .. ('x'):rep(20)))\n"
        "fails('too_large', decoder:feed '\\n\\n')\n"
        "same(decoder:next(), nil)\n"
        "raises(sse.decoder, -1)\n"
        "raises(decoder.feed, 'no decoder', 'x')\n"
        "for _ = 1, 1000 do sse.decoder():feed 'data: never finished' end\n",
        NULL);
}

static void an_encoded_event_decodes_to_itself(void **state)
{
    run(state,
        "same(sse.encode(nil, '{}'), 'data: {}\\n\\n')\n"
        "same(sse.encode('', ''), 'data: \\n\\n')\n"
        "same(sse.encode('ping', 'a\\nb'), 'event: ping\\ndata: a\\ndata: b\\n\\n')\n"
        "raises(sse.encode, 'a\\ndata: b', 'c') raises(sse.encode, 'a\\r', 'c')\n"
        "raises(sse.encode, 'a')\n"
        "for _, data in ipairs { '', ' ', 'a', '\\n', '\\n\\n', ': x', 'data: x', '\\0' } do\n"
        "  local decoder = sse.decoder()\n"
        "  decoder:feed(sse.encode('n', data))\n"
        "  local name, back = decoder:next()\n"
        "  same(name, 'n') same(back, data)\n"
        "end\n",
        NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_match_published_vectors),
        cmocka_unit_test(base64_knows_both_alphabets),
        cmocka_unit_test(random_bytes_and_uuids_differ_each_time),
        cmocka_unit_test(a_pkce_challenge_is_the_digest_of_its_verifier),
        cmocka_unit_test(the_payload_of_a_token_is_read_without_its_signature),
        cmocka_unit_test(passwords_are_checked_against_bcrypt),
        cmocka_unit_test(comparison_is_by_bytes),
        cmocka_unit_test(a_signature_verifies_with_the_public_key),
        cmocka_unit_test(what_is_no_usable_rsa_key_cannot_sign),
        cmocka_unit_test(a_script_decodes_a_stream),
        cmocka_unit_test(a_too_large_event_is_an_error_a_script_can_see),
        cmocka_unit_test(an_encoded_event_decodes_to_itself),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
