#include "bench/socket.h"

#include "base/fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in loopback(uint16_t port, unsigned host)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + host)};
}

static int connect_fd(int fd, uint16_t port, unsigned source)
{
    const int on = 1;
    struct sockaddr_in from = loopback(0, source), to = loopback(port, 0);
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return fault_errno(FAULT_IO, errno, "cannot connect to port %u", port);
    return 0;
}

int socket_connect(uint16_t port, unsigned source, int *ret_fd)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fault_errno(FAULT_IO, errno, "socket");
    int r = connect_fd(fd, port, source);
    if (r) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int socket_send(int fd, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fault_errno(FAULT_IO, errno, "send");
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return 0;
}

int socket_allow(size_t n)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return fault_errno(FAULT_IO, errno, "getrlimit");
    if (limit.rlim_max < n)
        return fault_set(FAULT_LIMIT, "%zu descriptors are needed, the system allows %llu", n,
                         (unsigned long long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return fault_errno(FAULT_IO, errno, "setrlimit");
    return 0;
}
