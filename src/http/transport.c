#include "http/transport.h"

#include <sys/socket.h>

ssize_t transport_recv(struct conn *c, void *p, size_t n)
{
    return recv(c->fd, p, n, 0);
}

ssize_t transport_send(struct conn *c, const void *p, size_t n)
{
    return send(c->fd, p, n, MSG_NOSIGNAL);
}

void transport_end(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
}

void transport_reset(struct conn *c)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}
