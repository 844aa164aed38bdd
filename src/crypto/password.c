#include "crypto/password.h"

#include "base/fault.h"
#include "crypto/common_passwords.h"
#include "crypto/init.h"

#include <errno.h>
#include <sodium.h>

/* 31 characters: no 0, 1, i, l, o. Letters and digits of which a group of six has 29.7 bits. */
static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz23456789";

enum { GROUPS = 4, GROUP = 6 };

_Static_assert(PASSWORD_GENERATED_SIZE == GROUPS * (GROUP + 1), "groups, hyphens and the NUL");
_Static_assert(PASSWORD_HASH_SIZE == crypto_pwhash_STRBYTES, "the library's encoded hash");

static int compare(const void *key, const void *row)
{
    return strcmp(key, row);
}

/* Entries shorter than PASSWORD_MIN are not in the table: they are refused for their length. */
static bool is_common(struct str password)
{
    char lower[sizeof common_passwords[0]];
    bool found;

    if (password.n >= sizeof lower || memchr(password.p, '\0', password.n))
        return false;
    for (size_t i = 0; i < password.n; i++) {
        char c = password.p[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    lower[password.n] = '\0';
    found = bsearch(lower, common_passwords, sizeof common_passwords / sizeof common_passwords[0],
                    sizeof common_passwords[0], compare) != NULL;
    crypto_wipe(lower, sizeof lower);
    return found;
}

int password_check(struct str password)
{
    size_t length;

    if (password.n > PASSWORD_MAX_BYTES)
        return PASSWORD_LONG;
    if (!str_is_utf8(password))
        return PASSWORD_NOT_UTF8;
    length = str_utf8_length(password);
    if (length < PASSWORD_MIN)
        return PASSWORD_SHORT;
    if (length > PASSWORD_MAX)
        return PASSWORD_LONG;
    return is_common(password) ? PASSWORD_COMMON : 0;
}

int password_hash(struct str password, char ret_hash[PASSWORD_HASH_SIZE])
{
    char hash[PASSWORD_HASH_SIZE];

    if (password.n > PASSWORD_MAX_BYTES)
        return fault_set(FAULT_LIMIT, "a password exceeds %d bytes", PASSWORD_MAX_BYTES);
    if (crypto_pwhash_str_alg(hash, password.p ? password.p : "", password.n, PASSWORD_PASSES,
                              PASSWORD_MEMORY, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return fault_set(FAULT_MEMORY, "no memory to hash a password");
    memcpy(ret_hash, hash, sizeof hash);
    return 0;
}

/* The library reads an encoded hash as a C string. Returns whether it fits into one. */
static bool terminate(struct str hash, char ret_text[PASSWORD_HASH_SIZE])
{
    if (hash.n >= PASSWORD_HASH_SIZE || (hash.n > 0 && memchr(hash.p, '\0', hash.n)))
        return false;
    if (hash.n > 0)
        memcpy(ret_text, hash.p, hash.n);
    ret_text[hash.n] = '\0';
    return true;
}

int password_verify(struct str password, struct str hash)
{
    char text[PASSWORD_HASH_SIZE];

    if (password.n > PASSWORD_MAX_BYTES)
        return 1;
    errno = 0;
    if (terminate(hash, text)) {
        if (crypto_pwhash_argon2id_str_verify(text, password.p ? password.p : "", password.n) == 0)
            return 0;
        /* The library's one way to tell a mismatch from its other failures. */
        if (errno == EINVAL)
            return 1;
        if (errno == ENOMEM)
            return fault_set(FAULT_MEMORY, "no memory to verify a password");
    }
    return fault_set(FAULT_CRYPTO, "a stored password hash is damaged");
}

int password_verify_dummy(struct str password)
{
    static const unsigned char salt[crypto_pwhash_SALTBYTES];
    unsigned char digest[32];
    int e;

    if (password.n > PASSWORD_MAX_BYTES)
        return 1;
    e = crypto_pwhash(digest, sizeof digest, password.p ? password.p : "", password.n, salt,
                      PASSWORD_PASSES, PASSWORD_MEMORY, crypto_pwhash_ALG_ARGON2ID13);
    crypto_wipe(digest, sizeof digest);
    return e ? fault_set(FAULT_MEMORY, "no memory to verify a password") : 1;
}

bool password_needs_rehash(struct str hash)
{
    char text[PASSWORD_HASH_SIZE];

    return !terminate(hash, text) ||
           crypto_pwhash_argon2id_str_needs_rehash(text, PASSWORD_PASSES, PASSWORD_MEMORY) != 0;
}

void password_generate(char ret_password[PASSWORD_GENERATED_SIZE])
{
    char *out = ret_password;

    for (int group = 0; group < GROUPS; group++) {
        for (int i = 0; i < GROUP; i++)
            *out++ = alphabet[randombytes_uniform(sizeof alphabet - 1)];
        *out++ = group + 1 < GROUPS ? '-' : '\0';
    }
}
