/*
 * Problems: the one table of errors that the API answers (RFC 9457).
 * Rooms: http and below. Threads: any.
 */
#ifndef HOLDFAST_HTTP_PROBLEM_H
#define HOLDFAST_HTTP_PROBLEM_H

#include "base/json.h"

/* Positive, so that a handler may return one as its outcome. */
enum problem {
    PROBLEM_BAD_REQUEST = 1,
    PROBLEM_INVALID_FIELD,
    PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    PROBLEM_UNAUTHENTICATED,
    PROBLEM_INVALID_CREDENTIALS,
    PROBLEM_MFA_REQUIRED,
    PROBLEM_TOKEN_INVALID,
    PROBLEM_TOKEN_EXPIRED,
    PROBLEM_TOKEN_REVOKED,
    PROBLEM_TOKEN_REUSED,
    PROBLEM_INVALID_CLIENT,
    PROBLEM_SIGNATURE_INVALID,
    PROBLEM_FORBIDDEN,
    PROBLEM_SECOND_FACTOR_NEEDED,
    PROBLEM_PASSWORD_CHANGE_REQUIRED,
    PROBLEM_REVOCATION_DISABLED,
    PROBLEM_REGISTRATION_DISABLED,
    PROBLEM_EMAIL_MONITORING_DISABLED,
    PROBLEM_TOPIC_NOT_ALLOWED,
    PROBLEM_NOT_FOUND,
    PROBLEM_METHOD_NOT_ALLOWED,
    PROBLEM_CONFLICT,
    PROBLEM_IDEMPOTENCY_CONFLICT,
    PROBLEM_SUPPRESSED,
    PROBLEM_TIMEOUT,
    PROBLEM_TOO_LARGE,
    PROBLEM_URI_TOO_LONG,
    PROBLEM_EXPECTATION_FAILED,
    PROBLEM_HEADERS_TOO_LARGE,
    PROBLEM_RATE_LIMITED,
    PROBLEM_INTERNAL,
    PROBLEM_NOT_IMPLEMENTED,
    PROBLEM_UNAVAILABLE,
    PROBLEM_OVERLOADED,
    PROBLEM_MAIL_OFF,
    PROBLEM_OUTBOX_FULL,
    PROBLEM_LIST_FULL,
    PROBLEM_VERSION,
    PROBLEMS
};

struct problem_row {
    int status;
    const char *code;  /* for programs; stable */
    const char *title; /* for people */
};

/* A problem's "type" is this and its code: a place on the docs page (RFC 9457, section 3.1.1). */
#define PROBLEM_TYPE_PREFIX "/docs#problem-"

/* The row of a problem; PROBLEM_INTERNAL's for a value outside the table. */
const struct problem_row *problem_row(int problem);

/* The problem that a status of the engine's own refusals stands for. */
enum problem problem_of_status(int status);

/*
 * Writes the problem object. An empty detail or field, or a request_id of NULL, is left out.
 */
void problem_write(struct buf *out, int problem, struct str detail, struct str field,
                   const struct uuid *request_id);

#endif
