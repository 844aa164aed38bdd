/*
 * The words of Amazon SES and what they are here.
 * Rooms: mail. Ownership: static. Threads: any.
 */
#ifndef HOLDFAST_MAIL_SES_WORDS_H
#define HOLDFAST_MAIL_SES_WORDS_H

#include "mail/ses_event.h"

/* What a kind of event is told by. */
struct ses_form {
    struct str word; /* notificationType or eventType */
    enum ses_kind kind;
    const char *name;       /* ours */
    const char *object;     /* the member that describes it */
    const char *recipients; /* its list of recipients; NULL: mail.destination */
    const char *detail;     /* its text for people; NULL: none */
};

/* The form of a kind by its word; NULL where it is not known. */
const struct ses_form *ses_form_of(struct str word);
const struct ses_form *ses_form_of_kind(enum ses_kind kind);

/* Words to values; *_UNKNOWN for others, *_NONE for the empty word (SES_TYPE_UNKNOWN for types). */
enum ses_type ses_type_of(struct str word);
enum ses_subtype ses_subtype_of(struct str word);
enum ses_feedback ses_feedback_of(struct str word);

#endif
