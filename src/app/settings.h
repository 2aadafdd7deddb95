// settings.h - what C takes from a configuration: limits, log destination, TLS context.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "net/server.h"

struct server_limits settings_limits(const struct config *config);

// The number of workers: the key, or the number of cores.
size_t settings_workers(const struct config *config);

// The directory below which `logs` and `data` are: WRITABLE_PATH, else that of the configuration.
void settings_base(const struct config *config, char *out, size_t size);

// Applies level and destination (spec http-api 8.1).  False when no directory can be written.
bool settings_log(const struct config *config, struct log *log);

// The listener's TLS context, NULL when tls.enable is off.  False with a message when it cannot be
// made.
bool settings_tls(const struct config *config, SSL_CTX **tls, struct buf *error);

// The summary that people know from the product's log (spec http-api 6.4).
// `files`: accounts of token files.
void settings_summary(const struct config *config, size_t files, char *line, size_t size);

// A number that changes when the file or the certificate files become others.
uint64_t settings_files(const struct config *config, const char *path);
