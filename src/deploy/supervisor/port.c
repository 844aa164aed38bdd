#include "deploy/supervisor/port.h"

#include "base/fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOWEST = 20000, HIGHEST = 32768, TRIES = 200, SPARE = 1000 };

/* The first port that the kernel gives to clients. */
static int first_of_clients(void)
{
    int low = HIGHEST;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

    if (!f)
        return low;
    /* NOLINTNEXTLINE(cert-err34-c): the kernel writes a number, and any other is out of range */
    if (fscanf(f, "%d", &low) != 1 || low < LOWEST + SPARE || low > HIGHEST)
        low = HIGHEST;
    fclose(f);
    return low;
}

static int bind_one(const struct addrinfo *a)
{
    const int on = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static bool is_free(int port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    const struct addrinfo both[] = {
        {.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&v4, .ai_addrlen = sizeof v4},
        {.ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&v6, .ai_addrlen = sizeof v6}};

    for (int i = 0; i < 2; i++) {
        int fd = bind_one(&both[i]);
        /* Two may be bound with SO_REUSEADDR as long as none listens. */
        bool taken = fd < 0 ? errno == EADDRINUSE : listen(fd, 1) != 0;
        if (fd >= 0)
            close(fd);
        if (taken)
            return false;
    }
    return true;
}

int port_choose(int wanted)
{
    uint32_t room = (uint32_t)(first_of_clients() - LOWEST);

    if (wanted && is_free(wanted))
        return wanted;
    for (int i = 0; i < TRIES; i++) {
        int port = LOWEST + (int)randombytes_uniform(room);
        if (is_free(port))
            return port;
    }
    return 0;
}

/* An address that the machine has not, as ::1 in many containers. */
static bool is_not_ours(int reason)
{
    return reason == EADDRNOTAVAIL || reason == EAFNOSUPPORT;
}

/* All addresses that are the machine's, or none. */
static int bind_found(const struct addrinfo *found, int max, int ret_fds[])
{
    int n = 0, reason = 0;

    for (const struct addrinfo *a = found; a && n < max && (!reason || is_not_ours(reason));
         a = a->ai_next) {
        int fd = bind_one(a);
        if (fd >= 0)
            ret_fds[n++] = fd;
        else
            reason = errno;
    }
    if (n && (!reason || is_not_ours(reason)))
        return n;
    while (n)
        close(ret_fds[--n]);
    errno = reason;
    return -1;
}

int port_bind(const char *address, int port, int max, int ret_fds[])
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    char service[16];

    snprintf(service, sizeof service, "%d", port);
    int why = getaddrinfo(address, service, &hints, &found);
    if (why)
        return fault_set(FAULT_IO, "%s is no address: %s", address, gai_strerror(why));
    int n = bind_found(found, max, ret_fds);
    int reason = errno;
    freeaddrinfo(found);
    return n > 0 ? n : fault_errno(FAULT_IO, reason, "cannot take port %d of %s", port, address);
}
