#include "crypto/sign.h"

#include "base/encode.h"
#include "crypto/init.h"
#include "crypto/mac.h"

#include <sodium.h>

static const struct str prefix = STR_INIT("ed25519:");

void sign_key_init(const uint8_t seed[SIGN_SEED_SIZE], struct sign_key *ret_key)
{
    crypto_sign_seed_keypair(ret_key->public_key, ret_key->secret_key, seed);
}

int sign_key_derive(struct str secret, struct str label, struct sign_key *ret_key)
{
    uint8_t seed[SIGN_SEED_SIZE];
    int e = mac_hkdf(secret, STR(""), label, seed, sizeof seed);

    if (!e)
        sign_key_init(seed, ret_key);
    crypto_wipe(seed, sizeof seed);
    return e;
}

void sign_key_release(struct sign_key *key)
{
    crypto_wipe(key, sizeof *key);
}

void sign_message(const struct sign_key *key, struct str message, uint8_t ret_signature[SIGN_SIZE])
{
    crypto_sign_detached(ret_signature, NULL, (const uint8_t *)message.p, message.n,
                         key->secret_key);
}

int sign_verify(const uint8_t public_key[SIGN_PUBLIC_SIZE], struct str message,
                const uint8_t signature[SIGN_SIZE])
{
    return crypto_sign_verify_detached(signature, (const uint8_t *)message.p, message.n,
                                       public_key) == 0
               ? 0
               : 1;
}

void sign_public_format(const uint8_t public_key[SIGN_PUBLIC_SIZE],
                        char ret_text[SIGN_PUBLIC_TEXT_SIZE])
{
    size_t n;

    memcpy(ret_text, prefix.p, prefix.n);
    n = base64url_encode(public_key, SIGN_PUBLIC_SIZE, ret_text + prefix.n);
    ret_text[prefix.n + n] = '\0';
}

int sign_public_parse(struct str text, uint8_t ret_public_key[SIGN_PUBLIC_SIZE])
{
    uint8_t key[SIGN_PUBLIC_SIZE];
    struct str encoded;
    size_t n;

    if (text.n != SIGN_PUBLIC_TEXT || !str_has_prefix(text, prefix))
        return 1;
    encoded = (struct str){text.p + prefix.n, text.n - prefix.n};
    if (base64url_decode(encoded, sizeof key, key, &n) || n != sizeof key)
        return 1;
    memcpy(ret_public_key, key, sizeof key);
    return 0;
}
