#include "trail/authlog.h"

#include <syslog.h>

void authlog_write(struct str line)
{
    syslog(LOG_MAKEPRI(LOG_AUTHPRIV, LOG_NOTICE), "holdfast checkpoint %.*s", STR_ARG(line));
}
