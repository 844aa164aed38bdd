#include "crypto/jwt_key.h"

#include "base/encode.h"
#include "crypto/init.h"

static const struct {
    const char *name;
    size_t n_signature;
} algorithms[] = {
    [JWT_HS256] = {"HS256", MAC_SIZE},
    [JWT_EDDSA] = {"EdDSA", SIGN_SIZE},
    [JWT_ES256] = {"ES256", P256_SIGNATURE_SIZE},
};

int jwt_algorithm_parse(struct str name, enum jwt_algorithm *ret_algorithm)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (str_eq(name, str_of(algorithms[i].name))) {
            *ret_algorithm = (enum jwt_algorithm)i;
            return 0;
        }
    }
    return 1;
}

static int p256_init(struct str secret, struct jwt_key *key)
{
    uint8_t seed[P256_SEED_SIZE];
    int e = mac_hkdf(secret, STR(""), STR("holdfast jwt ES256 v1"), seed, sizeof seed);

    if (!e)
        e = p256_key_new(seed, key->point, &key->p256);
    crypto_wipe(seed, sizeof seed);
    return e;
}

/* Makes the algorithm's key, and what its id is computed from: nothing that helps to forge. */
static int material_init(struct str secret, struct jwt_key *key,
                         uint8_t ret_public[P256_POINT_SIZE], size_t *ret_n)
{
    int e = 0;

    switch (key->algorithm) {
    case JWT_HS256:
        *ret_n = MAC_SIZE;
        e = mac_key_init(secret, &key->mac);
        return e ? e
                 : mac_hkdf(secret, STR(""), STR("holdfast jwt HS256 id v1"), ret_public, MAC_SIZE);
    case JWT_EDDSA:
        *ret_n = SIGN_PUBLIC_SIZE;
        e = sign_key_derive(secret, STR("holdfast jwt EdDSA v1"), &key->ed25519);
        memcpy(ret_public, key->ed25519.public_key, SIGN_PUBLIC_SIZE);
        return e;
    case JWT_ES256:
        *ret_n = P256_POINT_SIZE;
        e = p256_init(secret, key);
        memcpy(ret_public, key->point, P256_POINT_SIZE);
        return e;
    }
    return e;
}

/* The id, and the header segment that bears it. */
static int header_init(struct jwt_key *key, struct str public)
{
    struct str parts[] = {str_of(algorithms[key->algorithm].name), public};
    uint8_t digest[SHA256_SIZE];
    char json[JWT_HEADER_MAX];
    int n, e = sha256_parts(STR("holdfast jwt kid v1 "), parts, 2, digest);

    if (e)
        return e;
    hex_encode(digest, (JWT_KEY_ID_SIZE - 1) / 2, key->id);
    n = snprintf(json, sizeof json, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
                 algorithms[key->algorithm].name, key->id);
    key->n_header = base64url_encode(json, (size_t)n, key->header);
    return 0;
}

int jwt_key_init(enum jwt_algorithm algorithm, struct str secret, struct jwt_key *ret_key)
{
    struct jwt_key key = {.algorithm = algorithm, .n_signature = algorithms[algorithm].n_signature};
    uint8_t public[P256_POINT_SIZE];
    size_t n = 0;
    int e = material_init(secret, &key, public, &n);

    if (!e)
        e = header_init(&key, (struct str){(const char *)public, n});
    if (e)
        jwt_key_release(&key);
    else
        *ret_key = key;
    crypto_wipe(&key, sizeof key);
    return e;
}

void jwt_key_release(struct jwt_key *key)
{
    EVP_PKEY_free(key->p256);
    crypto_wipe(key, sizeof *key);
}

int jwt_key_sign(const struct jwt_key *key, struct str input,
                 uint8_t ret_signature[JWT_SIGNATURE_MAX])
{
    switch (key->algorithm) {
    case JWT_HS256:
        return mac_sha256(&key->mac, input, ret_signature);
    case JWT_EDDSA:
        sign_message(&key->ed25519, input, ret_signature);
        return 0;
    case JWT_ES256:
        return p256_sign(key->p256, input, ret_signature);
    }
    return 0;
}

int jwt_key_verify(const struct jwt_key *key, struct str input,
                   const uint8_t signature[JWT_SIGNATURE_MAX])
{
    uint8_t mac[MAC_SIZE];
    int e = 0;

    switch (key->algorithm) {
    case JWT_HS256:
        e = mac_sha256(&key->mac, input, mac);
        if (!e && !crypto_memeq(mac, signature, sizeof mac))
            e = JWT_SIGNATURE;
        crypto_wipe(mac, sizeof mac);
        return e;
    case JWT_EDDSA:
        return sign_verify(key->ed25519.public_key, input, signature) ? JWT_SIGNATURE : 0;
    case JWT_ES256:
        e = p256_verify(key->p256, input, signature);
        return e > 0 ? JWT_SIGNATURE : e;
    }
    return JWT_SIGNATURE;
}

static void add_coordinate(struct buf *out, const char *name, const uint8_t bytes[32])
{
    char text[BASE64URL_LENGTH(32)];

    base64url_encode(bytes, 32, text);
    buf_printf(out, "\"%s\":\"%.*s\",", name, (int)sizeof text, text);
}

void jwt_key_write(const struct jwt_key *key, struct buf *out)
{
    if (key->algorithm == JWT_EDDSA) {
        buf_add_str(out, STR("{\"kty\":\"OKP\",\"crv\":\"Ed25519\","));
        add_coordinate(out, "x", key->ed25519.public_key);
    } else {
        buf_add_str(out, STR("{\"kty\":\"EC\",\"crv\":\"P-256\","));
        add_coordinate(out, "x", key->point + 1);
        add_coordinate(out, "y", key->point + 33);
    }
    buf_printf(out, "\"use\":\"sig\",\"alg\":\"%s\",\"kid\":\"%s\"}",
               algorithms[key->algorithm].name, key->id);
}
