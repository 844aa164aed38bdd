#include "mail/sns_fixture.h"

#include "base/clock.h"
#include "base/json.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

EVP_PKEY *sns_fixture_key(unsigned bits)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);

    assert_non_null(key);
    return key;
}

static void set_name(X509 *x, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(x);

    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                (const unsigned char *)name, -1, -1, 0),
                     1);
}

static void set_dates(X509 *x, int64_t from_ms, int64_t until_ms)
{
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(from_ms / 1000)));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(until_ms / 1000)));
}

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(x, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *new_certificate(const char *name, EVP_PKEY *key, int64_t from_ms, int64_t until_ms)
{
    static long serial = 1;
    X509 *x = X509_new();

    assert_non_null(x);
    assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), serial++), 1);
    assert_int_equal(X509_set_pubkey(x, key), 1);
    set_name(x, name);
    set_dates(x, from_ms, until_ms);
    return x;
}

static void write_pem(X509 *x, struct buf *ret_pem)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long n;

    assert_int_equal(PEM_write_bio_X509(bio, x), 1);
    n = BIO_get_mem_data(bio, &text);
    assert_int_equal(buf_add(ret_pem, text, (size_t)n), 0);
    BIO_free(bio);
}

void sns_fixture_ca_init(struct sns_fixture_ca *ca, const char *name, int64_t now_ms)
{
    *ca = (struct sns_fixture_ca){.key = sns_fixture_key(2048), .pem = buf_init(8192)};
    ca->certificate = new_certificate(name, ca->key, now_ms - 10 * (int64_t)CLOCK_DAY,
                                      now_ms + 1000 * (int64_t)CLOCK_DAY);
    X509_set_issuer_name(ca->certificate, X509_get_subject_name(ca->certificate));
    add_extension(ca->certificate, ca->certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca->certificate, ca->certificate, NID_key_usage, "critical,keyCertSign");
    assert_true(X509_sign(ca->certificate, ca->key, EVP_sha256()) > 0);
    write_pem(ca->certificate, &ca->pem);
}

void sns_fixture_ca_release(struct sns_fixture_ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->certificate);
    buf_free(&ca->pem);
}

struct certificate_trust *sns_fixture_trust(const struct sns_fixture_ca *ca)
{
    struct certificate_trust *trust = NULL;

    assert_int_equal(certificate_trust_new(&trust), 0);
    assert_int_equal(certificate_trust_add_roots(trust, buf_str(&ca->pem)), 0);
    return trust;
}

void sns_fixture_issue(const struct sns_fixture_ca *ca, const struct sns_fixture_leaf *leaf,
                       struct buf *ret_pem)
{
    X509 *x = new_certificate(leaf->name, leaf->key, leaf->from_ms, leaf->until_ms);
    X509 *issuer = ca ? ca->certificate : x;
    char names[256];

    snprintf(names, sizeof names, "DNS:%s", leaf->name);
    X509_set_issuer_name(x, X509_get_subject_name(issuer));
    add_extension(x, issuer, NID_basic_constraints, leaf->authority ? "CA:TRUE" : "CA:FALSE");
    add_extension(x, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
    add_extension(x, issuer, NID_subject_alt_name, names);
    assert_true(X509_sign(x, ca ? ca->key : leaf->key, EVP_sha256()) > 0);
    write_pem(x, ret_pem);
    X509_free(x);
}

static void add_line(struct buf *text, const char *key, const char *value)
{
    if (value)
        buf_printf(text, "%s\n%s\n", key, value);
}

void sns_fixture_sign(const struct sns_fixture_envelope *e, EVP_PKEY *key, size_t dropped,
                      struct buf *ret_base64)
{
    _cleanup_buf_ struct buf text = buf_init(1 << 20);
    const EVP_MD *md = e->version && strcmp(e->version, "1") == 0 ? EVP_sha1() : EVP_sha256();
    unsigned char signature[1024], base64[1400];
    size_t n = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    add_line(&text, "Message", e->message);
    add_line(&text, "MessageId", e->message_id);
    add_line(&text, "Subject", e->subject);
    add_line(&text, "SubscribeURL", e->subscribe_url);
    add_line(&text, "Timestamp", e->timestamp);
    add_line(&text, "Token", e->token);
    add_line(&text, "TopicArn", e->topic_arn);
    add_line(&text, "Type", e->type);
    assert_int_equal(buf_fault(&text), 0);
    assert_int_equal(EVP_DigestSignInit(context, NULL, md, NULL, key), 1);
    assert_int_equal(
        EVP_DigestSign(context, signature, &n, (const unsigned char *)text.p, text.n - dropped), 1);
    EVP_MD_CTX_free(context);
    n = (size_t)EVP_EncodeBlock(base64, signature, (int)n);
    assert_int_equal(buf_add(ret_base64, base64, n), 0);
}

static void add_member(struct json_writer *w, const char *key, const char *value)
{
    if (!value)
        return;
    json_key(w, key);
    json_str(w, str_of(value));
}

void sns_fixture_json(const struct sns_fixture_envelope *e, struct str signature,
                      struct buf *ret_json)
{
    struct json_writer w = json_writer(ret_json);

    json_object_begin(&w);
    add_member(&w, "Type", e->type);
    add_member(&w, "MessageId", e->message_id);
    add_member(&w, "Token", e->token);
    add_member(&w, "TopicArn", e->topic_arn);
    add_member(&w, "Subject", e->subject);
    add_member(&w, "Message", e->message);
    add_member(&w, "SubscribeURL", e->subscribe_url);
    add_member(&w, "Timestamp", e->timestamp);
    add_member(&w, "SignatureVersion", e->version);
    if (signature.p) {
        json_key(&w, "Signature");
        json_str(&w, signature);
    }
    add_member(&w, "SigningCertURL", e->url);
    add_member(&w, "UnsubscribeURL", "https://" SNS_FIXTURE_HOST "/?Action=Unsubscribe");
    json_object_end(&w);
    assert_int_equal(buf_fault(ret_json), 0);
}
