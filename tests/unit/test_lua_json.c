// Runs tests/lua/json_spec.lua in a plain Lua state with the module `json`.

#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "script/lua_json.h"

// The two helpers of our Lua tests; `failures` counts.
static const char helpers[] =
    "failures = 0\n"
    "local function equal(a, b)\n"
    "  if a == b then return math.type(a) == math.type(b) end\n"
    "  if type(a) ~= 'table' or type(b) ~= 'table' then return false end\n"
    "  for k, v in pairs(a) do if not equal(v, b[k]) then return false end end\n"
    "  for k in pairs(b) do if a[k] == nil then return false end end\n"
    "  return true\n"
    "end\n"
    "local function show(v)\n"
    "  if type(v) ~= 'table' then return (type(v) == 'string' and '%q' or '%s'):format(v) end\n"
    "  local out = {}\n"
    "  for k, w in pairs(v) do out[#out + 1] = tostring(k) .. '=' .. show(w) end\n"
    "  return '{' .. table.concat(out, ', ') .. '}'\n"
    "end\n"
    "function same(a, b)\n"
    "  if not equal(a, b) then error('got ' .. show(a) .. ', expected ' .. show(b), 2) end\n"
    "end\n"
    "function test(name, fn)\n"
    "  local ok, err = xpcall(fn, debug.traceback)\n"
    "  if not ok then failures = failures + 1; print('FAILED: ' .. name, err) end\n"
    "end\n";

static void the_lua_side_of_json_keeps_its_promises(void **state)
{
    lua_State *L = luaL_newstate();

    (void)state;
    assert_non_null(L);
    luaL_openlibs(L);
    luaL_requiref(L, "json", luaopen_json, 0);
    if (luaL_dostring(L, helpers) || luaL_dofile(L, FIXTURES "/../lua/json_spec.lua"))
        fail_msg("%s", lua_tostring(L, -1));
    lua_getglobal(L, "failures");
    assert_int_equal(lua_tointeger(L, -1), 0);
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_lua_side_of_json_keeps_its_promises)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
