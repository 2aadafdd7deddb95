// scripts_command.h - `cli-proxy-api scripts list | eject FILE | check`.

#pragma once

#include "config/config.h"

// Each prints to stdout and returns an exit code.
int scripts_list(const struct config *config);
int scripts_eject(const struct config *config, const char *file);
int scripts_check(struct config *config);
