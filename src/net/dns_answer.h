/*
 * Reads an answer as it came over the wire (RFC 1035, section 4).
 * Rooms: net alone. Ownership: records live in the caller's arena. Threads: any.
 */
#ifndef HOLDFAST_DNS_ANSWER_H
#define HOLDFAST_DNS_ANSWER_H

#include "net/dns.h"

enum {
    DNS_SEEN_MAX = 256, /* records of an answer, of whatever type */
    DNS_ALIASES_MAX = 8
};

/*
 * The records of the answer that were asked for. Returns as dns_query; what does not answer this
 * question, or not in full, is DNS_FAILED.
 */
int dns_answer_read(struct str packet, struct str name, enum dns_type type, struct arena *arena,
                    struct dns_answer *ret);

#endif
