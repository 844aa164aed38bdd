/*
 * Reads an SPF record (RFC 7208): whether it is well-formed, and what is to be known of it without
 * asking further.
 * Rooms: those below net. Threads: any.
 */
#ifndef HOLDFAST_SPF_H
#define HOLDFAST_SPF_H

#include "base/str.h"

enum { SPF_LOOKUPS_MAX = 10 }; /* section 4.6.4 */

struct spf {
    bool includes;    /* a domain asked about is included, and its senders pass */
    bool redirects;   /* another domain's record says the rest */
    char all;         /* what those not listed get: '+', '-', '~', '?'; 0 where it is not said */
    unsigned lookups; /* terms of this record that ask the DNS (section 4.6.4) */
};

/* Whether a text is an SPF record at all (section 4.5). */
bool spf_is_record(struct str text);

/*
 * Reads a record (section 12); include is the domain asked about. Returns 0, or 1 where it is
 * malformed, with *ret_term the term at fault.
 */
int spf_read(struct str record, struct str include, struct spf *ret, struct str *ret_term);

#endif
