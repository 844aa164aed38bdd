/*
 * Ways by which a message leaves: what each does is one row of functions.
 *
 * Rooms: mail and below. Ownership: the caller frees with transport_free; what is sent is views of
 * the caller's. Threads: send is called by the outbox's threads, several at once, and blocks.
 */
#ifndef HOLDFAST_MAIL_TRANSPORT_H
#define HOLDFAST_MAIL_TRANSPORT_H

#include "base/uuid.h"
#include "config/config.h"
#include "mail/log.h"
#include "store/store.h"

enum {
    TRANSPORT_ID_SIZE = 201,
    TRANSPORT_CODE_SIZE = 64,
    TRANSPORT_TEXT_SIZE = 256,
    TRANSPORT_TEMPLATE_SIZE = 401, /* of a template's name: 100 characters */
    TRANSPORT_TIME_MS = 30 * 1000  /* what a handover may take, whatever the other side does */
};

/* A message that is ready: one MIME text to several recipients of an envelope. */
struct transport_message {
    struct uuid id, tenant_id;
    struct str message_id;    /* of its Message-ID field, without the angle brackets */
    struct str template_name; /* for events to repeat; empty: none */
    struct str from;          /* the envelope's sender: an address alone */
    const struct str *recipients;
    size_t n; /* 1 to MAIL_RECIPIENTS_MAX */
    struct str mime;
};

enum transport_result {
    TRANSPORT_ACCEPTED,  /* it has taken charge of it for this recipient */
    TRANSPORT_TEMPORARY, /* it has not; a later try may succeed */
    TRANSPORT_PERMANENT, /* it has not and will not */
    TRANSPORT_UNCERTAIN  /* all was sent, and the answer never came */
};

struct transport_fate {
    enum transport_result result;
    bool general;                   /* TEMPORARY: about the way, not this message: others would
                                     * fare no better now */
    int64_t retry_after_ms;         /* 0: it does not say */
    char code[TRANSPORT_CODE_SIZE]; /* such as "550" or "MessageRejected"; "": none */
    char text[TRANSPORT_TEXT_SIZE]; /* for people; printable */
};

struct transport;

struct transport_kind {
    const char *name; /* as email_logs.transport has it */
    /*
     * Hands m over. ret_fates has m->n elements, in the order of the recipients. ret_provider_id is
     * what events will call the message: set where any fate is TRANSPORT_ACCEPTED. Returns 0 or a
     * fault of ours (memory), upon which nothing was handed over and the message is tried again.
     * It takes at most TRANSPORT_TIME_MS.
     */
    int (*send)(struct transport *t, const struct transport_message *m,
                char ret_provider_id[TRANSPORT_ID_SIZE], struct transport_fate *ret_fates);
    void (*free)(struct transport *t);
};

/* Each kind's own struct begins with this. */
struct transport {
    const struct transport_kind *kind;
};

/* By EMAIL_TRANSPORT. *ret is NULL for none. Returns 0 or a fault. */
int transport_new(const struct config *config, struct store *store, struct transport **ret);

/* The kinds; each is made by the configuration. */
int transport_sandbox_new(const struct config *config, struct store *store, struct transport **ret);
int transport_smtp_new(const struct config *config, struct transport **ret);
int transport_ses_new(const struct config *config, struct transport **ret);

/* Fills every fate alike. code and text are cut to fit. */
void transport_fates_set(struct transport_fate *fates, size_t n, enum transport_result result,
                         struct str code, struct str text);

static inline void transport_free(struct transport *t)
{
    if (t)
        t->kind->free(t);
}

#endif
