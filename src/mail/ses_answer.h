/*
 * Reads what the second version of SES's API answers: JSON of which members are taken.
 * Rooms: mail. Ownership: plain values. Threads: any.
 */
#ifndef HOLDFAST_MAIL_SES_ANSWER_H
#define HOLDFAST_MAIL_SES_ANSWER_H

#include "base/str.h"

/*
 * Keeps the MessageId of an answer to SendEmail. Returns 0, or 1 where it holds none of printable
 * ASCII without spaces that fits in size.
 */
int ses_answer_message_id(struct str answer, char *ret, size_t size);

/* How an account may send, from an answer to GetAccount. */
struct ses_account {
    bool production; /* false: in SES's sandbox */
    bool sending;
    char enforcement[32]; /* "HEALTHY", "PROBATION", "SHUTDOWN"; "": it does not say */
    double per_day, per_second, sent_today;
};

/* Returns 0, or 1 where the answer is not one. */
int ses_answer_account(struct str answer, struct ses_account *ret);

#endif
