// scalar.h - what the text of a scalar means, and whether it has the form a key asks for; inside
// src/config only.  Pure functions over NUL-terminated text.

#pragma once

#include <stdbool.h>
#include <stdint.h>

bool scalar_is_null(const char *text);

// true/false.  `lenient` adds yes/no and on/off, which YAML 1.1 files use.
bool scalar_bool(const char *text, bool lenient, bool *out);

// Decimal, 0x and 0o.  False also when it does not fit.
bool scalar_int(const char *text, int64_t *out);

// Finite decimal numbers.
bool scalar_number(const char *text, double *out);

// Seconds of "1h30m", "250ms", "2d" or a bare number; at most ten years.
bool scalar_duration(const char *text, double *seconds);

// True when text is one of "a|b|c".
bool scalar_is_choice(const char *text, const char *choices);

bool scalar_is_host(const char *text);    // IP address, localhost or ""
bool scalar_is_url(const char *text);     // http(s)://host…
bool scalar_is_proxy(const char *text);   // http, https, socks5, socks5h, or direct, none
bool scalar_is_address(const char *text); // IP address, or CIDR block
bool scalar_is_listen(const char *text);  // host:port
bool scalar_is_time(const char *text);    // RFC 3339
