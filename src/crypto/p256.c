#include "crypto/p256.h"

#include "base/fault.h"
#include "crypto/openssl.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>

enum { HALF = P256_SIGNATURE_SIZE / 2, DER_MAX = 72 };

/* The scalar of a seed; NULL where a call failed. The caller clears it. */
static BIGNUM *scalar_new(const EC_GROUP *group, const uint8_t seed[P256_SEED_SIZE])
{
    BN_CTX *context = BN_CTX_secure_new();
    BIGNUM *scalar = BN_secure_new(), *limit = BN_dup(EC_GROUP_get0_order(group));

    if (!context || !scalar || !limit || !BN_bin2bn(seed, P256_SEED_SIZE, scalar) ||
        !BN_sub_word(limit, 1) || !BN_nnmod(scalar, scalar, limit, context) ||
        !BN_add_word(scalar, 1)) {
        BN_clear_free(scalar);
        scalar = NULL;
    }
    BN_free(limit);
    BN_CTX_free(context);
    return scalar;
}

static bool point_of(const EC_GROUP *group, const BIGNUM *scalar,
                     uint8_t ret_point[P256_POINT_SIZE])
{
    EC_POINT *point = EC_POINT_new(group);
    bool ok = point && EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) &&
              EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, ret_point,
                                 P256_POINT_SIZE, NULL) == P256_POINT_SIZE;

    EC_POINT_free(point);
    return ok;
}

static EVP_PKEY *key_of(const BIGNUM *scalar, const uint8_t point[P256_POINT_SIZE])
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (builder && context &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         P256_POINT_SIZE) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, scalar) &&
        (params = OSSL_PARAM_BLD_to_param(builder)) && EVP_PKEY_fromdata_init(context) > 0)
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params);
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

int p256_key_new(const uint8_t seed[P256_SEED_SIZE], uint8_t ret_point[P256_POINT_SIZE],
                 EVP_PKEY **ret_key)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    BIGNUM *scalar = group ? scalar_new(group, seed) : NULL;
    uint8_t point[P256_POINT_SIZE];
    EVP_PKEY *key = NULL;

    if (scalar && point_of(group, scalar, point))
        key = key_of(scalar, point);
    BN_clear_free(scalar);
    EC_GROUP_free(group);
    if (!key)
        return openssl_fault("a P-256 key");
    memcpy(ret_point, point, sizeof point);
    *ret_key = key;
    return 0;
}

/* r and s of a DER signature, each in HALF bytes. */
static bool split(const uint8_t *der, size_t n, uint8_t ret_signature[P256_SIGNATURE_SIZE])
{
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &der, (long)n);
    bool ok = parts && BN_bn2binpad(ECDSA_SIG_get0_r(parts), ret_signature, HALF) == HALF &&
              BN_bn2binpad(ECDSA_SIG_get0_s(parts), ret_signature + HALF, HALF) == HALF;

    ECDSA_SIG_free(parts);
    return ok;
}

int p256_sign(EVP_PKEY *key, struct str message, uint8_t ret_signature[P256_SIGNATURE_SIZE])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t der[DER_MAX];
    size_t n = sizeof der;
    bool ok = context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) > 0 &&
              EVP_DigestSign(context, der, &n, (const uint8_t *)message.p, message.n) > 0 &&
              split(der, n, ret_signature);

    EVP_MD_CTX_free(context);
    return ok ? 0 : openssl_fault("an ES256 signature");
}

/* The signature in DER. Returns its length, 0 where a call failed. */
static size_t join(const uint8_t signature[P256_SIGNATURE_SIZE], uint8_t ret_der[DER_MAX])
{
    ECDSA_SIG *parts = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, HALF, NULL), *s = BN_bin2bn(signature + HALF, HALF, NULL);
    uint8_t *end = ret_der;
    int n = 0;

    if (parts && r && s && ECDSA_SIG_set0(parts, r, s)) {
        r = s = NULL; /* they are the parts' now */
        n = i2d_ECDSA_SIG(parts, &end);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(parts);
    return n > 0 ? (size_t)n : 0;
}

int p256_verify(EVP_PKEY *key, struct str message, const uint8_t signature[P256_SIGNATURE_SIZE])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t der[DER_MAX];
    size_t n = join(signature, der);
    int e;

    if (!context || n == 0 || EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) <= 0) {
        e = openssl_fault("an ES256 verification");
    } else {
        e = EVP_DigestVerify(context, der, n, (const uint8_t *)message.p, message.n) == 1 ? 0 : 1;
        ERR_clear_error();
    }
    EVP_MD_CTX_free(context);
    return e;
}
