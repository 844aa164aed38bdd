/*
 * What the tests of mail share, on top of the scene of sessions: messages, what becomes of them,
 * and a recount of the counters. Rooms: tests of mail and below. Ownership: texts live in the
 * scene's arena. Threads: the test's.
 */
#ifndef HOLDFAST_MAIL_FIXTURE_H
#define HOLDFAST_MAIL_FIXTURE_H

#include "mail/event.h"
#include "mail/log.h"
#include "mail/settle.h"
#include "sessions/scene.h"

enum { MAIL_SOFT_LIMIT = 3 };
extern const struct mail_event_policy mail_test_policy; /* three, a week */

/* Logs a queued message of the first tenant, or as it says. Returns its id. */
struct uuid mail_queue(struct scene *f, const char *address, int64_t now);
struct uuid mail_queue_all(struct scene *f, const struct uuid *tenant, const char *template_name,
                           const struct str *addresses, size_t n, int64_t now);

/* Settles the message's rows that are queued, of one recipient or ("") of all. */
int mail_settle_message(struct store_txn *t, const struct uuid *message_id, const char *recipient,
                        const struct mail_settlement *what, int64_t *ret_rows);

/* Returns how many rows were handed over. */
int64_t mail_hand_over(struct scene *f, const struct uuid *message_id, const char *provider_id,
                       int64_t at);

/* Events, whose feedback_id is the kind's and the provider's id joined. */
struct mail_event mail_delivery(const char *provider_id, const char *address, int64_t at);
struct mail_event mail_delay(const char *provider_id, const char *address, int64_t at);
struct mail_event mail_bounce(const char *provider_id, const char *address, int64_t at);
struct mail_event mail_soft_bounce(const char *provider_id, const char *address, int64_t at);
struct mail_event mail_complaint(const char *provider_id, const char *address, int64_t at);

struct mail_event_result mail_apply(struct scene *f, const struct mail_event *events, size_t n);
struct mail_event_result mail_apply_one(struct scene *f, struct mail_event event);

/* The row of a message's only recipient. */
struct mail_log_entry mail_entry(struct scene *f, const struct uuid *message_id);

/* The first column of a query with one text parameter; -1 where there is no row. */
int64_t mail_number_of(struct scene *f, const char *sql, const char *parameter);

/* Fails the test where email_figures is not what a recount of all log rows gives. */
void mail_assert_counters(struct scene *f);

#endif
