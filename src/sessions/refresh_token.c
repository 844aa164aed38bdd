#include "sessions/refresh_token.h"

#include "base/encode.h"
#include "base/fault.h"
#include "crypto/init.h"

static const struct str prefix = STR_INIT("hfr_");
static const struct str label = STR_INIT("holdfast refresh v1");

int refresh_keys_init(struct str active, const struct str *retired, size_t n_retired,
                      struct refresh_keys *ret)
{
    struct refresh_keys keys = {.n = 1 + n_retired};

    if (keys.n > REFRESH_KEYS_MAX)
        return fault_set(FAULT_LIMIT, "more than %d retired secrets", REFRESH_KEYS_MAX - 1);
    int r = mac_derive(active, label, &keys.ring[0]);
    for (size_t i = 0; r == 0 && i < n_retired; i++)
        r = mac_derive(retired[i], label, &keys.ring[1 + i]);
    if (r == 0)
        *ret = keys;
    crypto_wipe(&keys, sizeof keys);
    return r;
}

void refresh_keys_release(struct refresh_keys *keys)
{
    crypto_wipe(keys, sizeof *keys);
}

static void put_generation(uint32_t generation, uint8_t bytes[4])
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(generation >> (24 - 8 * i));
}

static int compute(const struct mac_key *key, const struct uuid *family_id, uint32_t generation,
                   const uint8_t *seed, uint8_t ret_mac[MAC_SIZE])
{
    uint8_t number[4];

    put_generation(generation, number);
    /* Every part has a fixed length, so the parts cannot be shifted against each other. */
    const struct str parts[] = {label,
                                {(const char *)family_id->b, sizeof family_id->b},
                                {(const char *)number, sizeof number},
                                {(const char *)seed, REFRESH_SEED_SIZE}};
    return mac_sha256_parts(key, parts, sizeof parts / sizeof *parts, ret_mac);
}

int refresh_token_make(const struct refresh_keys *keys, const struct uuid *family_id,
                       uint32_t generation, const uint8_t seed[REFRESH_SEED_SIZE],
                       char ret_text[REFRESH_TOKEN_TEXT_SIZE])
{
    uint8_t bytes[REFRESH_TOKEN_BYTES];

    memcpy(bytes, family_id->b, 16);
    put_generation(generation, bytes + 16);
    int r = compute(&keys->ring[0], family_id, generation, seed, bytes + 20);
    if (r)
        return r;
    memcpy(ret_text, prefix.p, prefix.n);
    size_t n = base64url_encode(bytes, sizeof bytes, ret_text + prefix.n);
    ret_text[prefix.n + n] = '\0';
    crypto_wipe(bytes, sizeof bytes);
    return 0;
}

int refresh_token_parse(struct str text, struct refresh_token *ret)
{
    uint8_t bytes[REFRESH_TOKEN_BYTES];
    size_t n;

    if (text.n != REFRESH_TOKEN_TEXT || !str_has_prefix(text, prefix))
        return REFRESH_TOKEN_INVALID;
    struct str encoded = {text.p + prefix.n, text.n - prefix.n};
    if (base64url_decode(encoded, sizeof bytes, bytes, &n) || n != sizeof bytes)
        return REFRESH_TOKEN_INVALID;
    uint32_t generation = 0;
    for (int i = 16; i < 20; i++)
        generation = generation << 8 | bytes[i];
    if (generation > REFRESH_GENERATION_MAX)
        return REFRESH_TOKEN_INVALID;
    memcpy(ret->family_id.b, bytes, 16);
    ret->generation = generation;
    memcpy(ret->mac, bytes + 20, MAC_SIZE);
    crypto_wipe(bytes, sizeof bytes);
    return 0;
}

int refresh_token_check(const struct refresh_keys *keys, const struct refresh_token *token,
                        const uint8_t seed[REFRESH_SEED_SIZE])
{
    uint8_t mac[MAC_SIZE];
    int r = REFRESH_TOKEN_INVALID;

    for (size_t i = 0; i < keys->n && r == REFRESH_TOKEN_INVALID; i++) {
        r = compute(&keys->ring[i], &token->family_id, token->generation, seed, mac);
        if (r == 0 && !crypto_memeq(mac, token->mac, sizeof mac))
            r = REFRESH_TOKEN_INVALID;
    }
    crypto_wipe(mac, sizeof mac);
    return r;
}
