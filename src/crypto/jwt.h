/*
 * Access tokens: JWTs (RFC 7519) in compact JWS form (RFC 7515), which we issue and verify.
 * Rooms: sessions and below. Threads: any, on keys that no longer change. Verifying an HS256 token
 * allocates nothing and suits event threads; EdDSA and ES256 cost tens
 * of microseconds.
 *
 * Only what we issued is accepted, so no header is ever interpreted: a token's header segment must
 * equal, byte for byte, the header of one of our keys, and that selects the key. After the
 * signature, the payload must have exactly the form in which we write it.
 *
 * One secret gives the key of whichever algorithm is chosen. For HS256 the key is the bytes of the
 * secret's text, as common libraries take it. The Ed25519 seed and the P-256 scalar come from it by
 * HKDF, so that rotating the secret rotates each of them.
 *
 * An ES256 signature (r, s) has a twin (r, n - s) that verifies as well: a token's bytes are not
 * its identity. Deny lists go by sid or jti.
 */
#ifndef HOLDFAST_JWT_H
#define HOLDFAST_JWT_H

#include "base/buf.h"
#include "base/uuid.h"

enum {
    JWT_MAX = 2048,      /* bytes of a token */
    JWT_SECRET_MIN = 32, /* bytes of a secret's text (RFC 7518, section 3.2) */
    JWT_NAME_MAX = 256,  /* bytes of the issuer and of the audience */
    JWT_ROLE_SIZE = 16,  /* a role's name and its NUL */
    JWT_RETIRED_MAX = 8,
    JWT_SKEW_MS = 60 * 1000 /* how far ahead of our clock a token may have been issued */
};

enum jwt_algorithm { JWT_HS256, JWT_EDDSA, JWT_ES256 };

/* Bits of how the user was authenticated (RFC 8176); both together are written as "mfa" too. */
enum { JWT_AMR_PWD = 1, JWT_AMR_OTP = 2 };

struct jwt_claims {
    struct uuid sub;          /* user */
    struct uuid tid;          /* tenant */
    struct uuid sid;          /* token family */
    struct uuid jti;          /* token; a version 7 id tells its issue in ms, finer than iat */
    char role[JWT_ROLE_SIZE]; /* lower-case letters and '_' */
    unsigned amr;
    int64_t iat, exp; /* seconds since 1970 */
};

enum jwt_outcome {
    JWT_MALFORMED = 1, /* not three segments, too long, or a signed payload not of our form */
    JWT_SIGNATURE,     /* the header is none of our keys', or the signature is not by that key */
    JWT_EXPIRED,
    JWT_NOT_YET, /* issued more than JWT_SKEW_MS ahead of now */
    JWT_AUDIENCE /* for another issuer or audience */
};

struct jwt_keys;

/* "HS256", "EdDSA" or "ES256". Returns 0, or 1 where the name is none of them. */
int jwt_algorithm_parse(struct str name, enum jwt_algorithm *ret_algorithm);

/*
 * Keys of one algorithm: the active secret's signs, those of the n_retired ones still verify.
 * Issuer and audience are UTF-8 text, copied. Free with jwt_keys_free, which wipes them. Returns 0;
 * FAULT_LIMIT where a text is too short or too long, or a secret appears twice; FAULT_MEMORY;
 * FAULT_CRYPTO.
 */
int jwt_keys_new(enum jwt_algorithm algorithm, struct str active, const struct str *retired,
                 size_t n_retired, struct str issuer, struct str audience,
                 struct jwt_keys **ret_keys);
void jwt_keys_free(struct jwt_keys *keys);

/* The active key's id: 16 characters of hex, NUL-terminated, valid as long as the keys. */
const char *jwt_keys_id(const struct jwt_keys *keys);

/*
 * Appends a token. Returns 0; FAULT_INTERNAL where the claims are not of the form above (role,
 * amr, 0 <= iat < exp); FAULT_LIMIT, FAULT_MEMORY, FAULT_CRYPTO.
 */
int jwt_issue(const struct jwt_keys *keys, const struct jwt_claims *claims, struct buf *ret_token);

/* Reads a token at now_ms (UTC). Returns 0, an enum jwt_outcome, or FAULT_CRYPTO. */
int jwt_verify(const struct jwt_keys *keys, struct str token, int64_t now_ms,
               struct jwt_claims *ret_claims);

/*
 * Appends the JWK Set (RFC 7517) of the active and retired public keys; HS256 has none.
 * Returns 0, FAULT_LIMIT or FAULT_MEMORY.
 */
int jwt_jwks(const struct jwt_keys *keys, struct buf *ret_json);

#define _cleanup_jwt_keys_ __attribute__((cleanup(jwt_keys_freep)))
static inline void jwt_keys_freep(struct jwt_keys **keys)
{
    jwt_keys_free(*keys);
}

#endif
