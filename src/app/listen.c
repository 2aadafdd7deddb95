#include "app/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/sample_keys.h"

static void add4(struct listen_plan *plan, in_addr_t address, int port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&plan->addresses[plan->count++];

    in->sin_family = AF_INET;
    in->sin_addr.s_addr = address;
    in->sin_port = htons((uint16_t)port);
}

static void add6(struct listen_plan *plan, const struct in6_addr *address, int port)
{
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&plan->addresses[plan->count++];

    in->sin6_family = AF_INET6;
    in->sin6_addr = *address;
    in->sin6_port = htons((uint16_t)port);
}

// True when this machine can bind the IPv6 address at all.
static bool has_ipv6(const struct in6_addr *address)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_addr = *address};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

static void add_both(struct listen_plan *plan, in_addr_t v4, const struct in6_addr *v6, int port)
{
    add4(plan, v4, port);
    if (has_ipv6(v6))
        add6(plan, v6, port);
}

bool listen_plan(const struct config *config, struct listen_plan *plan, struct buf *error)
{
    const char *host = config_string(config, "host");
    int port = (int)config_int(config, "port");
    struct in6_addr v6;
    struct in_addr v4;

    memset(plan, 0, sizeof(*plan));
    if (strcmp(host, "localhost") == 0) {
        plan->loopback = true;
        add_both(plan, htonl(INADDR_LOOPBACK), &in6addr_loopback, port);
    } else if (*host == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
        add_both(plan, htonl(INADDR_ANY), &in6addr_any, port);
    } else if (inet_pton(AF_INET, host, &v4) == 1) {
        plan->loopback = (ntohl(v4.s_addr) >> 24) == 127;
        add4(plan, v4.s_addr, port);
    } else if (inet_pton(AF_INET6, host, &v6) == 1) {
        plan->loopback = IN6_IS_ADDR_LOOPBACK(&v6);
        add6(plan, &v6, port);
    } else {
        buf_printf(error, "host: '%s' is not an address", host);
        return false;
    }
    return true;
}

int listen_probe(const struct sockaddr_storage *address)
{
    bool six = address->ss_family == AF_INET6;
    socklen_t len = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, result;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (six)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    result = bind(fd, (const struct sockaddr *)address, len) < 0 ? -errno : 0;
    close(fd);
    return result;
}

void listen_format(const struct sockaddr_storage *address, bool tls, struct buf *out)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    bool six = address->ss_family == AF_INET6;
    char text[INET6_ADDRSTRLEN] = "?";

    inet_ntop(address->ss_family, six ? (const void *)&v6->sin6_addr : &v4->sin_addr, text,
              sizeof(text));
    buf_printf(out, six ? "%s://[%s]:%d" : "%s://%s:%d", tls ? "https" : "http", text,
               ntohs(v4->sin_port));
}

static const struct config_node *keys_of(const struct config *config)
{
    return config_at(config, "api-keys");
}

bool listen_sample_keys(const struct config *config)
{
    const struct config_node *keys = keys_of(config);

    for (size_t i = 0; i < keys->count; i++)
        if (config_is_sample_key(keys->items[i]->text))
            return true;
    return false;
}

const char *listen_unsafe(const struct config *config, bool loopback)
{
    if (loopback)
        return NULL;
    if (keys_of(config)->count == 0)
        return "other machines can connect, but no api-keys are set";
    if (listen_sample_keys(config))
        return "other machines can connect, but api-keys holds a sample key that everybody knows";
    return NULL;
}

bool listen_has_management_key(const struct config *config)
{
    const char *password = getenv("MANAGEMENT_PASSWORD");

    if (password && strspn(password, " \t\r\n") < strlen(password))
        return true;
    return *config_string(config, "remote-management.secret-key") != '\0';
}
