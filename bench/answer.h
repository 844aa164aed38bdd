/*
 * Reading HTTP/1.1 answers (RFC 9112) whose length is declared: what a load generator needs.
 * Used by: the benchmark's programs. Ownership: the views point into the caller's buffer.
 * Threads: any.
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include "base/str.h"

/* Outcomes. */
enum {
    ANSWER_MORE = 1,      /* the bytes are the beginning of an answer */
    ANSWER_MALFORMED = 2, /* no answer begins so, or its length is not declared */
};

struct answer {
    int status;
    struct str body;
    size_t length; /* of head and body */
};

/* Reads the answer at the beginning of bytes. Returns 0 or an outcome. */
int answer_read(struct str bytes, struct answer *ret);

/*
 * Finds the first member of that name whose value is a string without escapes, at any depth.
 * Returns 0, or 1 where there is none.
 */
int answer_member(struct str json, struct str name, struct str *ret_value);

#endif
