// http_date.h - dates of HTTP (RFC 9110 5.6.7) and the Retry-After field.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HTTP_DATE_SIZE 30 // "Sun, 06 Nov 1994 08:49:37 GMT" and its end

// Reads IMF-fixdate, RFC 850 or asctime form into unix seconds.  The day's name is not compared
// with the date.  `now` decides the century of a two-digit year: at most 50 years ahead.
bool http_date_parse(const char *text, int64_t now, int64_t *seconds);

// Writes IMF-fixdate.  False when the year does not have four digits.
bool http_date_format(int64_t seconds, char out[HTTP_DATE_SIZE]);

// Seconds to wait that a Retry-After value (a number or a date) asks for, at least 0; -1 when it
// is neither.  A number that is too large is capped, not refused.
int64_t retry_after(const char *text, int64_t now);
