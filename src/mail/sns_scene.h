/*
 * For tests: a verifier, whose certificates come from a source that is told what to answer and
 * counts how often it is asked.
 * Rooms: tests. Ownership: one scene a process. Threads: one, but for the source, which any may
 * fetch from.
 */
#ifndef HOLDFAST_MAIL_SNS_SCENE_H
#define HOLDFAST_MAIL_SNS_SCENE_H

#include "mail/sns.h"
#include "mail/sns_fixture.h"

#include <stdatomic.h>

#define SNS_SCENE_NOW INT64_C(1790000000000) /* 2026-09-21T14:13:20Z */

struct sns_scene {
    struct sns_fixture_ca ca, foreign; /* of the same name; the second is not trusted */
    struct certificate_trust *trust;
    EVP_PKEY *key, *other_key, *weak_key; /* the first is in the certificate that is served */
    struct sns_verifier *verifier;
    struct arena arena;

    /* What the source answers: pem, or outcome where it is not 0. */
    struct buf pem;
    int outcome;
    _Atomic int fetches;
    char url[512]; /* the last that it was asked for */
    /* It waits until so many threads have set out. */
    _Atomic int awaited, arrived;
};

extern struct sns_scene sns_scene;

/* For cmocka: the keys of a group; and a new verifier for each test. */
int sns_scene_open(void **state);
int sns_scene_close(void **state);
int sns_scene_set_up(void **state);
int sns_scene_tear_down(void **state);

/* A new verifier, as between tests. */
void sns_scene_again(void);

int sns_scene_fetch(void *context, const char *url, struct buf *ret_pem);

/* The certificate that is served from the beginning, and another in its place. */
struct sns_fixture_leaf sns_scene_leaf(void);
void sns_scene_serve(const struct sns_fixture_ca *by, const struct sns_fixture_leaf *leaf);

/* Envelopes of now. */
struct sns_fixture_envelope sns_scene_notification(void);
struct sns_fixture_envelope sns_scene_confirmation(const char *type);

/* Verifies an envelope with a signature made of another, at that time from now. */
int sns_scene_verify_with(const struct sns_fixture_envelope *sent,
                          const struct sns_fixture_envelope *signed_one, EVP_PKEY *by,
                          int64_t offset, struct sns_message *ret);
int sns_scene_verify(const struct sns_fixture_envelope *e, int64_t offset);

#endif
