/*
 * What the kinds of targets share: waiting, reading the state, the image of a release, programs and
 * their output, files of evidence.
 *
 * Rooms: deploy. Ownership: texts live in the target's arena. Threads: one that may wait.
 */
#ifndef HOLDFAST_DEPLOY_TARGETS_COMMON_H
#define HOLDFAST_DEPLOY_TARGETS_COMMON_H

#include "deploy/child.h"
#include "deploy/target.h"

#include <stdio.h>

/* Says why (fault_message) and gives the outcome. */
#define target_fail(outcome, ...) (fault_keep(__VA_ARGS__), (int)(outcome))

/* 0, TARGET_CANCELLED, or TARGET_TIMEOUT behind the deadline. doing is what was waited for: "the
 * tasks to run". */
int target_look(const struct target *t, const char *doing);

/* Waits so long, no further than the deadline; returns as target_look, before and after. */
int target_pause(const struct target *t, int64_t ms, const char *doing);

/* How long a program or call may go on: until the deadline, at most max_ms; at least 1. */
int64_t target_left(const struct target *t, int64_t max_ms);

/* A member of an object that is a text, or ""; a number, or 0. */
const char *target_text(const json_t *object, const char *key);
int64_t target_number(const json_t *object, const char *key);

/* As arena_printf; a fault is in *fault, where that is still 0. */
const char *target_format(const struct target *t, int *fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What people call the release of an image: behind its name the digest, or else the tag; "" where
 * it has neither. Lives in the arena; NULL without memory. */
const char *target_release(const struct target *t, const char *image);

/* The configured image in the release: "shop:1.2" or "shop@sha256:…". NULL without memory. */
const char *target_image(const struct target *t);

/* Journals a text under its name, unless nobody keeps a journal. */
int target_note(const struct target *t, const char *name, const char *value);

/*
 * A file of the deployment's directory to append evidence to, or NULL: then the reason was said,
 * and nothing depends on it. The first line says when.
 */
FILE *target_evidence(const struct target *t, const char *name);

/* Writes what a program printed into it. */
void target_evidence_add(FILE *file, const struct buf *printed);

/* A program of a target, and what it printed. */
struct target_run {
    const char *const *argv;
    const char *const *environment;
    const char *directory;
    struct str input;
    int64_t timeout_ms;  /* 0: that of the deadline */
    struct buf out, err; /* what of it fits */
};

enum { TARGET_OUT_MAX = 8 * 1024 * 1024, TARGET_ERR_MAX = 64 * 1024 };

/* Runs it within the deadline. Returns 0, TARGET_FAILED (fault_message ends in its last line of
 * errors), TARGET_UNREACHABLE where there is no such program, TARGET_TIMEOUT, TARGET_CANCELLED, or
 * a fault. out and err are emptied first; the caller frees them. */
int target_run(const struct target *t, struct target_run *run);
void target_run_free(struct target_run *run);

#define _cleanup_run_ __attribute__((cleanup(target_run_free)))

static inline void target_json_free(json_t **json)
{
    json_decref(*json);
}

#define _cleanup_json_ __attribute__((cleanup(target_json_free)))

#endif
