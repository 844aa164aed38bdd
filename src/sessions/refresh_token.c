#include "sessions/refresh_token.h"

#include "base/encode.h"
#include "crypto/init.h"

static const struct str prefix = STR_INIT("hfr_");

static void put_generation(uint32_t generation, uint8_t bytes[4])
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(generation >> (24 - 8 * i));
}

/* Every part has a fixed length, so the parts cannot be shifted against each other. */
struct parts {
    uint8_t generation[4];
    struct str p[4];
};
enum { PARTS = 4 };

static void fill_parts(const struct uuid *family_id, uint32_t generation, const uint8_t *seed,
                       struct parts *ret)
{
    put_generation(generation, ret->generation);
    ret->p[0] = REFRESH_LABEL;
    ret->p[1] = (struct str){(const char *)family_id->b, sizeof family_id->b};
    ret->p[2] = (struct str){(const char *)ret->generation, sizeof ret->generation};
    ret->p[3] = (struct str){(const char *)seed, REFRESH_SEED_SIZE};
}

int refresh_token_make(const struct mac_ring *keys, const struct uuid *family_id,
                       uint32_t generation, const uint8_t seed[REFRESH_SEED_SIZE],
                       char ret_text[REFRESH_TOKEN_TEXT_SIZE])
{
    uint8_t bytes[REFRESH_TOKEN_BYTES];
    struct parts parts;

    memcpy(bytes, family_id->b, 16);
    put_generation(generation, bytes + 16);
    fill_parts(family_id, generation, seed, &parts);
    int r = mac_ring_make(keys, parts.p, PARTS, bytes + 20);
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

int refresh_token_check(const struct mac_ring *keys, const struct refresh_token *token,
                        const uint8_t seed[REFRESH_SEED_SIZE])
{
    struct parts parts;

    fill_parts(&token->family_id, token->generation, seed, &parts);
    int r = mac_ring_check(keys, parts.p, PARTS, token->mac);
    return r == MAC_FORGED ? REFRESH_TOKEN_INVALID : r;
}
