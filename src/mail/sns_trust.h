/*
 * Whom SNS's signing certificates have to be vouched for by.
 * Rooms: mail and below. Ownership: the caller frees with certificate_trust_free. Threads: any.
 */
#ifndef HOLDFAST_MAIL_SNS_TRUST_H
#define HOLDFAST_MAIL_SNS_TRUST_H

#include "crypto/certificate.h"

/*
 * The operating system's roots, and the intermediates of Amazon Trust Services, which SNS does not
 * send with its certificates. Returns 0, FAULT_MEMORY or FAULT_CRYPTO.
 */
int sns_trust_new(struct certificate_trust **ret_trust);

/* Those intermediates, as PEM. */
struct str sns_trust_intermediates(void);

#endif
