/*
 * What the functions of this room share while the program runs: keys, the intake of events, the
 * outbox, counters.
 *
 * Rooms: mail and below. Ownership: mail_new makes and mail_free ends what it holds, but config,
 * store and trail are the caller's and outlive it. Threads: any; functions that take a struct mail
 * block on the store unless their header says otherwise.
 */
#ifndef HOLDFAST_MAIL_MAIL_H
#define HOLDFAST_MAIL_MAIL_H

#include "config/config.h"
#include "crypto/seal.h"
#include "mail/event.h"
#include "mail/intake.h"
#include "mail/sender.h"
#include "mail/sender_domain.h"
#include "mail/share_cache.h"
#include "mail/unsubscribe.h"
#include "mail/watch.h"
#include "mail/webhook.h"
#include "store/store.h"
#include "trail/trail.h"

struct outbox_desk;
struct outbox_quota;

enum { MAIL_URL_MAX = 300 /* bytes of PUBLIC_URL, or of what stands for it */ };

struct mail {
    struct store *store;
    struct trail *trail;
    struct seal_keys seal; /* of what waits in the outbox */
    struct sender sender;  /* EMAIL_FROM */
    struct mac_ring unsubscribe;
    struct sender_domain *domain;
    struct mail_watch watch;
    struct share_kept *shares;
    struct outbox_desk *desk; /* where mail to send is accepted */
    struct outbox_quota *quota;
    struct intake *intake; /* these two from mail_listen on */
    struct webhook *webhook;
    char public_url[MAIL_URL_MAX + 1]; /* "https://holdfast.example.com": no slash at the end */
};

/*
 * Keys and limits from the configuration; no thread is started. Returns 0 or a fault, such as
 * FAULT_INTERNAL where EMAIL_FROM is no mailbox.
 */
int mail_new(const struct config *config, struct store *store, struct trail *trail,
             struct mail **ret);
void mail_free(struct mail *m);

/*
 * Begins to take events: starts the threads of the intake, and makes what verifies webhooks. For
 * servers. Returns 0 or a fault.
 */
int mail_listen(const struct config *config, struct mail *m);

/* What soft bounces lead to, by the present configuration. */
struct mail_event_policy mail_policy(void);

#endif
