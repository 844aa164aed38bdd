/*
 * What is read as a refresh token is the one text of its bytes: encoded again it is the input. And
 * no bytes of a stranger are authentic.
 */
#include "base/encode.h"
#include "crypto/init.h"
#include "sessions/refresh_token.h"

#include "fuzz.h"

static struct mac_ring keys;

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct str secret = STR("0123456789abcdef0123456789abcdef");

    FUZZ_CHECK(crypto_init() == 0);
    FUZZ_CHECK(mac_ring_derive(&secret, 1, REFRESH_LABEL, &keys) == 0);
    return 0;
}

static void check_text(struct str given, const struct refresh_token *token)
{
    uint8_t bytes[REFRESH_TOKEN_BYTES];
    char text[REFRESH_TOKEN_TEXT_SIZE] = "hfr_";

    memcpy(bytes, token->family_id.b, 16);
    for (int i = 0; i < 4; i++)
        bytes[16 + i] = (uint8_t)(token->generation >> (24 - 8 * i));
    memcpy(bytes + 20, token->mac, MAC_SIZE);
    FUZZ_CHECK(base64url_encode(bytes, sizeof bytes, text + 4) == REFRESH_TOKEN_TEXT - 4);
    FUZZ_CHECK(str_eq(given, (struct str){text, REFRESH_TOKEN_TEXT}));
}

/* What is made of the same family and generation is taken, and differs in nothing but the MAC. */
static void check_own(const struct refresh_token *token, const uint8_t *seed)
{
    char text[REFRESH_TOKEN_TEXT_SIZE];
    struct refresh_token own;

    FUZZ_CHECK(refresh_token_make(&keys, &token->family_id, token->generation, seed, text) == 0);
    FUZZ_CHECK(refresh_token_parse(str_of(text), &own) == 0);
    FUZZ_CHECK(refresh_token_check(&keys, &own, seed) == 0);
    FUZZ_CHECK(uuid_eq(&own.family_id, &token->family_id));
    FUZZ_CHECK(own.generation == token->generation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[REFRESH_SEED_SIZE] = "any";
    struct str given = {(const char *)data, size};
    struct refresh_token token;

    if (refresh_token_parse(given, &token))
        return 0;
    FUZZ_CHECK(token.generation <= REFRESH_GENERATION_MAX);
    check_text(given, &token);
    FUZZ_CHECK(refresh_token_check(&keys, &token, seed) == REFRESH_TOKEN_INVALID);
    check_own(&token, seed);
    return 0;
}
