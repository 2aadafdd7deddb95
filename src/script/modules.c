#include "script/modules.h"

#include <lua-cjson.h>
#include <string.h>

static const struct {
    const char *name;
    lua_CFunction open;
} modules[] = {
    {"accounts", luaopen_accounts},
    {"browser", luaopen_browser},
    {"cjson", luaopen_cjson},
    {"config", luaopen_config},
    {"credentials", luaopen_credentials},
    {"crypto", luaopen_crypto},
    {"file", luaopen_file},
    {"http", luaopen_http},
    {"json", luaopen_json},
    {"keeper", luaopen_keeper},
    {"listener", luaopen_listener},
    {"log", luaopen_log},
    {"sse", luaopen_sse},
    {"store", luaopen_store},
    {"task", luaopen_task},
    {"terminal", luaopen_terminal},
    {"timer", luaopen_timer},
    {"tokens", luaopen_tokens},
    {"ws", luaopen_ws},
};

lua_CFunction modules_find(const char *name)
{
    for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++)
        if (strcmp(modules[i].name, name) == 0)
            return modules[i].open;
    return NULL;
}
