#include "cli/own_url.h"

void own_url(const struct config *c, int port, const char *path, char ret_url[OWN_URL_MAX])
{
    struct str host = str_of(c->listen_address);

    if (host.n == 0 || str_eq(host, STR("0.0.0.0")) || str_eq(host, STR("::")))
        host = STR("127.0.0.1");
    bool v6 = str_find(host, ':') < host.n;
    snprintf(ret_url, OWN_URL_MAX, "http://%s%.*s%s:%d%s", v6 ? "[" : "", STR_ARG(host),
             v6 ? "]" : "", port, path);
}
