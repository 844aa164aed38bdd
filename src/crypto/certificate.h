/*
 * Certificates of others: whether one is to be trusted, and what its key has signed (RFC 5280).
 * Rooms: all below crypto. Ownership: as each function says. Threads: a trust is filled by one
 * thread and then read by any; a certificate never changes and is counted, so any may hold it.
 */
#ifndef HOLDFAST_CERTIFICATE_H
#define HOLDFAST_CERTIFICATE_H

#include "base/str.h"

enum {
    CERTIFICATE_PEM_MAX = 64 * 1024, /* bytes of what certificate_check reads */
    CERTIFICATE_CHAIN_MAX = 8,       /* certificates in it */
    CERTIFICATE_RSA_MIN = 2048,      /* bits of a key */
    CERTIFICATE_RSA_MAX = 8192
};

/* What a certificate can fail by, in the order in which it is looked at. */
enum certificate_outcome {
    CERTIFICATE_MALFORMED = 1, /* no PEM certificates, too many or too long, or an authority's */
    CERTIFICATE_WEAK,          /* not an RSA key, or one outside the bits above */
    CERTIFICATE_NAME,          /* made out to none of the names */
    CERTIFICATE_DATES,         /* not yet or no longer valid */
    CERTIFICATE_CHAIN          /* no valid path to a root of the trust */
};

enum certificate_digest { CERTIFICATE_SHA1, CERTIFICATE_SHA256 };

struct certificate_trust; /* roots, and intermediates that help to reach them */
struct certificate;

/* A trust that nothing reaches yet. Returns 0, FAULT_MEMORY or FAULT_CRYPTO. */
int certificate_trust_new(struct certificate_trust **ret_trust);
void certificate_trust_free(struct certificate_trust *trust);

/* Adds the roots of the operating system. Returns 0 or FAULT_CRYPTO. */
int certificate_trust_add_system(struct certificate_trust *trust);

/*
 * Adds PEM certificates as roots, or as intermediates, which are believed only where a root
 * vouches for them. Returns 0, CERTIFICATE_MALFORMED, FAULT_MEMORY or FAULT_CRYPTO; with the
 * latter some may have been added.
 */
int certificate_trust_add_roots(struct certificate_trust *trust, struct str pem);
int certificate_trust_add_intermediates(struct certificate_trust *trust, struct str pem);

/*
 * Reads PEM: the certificate itself first, intermediates of its own behind it. It must be made out
 * to one of the n names (RFC 6125, section 6.4; no wildcards) for use by a server, hold an RSA key,
 * and reach a root at now_ms. Returns 0 with a certificate for certificate_release, an enum
 * certificate_outcome, FAULT_MEMORY or FAULT_CRYPTO.
 */
int certificate_check(const struct certificate_trust *trust, struct str pem,
                      const struct str *names, size_t n, int64_t now_ms,
                      struct certificate **ret_certificate);

/* Another holder of the same certificate. */
struct certificate *certificate_hold(struct certificate *certificate);
void certificate_release(struct certificate *certificate);

/* Whether now_ms lies within the dates of the certificate itself. */
bool certificate_valid_at(const struct certificate *certificate, int64_t now_ms);

/*
 * Whether signature is that of the message by this certificate's key: RSASSA-PKCS1-v1_5 (RFC 8017,
 * section 8.2). Returns 0, 1 where it is not, FAULT_MEMORY or FAULT_CRYPTO.
 */
int certificate_verify(const struct certificate *certificate, enum certificate_digest digest,
                       struct str message, struct str signature);

static inline void certificate_releasep(struct certificate **certificate)
{
    certificate_release(*certificate);
}
#define _cleanup_certificate_ __attribute__((cleanup(certificate_releasep)))

#endif
