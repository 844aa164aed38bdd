/*
 * The parts of a checkpoint's line, and signing one. Rooms: trail only. Threads: any.
 */
#ifndef HOLDFAST_TRAIL_LINE_H
#define HOLDFAST_TRAIL_LINE_H

#include "trail/checkpoint.h"

enum { CHECKPOINT_LINE_MAX = 1024, CHECKPOINT_TEXT_MAX = 128 };

struct checkpoint_texts {
    int64_t seq;
    char chain[CHECKPOINT_TEXT_MAX], mac[CHECKPOINT_TEXT_MAX], at[CHECKPOINT_TEXT_MAX];
    char key[CHECKPOINT_TEXT_MAX], signature[CHECKPOINT_TEXT_MAX];
};

/* Returns 0, or 1 where json is no object with exactly these members (detail.c). */
int checkpoint_texts_parse(struct str json, struct checkpoint_texts *ret_texts);

/* Sets key and signature. Returns 0 or a fault. */
int checkpoint_sign(struct checkpoint *checkpoint, const struct sign_key *key);

#endif
