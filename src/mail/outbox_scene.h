/*
 * What the tests of the outbox share, on top of the scene of sessions: requests, nodes whose turns
 * a test takes one by one, and a transport that does as it is told.
 * Rooms: tests of mail and below. Ownership: outbox_scene_release removes all. Threads: the test's.
 */
#ifndef HOLDFAST_MAIL_OUTBOX_SCENE_H
#define HOLDFAST_MAIL_OUTBOX_SCENE_H

#include "mail/fixture.h"
#include "mail/outbox.h"
#include "mail/outbox_round.h"

/*
 * The local part of an address says what becomes of mail to it: "no..." 550, "later..." 451,
 * "slow..." 421 with an hour's wait, "lost..." an answer that never comes, "down..." a server that
 * nobody reaches; all others are taken.
 */
struct transport_fate outbox_scene_fate(struct str address);

struct outbox_scene {
    struct scene *f;
    struct mail *m;
};

int outbox_scene_sqlite(void **state);
int outbox_scene_postgres(void **state);
int outbox_scene_release(void **state);

/* A request of the first tenant to the addresses, joined by commas (at most MAIL_RECIPIENTS_MAX).
 */
struct outbox_request outbox_scene_request(struct outbox_scene *s, const char *addresses);

/* Checks and accepts it. Returns 0 or the outcome. */
int outbox_scene_accept(struct outbox_scene *s, const struct outbox_request *request, int64_t now,
                        struct uuid *ret_id);

/* As above for a plain request, which has to be accepted. Returns its id. */
struct uuid outbox_scene_send(struct outbox_scene *s, const char *addresses, int64_t now);

/* "state/code" of the message's recipient; "" where there is none. */
const char *outbox_scene_state(struct outbox_scene *s, const struct uuid *id, const char *address);

void outbox_scene_suppress(struct outbox_scene *s, const char *address, int reason);

/* A node with two senders, whose turns are taken by hand. */
enum { OUTBOX_SCENE_SLOTS = 2 };
struct outbox_node {
    struct outbox_scene *s;
    struct store *store;
    char name[OUTBOX_NODE_SIZE];
    struct outbox_slot slots[OUTBOX_SENDERS_MAX];
    size_t senders; /* OUTBOX_SCENE_SLOTS, unless a test says otherwise */
    bool sandbox, leaves, in_doubt;
    int64_t pause_ms;
    int outcome;       /* of the last turn */
    size_t aside;      /* messages that it put aside */
    char handed[8192]; /* the addresses that it handed over to, each with a space behind */
};

void outbox_node_begin(struct outbox_node *n, struct outbox_scene *s);
void outbox_node_end(struct outbox_node *n);

/* One turn, which may fail. Returns how many slots have a copy to hand over now. */
size_t outbox_node_try(struct outbox_node *n, int64_t now);

/* As above; it has to work out as a whole. */
size_t outbox_node_turn(struct outbox_node *n, int64_t now);

/* Hands over what the slots have, as the addresses say. */
void outbox_node_work(struct outbox_node *n, int64_t now);

/* Turns and work until there is nothing more to do at now. */
void outbox_node_run(struct outbox_node *n, int64_t now);

/* A transport for outbox_start, which several nodes may share. */
enum { FAKE_SENT_MAX = 2000 };
struct fake_transport {
    struct transport base;
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool held;      /* nothing is answered until it is not */
    size_t holding; /* handovers that wait for it */
    size_t n;       /* handovers */
    char to[FAKE_SENT_MAX][EMAIL_ADDRESS_SIZE];
    struct buf last; /* the MIME of the last one */
};

void fake_transport_begin(struct fake_transport *t);
void fake_transport_end(struct fake_transport *t);
void fake_transport_hold(struct fake_transport *t, bool held);
size_t fake_transport_count(struct fake_transport *t, const char *address); /* NULL: all */
size_t fake_transport_holding(struct fake_transport *t);

#define OUTBOX_SCENE_BOTH(f) FIXTURE_EACH(f, outbox_scene)

#endif
