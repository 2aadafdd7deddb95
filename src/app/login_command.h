// login_command.h - the login flags: one login on the command line (spec providers 0).

#pragma once

#include "app/command_line.h"
#include "config/config.h"

// Runs the login of `line->login` to its end and prints what happens.  The exit code: 0, 1 for any
// failure, 13 when the callback port is busy.
int login_command(struct config *config, const struct command_line *line);
