/*
 * No bytes of a stranger verify, and none of them chooses what we ask for: a URL that is fetched
 * or called has the form of SNS's own, and what is signed has one line for each value but the
 * message.
 */
#include "mail/sns.h"

#include "crypto/certificate.h"
#include "crypto/init.h"

#include "fuzz.h"

static const int64_t now = INT64_C(1790000000000);
static const struct str topics[] = {STR_INIT("arn:aws:sns:us-east-1:123456789012:t"),
                                    STR_INIT("arn:aws-cn:sns:cn-north-1:123456789012:t")};

static struct sns_verifier *verifier;

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Whether s holds lower-case letters, digits and the given others alone. */
static bool holds_only(struct str s, const char *others)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr(others, c))))
            return false;
    }
    return true;
}

/* Behind "https://" a host of AWS, and then one slash. */
static struct str check_host(struct str url)
{
    const struct str scheme = STR("https://");
    struct str host, rest;
    size_t slash;

    FUZZ_CHECK(str_has_prefix(url, scheme));
    rest = (struct str){url.p + scheme.n, url.n - scheme.n};
    slash = str_find(rest, '/');
    FUZZ_CHECK(slash < rest.n);
    host = (struct str){rest.p, slash};
    FUZZ_CHECK(str_has_prefix(host, STR("sns.")) && holds_only(host, "-."));
    FUZZ_CHECK(str_has_suffix(host, STR(".amazonaws.com")) ||
               str_has_suffix(host, STR(".amazonaws.com.cn")));
    return (struct str){rest.p + slash + 1, rest.n - slash - 1};
}

static void check_certificate_url(struct str url)
{
    struct str file = check_host(url);

    FUZZ_CHECK(str_has_prefix(file, STR("SimpleNotificationService-")));
    FUZZ_CHECK(file.n == 26 + 32 + 4 && str_has_suffix(file, STR(".pem")));
    FUZZ_CHECK(holds_only((struct str){file.p + 26, 32}, ""));
}

static int fetch(void *context, const char *url, struct buf *ret_pem)
{
    check_certificate_url(str_of(url));
    return SNS_FETCH_REFUSED;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct certificate_trust *trust = NULL;

    FUZZ_CHECK(crypto_init() == 0);
    FUZZ_CHECK(certificate_trust_new(&trust) == 0);
    const struct sns_settings settings = {topics, 2, trust, fetch, NULL};
    FUZZ_CHECK(sns_verifier_new(&settings, &verifier) == 0);
    return 0;
}

static size_t lines_of(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

static void check_signed(const struct sns_message *m)
{
    _cleanup_buf_ struct buf text = buf_init(SNS_BODY_MAX);
    size_t members = m->type == SNS_NOTIFICATION ? 5 + (m->subject.p != NULL) : 7;

    FUZZ_CHECK(sns_string_to_sign(m, &text) == 0);
    FUZZ_CHECK(text.n > 0 && text.p[text.n - 1] == '\n');
    FUZZ_CHECK(lines_of(buf_str(&text)) == 2 * members + lines_of(m->message));
}

static void check_confirmation(const struct sns_message *m)
{
    _cleanup_buf_ struct buf url = buf_init(SNS_URL_MAX);
    int e = sns_confirm_url(m, &url);

    FUZZ_CHECK(e == (m->type == SNS_SUBSCRIPTION_CONFIRMATION ? 0 : SNS_MALFORMED));
    if (e)
        return;
    for (size_t i = 0; i < url.n; i++)
        FUZZ_CHECK(url.p[i] > ' ' && url.p[i] <= '~');
    FUZZ_CHECK(str_has_prefix(check_host(buf_str(&url)), STR("?Action=ConfirmSubscription&")));
    FUZZ_CHECK(str_find(buf_str(&url), '#') == url.n && str_find(buf_str(&url), '@') == url.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = arena_init(2 * (size_t)SNS_ARENA_MAX);
    struct str body = {(const char *)data, size};
    struct sns_message m;
    int e = sns_parse(body, &arena, &m);

    FUZZ_CHECK(e == 0 || e == SNS_MALFORMED);
    if (e == 0) {
        check_signed(&m);
        check_confirmation(&m);
        if (sns_cert_url_valid(m.signing_cert_url, m.topic_arn))
            check_certificate_url(m.signing_cert_url);
    }
    FUZZ_CHECK(sns_verify(verifier, body, now, &arena, &m) > 0);
    return 0;
}
