/*
 * Reads the records by which a domain vouches for its mail: DKIM keys (RFC 6376, section 3.6.1) and
 * DMARC policies (RFC 7489, section 6.3). Both are lists of tags.
 * Rooms: those below net. Threads: any.
 */
#ifndef HOLDFAST_MAIL_POLICY_H
#define HOLDFAST_MAIL_POLICY_H

#include "base/str.h"

enum { TAG_LIST_MAX = 32 };

struct tag {
    struct str name, value; /* without the white space around them */
};

/*
 * Reads "name=value; name=value;" (RFC 6376, section 3.2). Returns 0, or 1 where it is malformed,
 * names a tag twice or has more than TAG_LIST_MAX; ret_tags may then hold a part.
 */
int tag_list_read(struct str text, struct tag ret_tags[TAG_LIST_MAX], size_t *ret_n);

struct dkim_key {
    bool revoked;     /* p= is empty */
    bool testing;     /* t=y: receivers treat what it signs as unsigned */
    bool rsa;         /* else Ed25519 */
    size_t key_bytes; /* of the encoded key */
};

/* Returns 0, or 1 where it is no DKIM key, or one of a kind that does not sign mail. */
int dkim_key_read(struct str record, struct dkim_key *ret);

enum dmarc_policy { DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT };

struct dmarc {
    enum dmarc_policy policy, subdomain_policy;
    unsigned percent; /* 0 to 100: of the mail that the policy is applied to */
    bool reports;     /* somebody is sent aggregate reports */
};

/* Whether a text is a DMARC record at all. */
bool dmarc_is_record(struct str text);

/* Returns 0, or 1 where it is malformed. */
int dmarc_read(struct str record, struct dmarc *ret);

#endif
