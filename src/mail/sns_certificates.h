/*
 * The signing certificates of SNS: fetched, checked, and kept by their URL within bounds that a
 * stranger who invents URLs cannot overcome.
 * Rooms: mail. Ownership: as each function says. Threads: any.
 *
 * What was refused or out of reach is kept for a short time; it never displaces a certificate. A
 * URL is fetched by one thread at a time, for which few others wait. URLs that never gave a
 * certificate are fetched no oftener than SNS_FETCHES_PER_MINUTE.
 */
#ifndef HOLDFAST_MAIL_SNS_CERTIFICATES_H
#define HOLDFAST_MAIL_SNS_CERTIFICATES_H

#include "crypto/certificate.h"
#include "mail/sns.h"
#include "mail/sns_topic.h"

enum { SNS_CERT_URL_SIZE = 192 };

struct sns_certificates;

/* Returns 0 or FAULT_MEMORY. settings gives trust, fetch and context. */
int sns_certificates_new(const struct sns_settings *settings, struct sns_certificates **ret);
void sns_certificates_free(struct sns_certificates *c);

/*
 * The certificate of a url that sns_cert_url_valid has found good for the topic, valid at now_ms,
 * for certificate_release. Returns 0, SNS_CERTIFICATE_REFUSED, SNS_CERTIFICATE_UNREACHABLE, or a
 * fault of fetch, FAULT_MEMORY or FAULT_CRYPTO.
 */
int sns_certificates_get(struct sns_certificates *c, struct str url, const struct sns_topic *topic,
                         int64_t now_ms, struct sns_errand *errand,
                         struct certificate **ret_certificate);

#endif
