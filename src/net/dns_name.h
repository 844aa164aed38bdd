/*
 * Domain names as text (RFC 1035, section 2.3).
 * Rooms: those below net. Threads: any.
 */
#ifndef HOLDFAST_DNS_NAME_H
#define HOLDFAST_DNS_NAME_H

#include "base/str.h"

enum { DNS_NAME_MAX = 253, DNS_LABEL_MAX = 63 };

/*
 * Whether s is a host's name: labels of letters, digits and inner hyphens, the last not all digits
 * (RFC 1123, section 2.1); no dot at the end.
 */
bool dns_name_is_host(struct str s);

/* As above with underscores wherever letters may be: the names where records are kept. */
bool dns_name_is_owner(struct str s);

#endif
