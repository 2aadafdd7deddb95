// http_date.c - reads and writes dates without the C library's locale or time zone.

#include "codec/http_date.h"

#include <stdio.h>
#include <string.h>

#define RETRY_MAX INT32_MAX
#define YEAR_SECONDS 31556952 // the mean of the Gregorian calendar

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";

struct moment {
    int year, month, day, hour, minute, second; // month and day count from 1
};

// Days from 1970-01-01; years start in March here, so that a leap day is a year's last.
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int days_of_month(int year, int month)
{
    static const char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return lengths[month - 1] + (month == 2 && leap);
}

static bool to_seconds(const struct moment *m, int64_t *seconds)
{
    if (m->month < 1 || m->day < 1 || m->day > days_of_month(m->year, m->month))
        return false;
    if (m->hour > 23 || m->minute > 59 || m->second > 60) // 60: a leap second
        return false;
    *seconds = days_from_date(m->year, m->month, m->day) * 86400 + m->hour * 3600 +
               m->minute * 60 + m->second;
    return true;
}

// Three letters' place in a table of names, from 1; 0 when they are not there.
static int find_name(const char *table, const char *name)
{
    for (int i = 0; table[i * 3]; i++) {
        if (memcmp(table + i * 3, name, 3) == 0)
            return i + 1;
    }
    return 0;
}

// Matches text with a pattern: lower case letters collect digits, `N` is a month's name, `e` a
// digit or space of the day, all else is itself.
static bool match(const char *p, const char *pattern, struct moment *m)
{
    memset(m, 0, sizeof(*m));
    for (; *pattern; pattern++) {
        int *field = *pattern == 'y'                       ? &m->year
                     : *pattern == 'd' || *pattern == 'e' ? &m->day
                     : *pattern == 'h'                     ? &m->hour
                     : *pattern == 'm'                     ? &m->minute
                     : *pattern == 's'                     ? &m->second
                                                           : NULL;

        if (*pattern == 'N') {
            if (strnlen(p, 3) < 3 || (m->month = find_name(months, p)) == 0)
                return false;
            p += 3;
        } else if (field) {
            if (*p >= '0' && *p <= '9')
                *field = *field * 10 + (*p - '0');
            else if (*pattern != 'e' || *p != ' ')
                return false;
            p++;
        } else if (*p++ != *pattern) {
            return false;
        }
    }
    return *p == '\0';
}

static bool parse_short_year(const char *rest, int64_t now, int64_t *seconds)
{
    struct moment m;

    if (!match(rest, ", dd-N-yy hh:mm:ss GMT", &m))
        return false;
    int64_t this_year = 1970 + now / YEAR_SECONDS;
    m.year += (int)(this_year - this_year % 100);
    if (m.year > this_year + 50)
        m.year -= 100;
    else if (m.year <= this_year - 50)
        m.year += 100;
    return to_seconds(&m, seconds);
}

bool http_date_parse(const char *text, int64_t now, int64_t *seconds)
{
    struct moment m;

    if (strnlen(text, 3) < 3 || !find_name(days, text))
        return false;
    if (match(text + 3, ", dd N yyyy hh:mm:ss GMT", &m) ||
        match(text + 3, " N ed hh:mm:ss yyyy", &m))
        return to_seconds(&m, seconds);
    const char *comma = strchr(text, ',');
    return comma && strspn(text + 3, "adenrsuy") == (size_t)(comma - text - 3) &&
           parse_short_year(comma, now, seconds);
}

bool http_date_format(int64_t seconds, char out[HTTP_DATE_SIZE])
{
    if (seconds < -62135596800 || seconds > 253402300799) // years 1 to 9999
        return false;
    int64_t day = (seconds - (seconds < 0 ? 86399 : 0)) / 86400;
    int rest = (int)(seconds - day * 86400);
    int year = (int)(1970 + day * 400 / 146097), month = 12;

    while (days_from_date(year, 1, 1) > day)
        year--;
    while (year < 9999 && days_from_date(year + 1, 1, 1) <= day)
        year++;
    while (days_from_date(year, month, 1) > day)
        month--;
    int week_day = (int)(((day + 4) % 7 + 7) % 7);
    int n = snprintf(out, HTTP_DATE_SIZE, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
                     days + week_day * 3,
                     (unsigned)(day - days_from_date(year, month, 1) + 1) % 100,
                     months + (month - 1) * 3, (unsigned)year % 10000,
                     (unsigned)(rest / 3600) % 100, (unsigned)(rest / 60) % 60,
                     (unsigned)rest % 60);
    return n == HTTP_DATE_SIZE - 1;
}

int64_t retry_after(const char *text, int64_t now)
{
    int64_t value = 0;
    size_t digits = strspn(text, "0123456789");

    if (digits == 0) {
        if (!http_date_parse(text, now, &value))
            return -1;
        value = value > now ? value - now : 0;
        return value > RETRY_MAX ? RETRY_MAX : value;
    }
    if (text[digits] != '\0')
        return -1;
    for (size_t i = 0; i < digits && value <= RETRY_MAX; i++)
        value = value * 10 + (text[i] - '0');
    return value > RETRY_MAX ? RETRY_MAX : value;
}
