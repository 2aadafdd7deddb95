#include "config/scalar.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool scalar_is_null(const char *text)
{
    return *text == '\0' || scalar_is_choice(text, "~|null|Null|NULL");
}

bool scalar_is_choice(const char *text, const char *choices)
{
    size_t len = strlen(text);

    for (;;) {
        size_t n = strcspn(choices, "|");

        if (n == len && memcmp(choices, text, n) == 0)
            return true;
        if (choices[n] == '\0')
            return false;
        choices += n + 1;
    }
}

bool scalar_bool(const char *text, bool lenient, bool *out)
{
    if (scalar_is_choice(text, "true|True|TRUE") ||
        (lenient && scalar_is_choice(text, "yes|Yes|YES|on|On|ON")))
        *out = true;
    else if (scalar_is_choice(text, "false|False|FALSE") ||
             (lenient && scalar_is_choice(text, "no|No|NO|off|Off|OFF")))
        *out = false;
    else
        return false;
    return true;
}

bool scalar_int(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    int base = 10;
    long long value;
    char *end;

    if (digits == text && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'o')) {
        base = digits[1] == 'x' ? 16 : 8;
        digits += 2;
        text = digits;
    }
    if (!(base == 16 ? isxdigit((unsigned char)*digits) : isdigit((unsigned char)*digits)))
        return false;
    errno = 0;
    value = strtoll(text, &end, base);
    if (errno != 0 || *end != '\0')
        return false;
    *out = value;
    return true;
}

bool scalar_number(const char *text, double *out)
{
    char *end;

    // strtod() also reads "inf", "nan" and hexadecimal, which here are words.
    if (strspn(text, "0123456789+-.eE") != strlen(text) || !strpbrk(text, "0123456789"))
        return false;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static double unit_seconds(const char *text, size_t *len)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"s", 1},
                 {"m", 60},    {"h", 3600},  {"d", 86400}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        *len = strlen(units[i].name);
        if (strncmp(text, units[i].name, *len) == 0)
            return units[i].seconds;
    }
    return 0;
}

bool scalar_duration(const char *text, double *seconds)
{
    const double limit = 10 * 366 * 86400.0;
    double sum = 0;

    if (isdigit((unsigned char)*text) && scalar_number(text, seconds))
        return *seconds <= limit;
    do {
        char number[24];
        size_t n = strspn(text, "0123456789.");
        double value, unit;

        if (n == 0 || n >= sizeof(number))
            return false;
        memcpy(number, text, n);
        number[n] = '\0';
        if (!scalar_number(number, &value))
            return false;
        text += n;
        unit = unit_seconds(text, &n);
        if (unit == 0)
            return false;
        sum += value * unit;
        text += n;
    } while (*text);
    *seconds = sum;
    return sum <= limit;
}

static bool is_ip(const char *text)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

bool scalar_is_host(const char *text)
{
    return *text == '\0' || strcmp(text, "localhost") == 0 || is_ip(text);
}

bool scalar_is_address(const char *text)
{
    const char *slash = strchr(text, '/');
    char host[64];
    size_t n;
    int64_t bits;

    if (!slash)
        return is_ip(text);
    n = (size_t)(slash - text);
    if (n >= sizeof(host) || !isdigit((unsigned char)slash[1]) || !scalar_int(slash + 1, &bits))
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    return is_ip(host) && bits <= (strchr(host, ':') ? 128 : 32);
}

static bool is_port(const char *text, size_t n)
{
    int port = 0;

    if (n == 0 || n > 5)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        port = port * 10 + (text[i] - '0');
    }
    return port >= 1 && port <= 65535;
}

// host, host:port, [v6] or [v6]:port.
static bool is_authority(const char *text, size_t n, bool port_needed)
{
    const char *colon;
    size_t host = n;

    if (n > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', n);
        char v6[64];

        if (!close || close - text < 2 || (size_t)(close - text) >= sizeof(v6))
            return false;
        host = (size_t)(close - text) + 1;
        memcpy(v6, text + 1, host - 2);
        v6[host - 2] = '\0';
        if (!is_ip(v6))
            return false;
    } else if ((colon = memchr(text, ':', n)) != NULL) {
        host = (size_t)(colon - text);
    }
    if (host == 0)
        return false;
    if (host == n)
        return !port_needed;
    return text[host] == ':' && is_port(text + host + 1, n - host - 1);
}

static bool is_url(const char *text, const char *schemes)
{
    const char *rest = strstr(text, "://");
    char scheme[16] = "";
    const char *at = NULL;
    size_t n;

    if (!rest || rest == text || (size_t)(rest - text) >= sizeof(scheme))
        return false;
    for (size_t i = 0; text + i < rest; i++)
        scheme[i] = (char)tolower((unsigned char)text[i]);
    if (!scalar_is_choice(scheme, schemes))
        return false;
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return false;
    }
    rest += 3;
    n = strcspn(rest, "/?#");
    for (size_t i = 0; i < n; i++) {
        if (rest[i] == '@')
            at = rest + i;
    }
    if (at) {
        n -= (size_t)(at + 1 - rest);
        rest = at + 1;
    }
    return is_authority(rest, n, false);
}

bool scalar_is_url(const char *text)
{
    return is_url(text, "http|https");
}

bool scalar_is_proxy(const char *text)
{
    if (strcasecmp(text, "direct") == 0 || strcasecmp(text, "none") == 0)
        return true;
    return is_url(text, "http|https|socks5|socks5h");
}

bool scalar_is_listen(const char *text)
{
    return is_authority(text, strlen(text), true);
}

// Two digits as a number from `low` to `high`.
static bool pair(const char *text, int low, int high)
{
    int value;

    if (!isdigit((unsigned char)text[0]) || !isdigit((unsigned char)text[1]))
        return false;
    value = (text[0] - '0') * 10 + text[1] - '0';
    return value >= low && value <= high;
}

static bool is_zone(const char *text)
{
    if (*text == 'Z' || *text == 'z')
        return text[1] == '\0';
    return (*text == '+' || *text == '-') && strlen(text) == 6 && text[3] == ':' &&
           pair(text + 1, 0, 23) && pair(text + 4, 0, 59);
}

bool scalar_is_time(const char *text)
{
    if (strlen(text) < 20 || !pair(text, 0, 99) || !pair(text + 2, 0, 99) || text[4] != '-' ||
        !pair(text + 5, 1, 12) || text[7] != '-' || !pair(text + 8, 1, 31) ||
        !strchr("Tt ", text[10]) || !pair(text + 11, 0, 23) || text[13] != ':' ||
        !pair(text + 14, 0, 59) || text[16] != ':' || !pair(text + 17, 0, 60))
        return false;
    text += 19;
    if (*text == '.') {
        size_t digits = strspn(text + 1, "0123456789");

        if (digits == 0)
            return false;
        text += 1 + digits;
    }
    return is_zone(text);
}
