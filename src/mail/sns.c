#include "mail/sns.h"

#include "base/encode.h"
#include "base/fault.h"
#include "mail/sns_certificates.h"
#include "mail/sns_topic.h"

enum { SIGNATURE_SIZE = CERTIFICATE_RSA_MAX / 8, SIGNATURE_TEXT = (SIGNATURE_SIZE + 2) / 3 * 4 };

struct sns_verifier {
    struct sns_certificates *certificates;
    struct arena arena; /* of the topics */
    struct str *topics;
    size_t topic_count;
};

static int copy_topics(const struct sns_settings *settings, struct sns_verifier *v)
{
    if (settings->topic_count > SNS_TOPICS_MAX)
        return fault_set(FAULT_LIMIT, "more than %d SNS topics", SNS_TOPICS_MAX);
    v->topics = arena_array(&v->arena, settings->topic_count + 1, sizeof *v->topics);
    if (!v->topics)
        return FAULT_MEMORY;
    for (size_t i = 0; i < settings->topic_count; i++) {
        if (!sns_topic_valid(settings->topics[i]))
            return fault_set(FAULT_LIMIT, "not the ARN of an SNS topic: %.*s",
                             STR_ARG(settings->topics[i]));
        v->topics[i] = arena_str(&v->arena, settings->topics[i]);
        if (!v->topics[i].p)
            return FAULT_MEMORY;
    }
    v->topic_count = settings->topic_count;
    return 0;
}

int sns_verifier_new(const struct sns_settings *settings, struct sns_verifier **ret_verifier)
{
    struct sns_verifier *v = calloc(1, sizeof *v);
    int e;

    if (!v)
        return fault_set(FAULT_MEMORY, "no memory for an SNS verifier");
    v->arena = arena_init((size_t)SNS_TOPICS_MAX * 1024);
    e = copy_topics(settings, v);
    if (!e)
        e = sns_certificates_new(settings, &v->certificates);
    if (e)
        sns_verifier_free(v);
    else
        *ret_verifier = v;
    return e;
}

void sns_verifier_free(struct sns_verifier *verifier)
{
    if (!verifier)
        return;
    sns_certificates_free(verifier->certificates);
    arena_free(&verifier->arena);
    free(verifier);
}

static bool topic_allowed(const struct sns_verifier *v, struct str arn)
{
    for (size_t i = 0; i < v->topic_count; i++)
        if (str_eq(v->topics[i], arn))
            return true;
    return false;
}

/* Strict base64 (RFC 4648, section 4): padded, and one text for each byte string. */
static int decode(struct str text, uint8_t ret_bytes[SIGNATURE_SIZE], size_t *ret_n)
{
    char url_text[SIGNATURE_TEXT];
    size_t n = text.n;

    if (n == 0 || n % 4 != 0 || n > sizeof url_text)
        return 1;
    for (int i = 0; i < 2 && text.p[n - 1] == '='; i++)
        n--;
    for (size_t i = 0; i < n; i++) {
        char c = text.p[i];
        if (c == '-' || c == '_')
            return 1;
        url_text[i] = c == '+' ? '-' : c;
        if (c == '/')
            url_text[i] = '_';
    }
    return base64url_decode((struct str){url_text, n}, SIGNATURE_SIZE, ret_bytes, ret_n);
}

static int check_signature(const struct certificate *certificate, const struct sns_message *m)
{
    _cleanup_buf_ struct buf text = buf_init(SNS_BODY_MAX);
    uint8_t signature[SIGNATURE_SIZE];
    size_t n;
    int e;

    if (decode(m->signature, signature, &n))
        return SNS_BAD_SIGNATURE;
    e = sns_string_to_sign(m, &text);
    if (e)
        return e;
    e = certificate_verify(certificate,
                           m->signature_version == 1 ? CERTIFICATE_SHA1 : CERTIFICATE_SHA256,
                           buf_str(&text), (struct str){(const char *)signature, n});
    return e > 0 ? SNS_BAD_SIGNATURE : e;
}

int sns_verify_for(struct sns_verifier *verifier, struct str body, int64_t now_ms,
                   struct sns_errand *errand, struct arena *arena, struct sns_message *ret_message)
{
    _cleanup_certificate_ struct certificate *certificate = NULL;
    struct sns_topic topic;
    struct sns_message m;
    int e = sns_parse(body, arena, &m);

    if (e)
        return e;
    if (!topic_allowed(verifier, m.topic_arn))
        return SNS_FOREIGN_TOPIC;
    if (m.at < now_ms - SNS_WINDOW_MS - SNS_SKEW_MS || m.at > now_ms + SNS_SKEW_MS)
        return SNS_STALE;
    if (sns_topic_parse(m.topic_arn, &topic) ||
        !sns_cert_url_valid(m.signing_cert_url, m.topic_arn))
        return SNS_CERTIFICATE_REFUSED;
    e = sns_certificates_get(verifier->certificates, m.signing_cert_url, &topic, now_ms, errand,
                             &certificate);
    if (!e)
        e = check_signature(certificate, &m);
    if (!e)
        *ret_message = m;
    return e;
}

int sns_verify(struct sns_verifier *verifier, struct str body, int64_t now_ms, struct arena *arena,
               struct sns_message *ret_message)
{
    struct sns_errand errand = {false, false};

    return sns_verify_for(verifier, body, now_ms, &errand, arena, ret_message);
}

const char *sns_outcome_text(int outcome)
{
    static const char *const texts[SNS_OUTCOMES] = {
        [SNS_MALFORMED] = "not an SNS message",
        [SNS_FOREIGN_TOPIC] = "the message is of a topic that is not allowed here",
        [SNS_STALE] = "the message is too old, or of the future",
        [SNS_CERTIFICATE_REFUSED] = "the signing certificate is not one of SNS",
        [SNS_CERTIFICATE_UNREACHABLE] = "the signing certificate cannot be fetched just now",
        [SNS_BAD_SIGNATURE] = "the signature is not that of the message",
    };

    return outcome > 0 && outcome < SNS_OUTCOMES ? texts[outcome] : "";
}
