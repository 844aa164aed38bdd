/*
 * For tests: a certificate authority, certificates by it, and SNS envelopes signed with them.
 * Rooms: tests. Ownership: the caller releases what it made. Threads: one, but for the source,
 * which any may fetch from.
 */
#ifndef HOLDFAST_MAIL_SNS_FIXTURE_H
#define HOLDFAST_MAIL_SNS_FIXTURE_H

#include "base/buf.h"
#include "crypto/certificate.h"

#include <openssl/x509.h>

#define SNS_FIXTURE_TOPIC "arn:aws:sns:us-east-1:123456789012:ses-events"
#define SNS_FIXTURE_HOST "sns.us-east-1.amazonaws.com"
#define SNS_FIXTURE_URL                                                                            \
    "https://" SNS_FIXTURE_HOST "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"

struct sns_fixture_ca {
    EVP_PKEY *key;
    X509 *certificate;
    struct buf pem;
};

void sns_fixture_ca_init(struct sns_fixture_ca *ca, const char *name, int64_t now_ms);
void sns_fixture_ca_release(struct sns_fixture_ca *ca);

/* A trust of this authority alone. */
struct certificate_trust *sns_fixture_trust(const struct sns_fixture_ca *ca);

EVP_PKEY *sns_fixture_key(unsigned bits);

struct sns_fixture_leaf {
    const char *name; /* in its subject and its alternative names */
    int64_t from_ms, until_ms;
    EVP_PKEY *key;
    bool authority; /* made out as a CA */
};

/* Appends PEM of a certificate by the authority; of one signed by itself where ca is NULL. */
void sns_fixture_issue(const struct sns_fixture_ca *ca, const struct sns_fixture_leaf *leaf,
                       struct buf *ret_pem);

/* An envelope to be: members that are NULL are left out, of the JSON and of what is signed. */
struct sns_fixture_envelope {
    const char *type, *message, *message_id, *subject, *timestamp, *topic_arn, *token;
    const char *subscribe_url, *version, *url;
};

/*
 * The signature in base64 of what SNS signs of the envelope, without the last `dropped` bytes, and
 * the envelope as JSON with it.
 */
void sns_fixture_sign(const struct sns_fixture_envelope *e, EVP_PKEY *key, size_t dropped,
                      struct buf *ret_base64);
void sns_fixture_json(const struct sns_fixture_envelope *e, struct str signature,
                      struct buf *ret_json);

#endif
