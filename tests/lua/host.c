// host.c - runs tests/lua/run.lua.

#include "bare.h"

int main(int argc, char **argv)
{
    struct bare bare;

    (void)argc;
    return bare_open(&bare, luaL_newstate(), argv) ? bare_run(&bare, "tests/lua/run.lua") : 1;
}
