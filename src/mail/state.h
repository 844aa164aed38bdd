/*
 * What became of a message to one recipient, and which of several tellings stands.
 * Rooms: mail and below. Ownership: static names; marks hold views of the caller's. Threads: any.
 */
#ifndef HOLDFAST_MAIL_STATE_H
#define HOLDFAST_MAIL_STATE_H

#include "base/str.h"

/* In the order of precedence: whatever the order of arrival, the greatest stands. */
enum mail_state {
    MAIL_QUEUED,     /* accepted, not handed over yet */
    MAIL_SENT,       /* handed over */
    MAIL_DELAYED,    /* the recipient's server was tried and will be again */
    MAIL_DELIVERED,  /* the recipient's server has it */
    MAIL_SUPPRESSED, /* never handed over, or never sent by the provider: the address is listed */
    MAIL_REJECTED,   /* the transport did not take it */
    MAIL_BOUNCED,    /* it came back */
    MAIL_COMPLAINED, /* the recipient called it unwanted */
    MAIL_STATES,
    MAIL_NO_STATE = MAIL_STATES /* of an event that says nothing of it */
};

/* "queued", "sent", ... as in the store and on the wire; "" for MAIL_NO_STATE. */
struct str mail_state_name(enum mail_state state);

/* Returns 0, or 1 where name is none of them ("" is none). */
int mail_state_parse(struct str name, enum mail_state *ret_state);

/* A telling of what became of it. */
struct mail_mark {
    enum mail_state state;
    bool counted; /* in the rate of bounces or of complaints */
    int64_t at;   /* when it happened, ms since 1970 */
    struct str code, detail;
};

/*
 * Takes over what stands: the greater state; of equal ones the counted, then the earlier, and for
 * what is left any fixed order, so that the order of calls makes no difference. Says whether
 * anything changed. A by of MAIL_NO_STATE changes nothing.
 */
bool mail_mark_raise(struct mail_mark *mark, const struct mail_mark *by);

#endif
