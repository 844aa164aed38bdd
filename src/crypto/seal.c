#include "crypto/seal.h"

#include "base/fault.h"
#include "crypto/init.h"
#include "crypto/mac.h"
#include "crypto/openssl.h"

enum { VERSION = 1, NONCE = 12, TAG = 16, HEAD = 1 + SEAL_KEY_ID_SIZE };

_Static_assert(SEAL_OVERHEAD == HEAD + NONCE + TAG, "the parts of a sealed value");

static int key_init(const uint8_t secret[SEAL_KEY_SIZE], struct seal_key *ret_key)
{
    struct str s = {(const char *)secret, SEAL_KEY_SIZE};
    int e = mac_hkdf(s, STR(""), STR("holdfast seal key v1"), ret_key->key, sizeof ret_key->key);

    return e ? e
             : mac_hkdf(s, STR(""), STR("holdfast seal key id v1"), ret_key->id,
                        sizeof ret_key->id);
}

static const struct seal_key *find(const struct seal_keys *keys, const void *id)
{
    for (size_t i = 0; i < keys->n; i++)
        if (memcmp(keys->ring[i].id, id, SEAL_KEY_ID_SIZE) == 0)
            return &keys->ring[i];
    return NULL;
}

static int add(struct seal_keys *keys, const uint8_t secret[SEAL_KEY_SIZE])
{
    struct seal_key *key = &keys->ring[keys->n];
    int e = key_init(secret, key);

    if (e)
        return e;
    if (find(keys, key->id))
        return fault_set(FAULT_CRYPTO, "two encryption keys have the same id");
    keys->n++;
    return 0;
}

int seal_keys_init(const uint8_t active[SEAL_KEY_SIZE], const uint8_t (*retired)[SEAL_KEY_SIZE],
                   size_t n_retired, struct seal_keys *ret_keys)
{
    struct seal_keys keys = {.n = 0};
    int e;

    if (n_retired > SEAL_RETIRED_MAX)
        return fault_set(FAULT_LIMIT, "more than %d retired encryption keys", SEAL_RETIRED_MAX);
    e = add(&keys, active);
    for (size_t i = 0; !e && i < n_retired; i++)
        e = add(&keys, retired[i]);
    if (!e)
        *ret_keys = keys;
    seal_keys_release(&keys);
    return e;
}

void seal_keys_release(struct seal_keys *keys)
{
    crypto_wipe(keys, sizeof *keys);
}

/* Authenticates the head, then each part behind its length. */
static bool add_context(EVP_CIPHER_CTX *cipher, const uint8_t head[HEAD], const struct str *context,
                        size_t n)
{
    int done;
    bool ok = EVP_CipherUpdate(cipher, NULL, &done, head, HEAD);

    for (size_t i = 0; ok && i < n; i++) {
        uint8_t length[4];
        for (int byte = 0; byte < 4; byte++)
            length[byte] = (uint8_t)(context[i].n >> (24 - 8 * byte));
        ok = EVP_CipherUpdate(cipher, NULL, &done, length, sizeof length) &&
             (context[i].n == 0 ||
              EVP_CipherUpdate(cipher, NULL, &done, (const uint8_t *)context[i].p,
                               (int)context[i].n));
    }
    return ok;
}

static int check_sizes(const struct str *context, size_t n_context, size_t n_text)
{
    if (n_context > SEAL_CONTEXT_MAX || n_text > SEAL_PLAINTEXT_MAX)
        return fault_set(FAULT_LIMIT, "too much to seal");
    for (size_t i = 0; i < n_context; i++)
        if (context[i].n > SEAL_PLAINTEXT_MAX)
            return fault_set(FAULT_LIMIT, "too long a context to seal");
    return 0;
}

/* Encrypts behind out's end, where room is reserved. */
static bool cipher_seal(EVP_CIPHER_CTX *cipher, const struct seal_key *key,
                        const struct str *context, size_t n_context, struct str plaintext,
                        uint8_t *out)
{
    uint8_t *nonce = out + HEAD, *text = nonce + NONCE;
    int n = 0;

    out[0] = VERSION;
    memcpy(out + 1, key->id, sizeof key->id);
    crypto_random(nonce, NONCE);
    return EVP_EncryptInit_ex2(cipher, openssl_aes_256_gcm(), key->key, nonce, NULL) &&
           add_context(cipher, out, context, n_context) &&
           (plaintext.n == 0 ||
            EVP_EncryptUpdate(cipher, text, &n, (const uint8_t *)plaintext.p, (int)plaintext.n)) &&
           EVP_EncryptFinal_ex(cipher, text + n, &n) &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG, text + plaintext.n);
}

int seal(const struct seal_keys *keys, const struct str *context, size_t n_context,
         struct str plaintext, struct buf *ret_sealed)
{
    size_t n = SEAL_OVERHEAD + plaintext.n;
    EVP_CIPHER_CTX *cipher;
    int e = check_sizes(context, n_context, plaintext.n);

    if (e || (e = buf_reserve(ret_sealed, n)))
        return e;
    cipher = EVP_CIPHER_CTX_new();
    if (cipher && cipher_seal(cipher, &keys->ring[0], context, n_context, plaintext,
                              (uint8_t *)ret_sealed->p + ret_sealed->n))
        ret_sealed->n += n;
    else
        e = openssl_fault("AES-256-GCM");
    EVP_CIPHER_CTX_free(cipher);
    return e;
}

/* Decrypts n bytes of text behind out's end. Returns 0, SEAL_REFUSED or FAULT_CRYPTO. */
static int cipher_open(EVP_CIPHER_CTX *cipher, const struct seal_key *key,
                       const struct str *context, size_t n_context, const uint8_t *sealed, size_t n,
                       uint8_t *out)
{
    const uint8_t *nonce = sealed + HEAD, *text = nonce + NONCE;
    uint8_t tag[TAG];
    int done = 0;

    memcpy(tag, text + n, sizeof tag);
    if (!EVP_DecryptInit_ex2(cipher, openssl_aes_256_gcm(), key->key, nonce, NULL) ||
        !add_context(cipher, sealed, context, n_context) ||
        (n > 0 && !EVP_DecryptUpdate(cipher, out, &done, text, (int)n)) ||
        !EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG, tag))
        return openssl_fault("AES-256-GCM");
    return EVP_DecryptFinal_ex(cipher, out + done, &done) == 1 ? 0 : SEAL_REFUSED;
}

int unseal(const struct seal_keys *keys, const struct str *context, size_t n_context,
           struct str sealed, struct buf *ret_plaintext)
{
    const struct seal_key *key;
    EVP_CIPHER_CTX *cipher;
    size_t n;
    int e;

    if (sealed.n < SEAL_OVERHEAD || sealed.p[0] != VERSION || !(key = find(keys, sealed.p + 1)))
        return SEAL_REFUSED;
    n = sealed.n - SEAL_OVERHEAD;
    if ((e = check_sizes(context, n_context, n)) || (e = buf_reserve(ret_plaintext, n)))
        return e;
    cipher = EVP_CIPHER_CTX_new();
    e = cipher ? cipher_open(cipher, key, context, n_context, (const uint8_t *)sealed.p, n,
                             (uint8_t *)ret_plaintext->p + ret_plaintext->n)
               : openssl_fault("AES-256-GCM");
    EVP_CIPHER_CTX_free(cipher);
    if (!e)
        ret_plaintext->n += n;
    else if (n > 0)
        crypto_wipe(ret_plaintext->p + ret_plaintext->n, n);
    return e;
}

bool seal_needs_reseal(const struct seal_keys *keys, struct str sealed)
{
    return sealed.n < SEAL_OVERHEAD || sealed.p[0] != VERSION ||
           memcmp(keys->ring[0].id, sealed.p + 1, SEAL_KEY_ID_SIZE) != 0;
}
