// command_line.h - flags and sub-commands (spec http-api 7.1).

#pragma once

#include <stdbool.h>

#include "app/explain_command.h"
#include "app/translate_command.h"

enum command {
    COMMAND_SERVE,
    COMMAND_HELP,
    COMMAND_VERSION,
    COMMAND_CHECK_CONFIG,
    COMMAND_LOGIN,
    COMMAND_SCRIPTS_LIST,
    COMMAND_SCRIPTS_EJECT,
    COMMAND_SCRIPTS_CHECK,
    COMMAND_TRANSLATE,
    COMMAND_EXPLAIN
};

struct command_line {
    enum command command;
    const char *config;   // --config, NULL when absent
    const char *login;    // which login flag, for COMMAND_LOGIN
    const char *argument; // of the sub-command
    const char *password; // --password
    const char *project;  // --project_id
    bool no_browser;
    int callback_port;    // 0: the provider's
    struct translate_options translate; // for COMMAND_TRANSLATE
    struct explain_options explain;     // for COMMAND_EXPLAIN
};

// Parses; accepts `-flag` and `--flag`, `-flag value` and `-flag=value`.  0, or the exit code 2 with
// a message on stderr.
int command_line_parse(int argc, char **argv, struct command_line *out);

void command_line_usage(void);
