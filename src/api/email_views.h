/*
 * Mail as it is shown, by the API and by the command line alike: health, figures, log rows, events,
 * suppressions.
 * Rooms: api and cli. Ownership: views live in the caller's arena and point into what they were
 * made of. Threads: any.
 */
#ifndef HOLDFAST_API_EMAIL_VIEWS_H
#define HOLDFAST_API_EMAIL_VIEWS_H

#include "http/shape.h"
#include "mail/health.h"
#include "mail/person.h"
#include "mail/sender_domain.h"
#include "mail/share_cache.h"
#include "mail/suppression.h"

/* Health, with what is to be done; of the domain what is known. */
struct email_health {
    struct mail_health health;
    struct str advice[MAIL_ADVICE_MAX];
    size_t n_advice;
    struct sender_report domain;
    int64_t checked_at;
};

/* Writes the object of GET /v1/email-monitoring/health. Returns 0 or FAULT_MEMORY. */
int email_health_write(struct json_writer *w, struct arena *a, const struct email_health *h);

/* All recommendations: of the rates, and of the domain. Returns 0 or FAULT_MEMORY. */
int email_health_recommendations(struct arena *a, const struct email_health *h,
                                 struct str_list *ret);

enum { EMAIL_SHARES_MAX = 50, EMAIL_ERRORS_MAX = 20 };

/* Figures of a window, with a cache where there is one: the sum, by the bucket, by domain or
 * template, and errors. */
struct email_figures {
    struct mail_window window;
    int64_t bucket;
    enum mail_group group;
    struct share_kept *cache; /* NULL: none */
    struct mail_counts totals;
    bool deliveries_known;
    struct mail_point *points;
    size_t n_points;
    struct mail_share *shares;
    size_t n_shares;
    struct mail_error_count *errors;
    size_t n_errors;
};

/* Reads all but window, bucket, group and cache, inside a job. Returns 0 or a fault. */
int email_figures_read(struct store_txn *t, struct arena *a, struct email_figures *f);

/* Writes the object of GET /v1/email-monitoring/metrics. Returns 0 or FAULT_MEMORY. */
int email_figures_write(struct json_writer *w, struct arena *a, const struct email_figures *f);

struct email_log_view {
    struct uuid id, message_id, tenant_id, user_id;
    struct str recipient, domain, template_name, subject, transport, status, error_code, detail,
        provider_id;
    bool counted;
    int64_t created_at, sent_at, status_at;
};

struct email_event_view {
    struct str kind, subtype, code, detail;
    int64_t at, received_at;
};

/* A log row with its events, the oldest first. */
struct email_message_view {
    struct email_log_view log; /* first: its fields are this one's */
    struct shape_list events;  /* struct email_event_view */
};

struct suppression_view {
    struct str address, reason, scope, source, note, created_by;
    struct uuid tenant_id;
    int64_t created_at, expires_at;
};

extern const struct shape email_health_shape, email_figures_shape, email_log_shape,
    email_message_shape, email_suppression_shape;

/* Leaves out of rows what is not for who is within a bound (mail/tenant_words.h); NULL: nothing. */
void email_logs_veil(const struct uuid *bound, struct mail_log_entry *entries, size_t n);

struct email_log_view email_log_view(const struct mail_log_entry *e);
struct email_event_view email_event_view(const struct mail_event_entry *e);
struct suppression_view suppression_view(const struct suppression *s);

#endif
