/*
 * Questions to the domain name system, answered while the caller waits.
 * Rooms: those below net. Ownership: answers live in the caller's arena. Threads: workers alone,
 * for a call blocks.
 */
#ifndef HOLDFAST_DNS_H
#define HOLDFAST_DNS_H

#include "base/arena.h"

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28 };

enum {
    DNS_RECORDS_MAX = 64,      /* of the type asked for */
    DNS_TEXT_MAX = 4096,       /* bytes of one record */
    DNS_TIMEOUT_MS = 5 * 1000, /* where the caller gives none */
    DNS_TIMEOUT_MAX = 60 * 1000
};

struct dns_options {
    struct str server;  /* "127.0.0.1:53", "[::1]:53"; empty: the system's */
    int64_t timeout_ms; /* of a whole question; 0: DNS_TIMEOUT_MS */
};

struct dns_record {
    /* A, AAAA: the address in its usual text. CNAME, MX: the name, "." for the root. TXT: the
     * strings put together (RFC 7208, section 3.3); whatever bytes the domain's owner wrote. */
    struct str text;
    uint16_t preference; /* of an MX */
    uint32_t ttl;        /* seconds */
};

struct dns_answer {
    const struct dns_record *records;
    size_t n;
};

/* Outcomes. */
enum {
    DNS_NONE = 1, /* the name is there, but no such record */
    DNS_NXDOMAIN, /* no such name */
    DNS_FAILED, /* no answer in time, a server's failure, an answer that is malformed or too large:
                   nothing is known; fault_message() says which */
    DNS_INVALID /* the name, the server or the timeout is not one */
};

/*
 * Asks for the records of one type; aliases are followed within the answer, unless they are what is
 * asked for. Names are ASCII, without a dot at the end. Returns 0 with at least one record, an
 * outcome above or FAULT_MEMORY.
 */
int dns_query(const struct dns_options *options, struct str name, enum dns_type type,
              struct arena *arena, struct dns_answer *ret);

#endif
