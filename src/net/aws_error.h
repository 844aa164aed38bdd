/*
 * What AWS says when it does not do what it was asked, in whichever of its forms: JSON with the
 * name of the error in a header or in the body, or XML.
 * Rooms: those below net. Ownership: plain values. Threads: any.
 */
#ifndef HOLDFAST_NET_AWS_ERROR_H
#define HOLDFAST_NET_AWS_ERROR_H

#include "base/str.h"

enum { AWS_CODE_SIZE = 64, AWS_TEXT_SIZE = 256 };

/* What a call comes to besides 0 and faults. */
enum aws_outcome {
    AWS_THROTTLED = 1, /* too much at once, or a quota is used up; it did not happen */
    AWS_TEMPORARY,     /* trouble at AWS; it did not happen */
    AWS_PERMANENT,     /* refused, and will be again */
    AWS_CREDENTIALS,   /* there are none, or they are wrong, expired or not allowed to do this */
    AWS_UNREACHABLE,   /* no connection; nothing was sent */
    AWS_UNCERTAIN      /* sent, and not answered: it may have happened */
};

struct aws_error {
    int status;               /* of HTTP; 0: there was no answer */
    int64_t retry_after_ms;   /* 0: it does not say */
    char code[AWS_CODE_SIZE]; /* "MessageRejected": without "Exception" at its end; never empty */
    char text[AWS_TEXT_SIZE]; /* printable, one line, cut; may be empty */
};

/*
 * Reads code and text of an answer; type is its header X-Amzn-ErrorType, or empty. The rest of
 * *ret is left alone; where the answer has no code, *ret's status makes one: "HTTP 503".
 */
void aws_error_read(struct str type, struct str body, struct aws_error *ret);

/* The outcome that status and code mean. */
enum aws_outcome aws_error_class(const struct aws_error *error);

/* Whether the answer says that credentials which were good are not any more. */
bool aws_error_is_expiry(const struct aws_error *error);

/* Keeps a text as aws_error has it: its first line, printable. */
void aws_error_text(struct str text, char ret[AWS_TEXT_SIZE]);

#endif
