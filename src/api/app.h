/*
 * The application: what all handlers share, and the list of route tables.
 * Rooms: api and cli. Ownership: the server makes and ends what is pointed to. Threads: any.
 */
#ifndef HOLDFAST_API_APP_H
#define HOLDFAST_API_APP_H

#include "http/dispatch.h"
#include "mail/outbox.h"
#include "sessions/sessions.h"

#include <pthread.h>
#include <stdatomic.h>

/* Streams that hold a worker for as long as they last, by whose they are. */
enum { API_EXPORTS_MAX = 128 };
struct api_exports {
    pthread_mutex_t lock; /* made by the server */
    struct uuid tenants[API_EXPORTS_MAX];
    size_t n;
};

struct app {
    struct store *store;
    struct trail *trail;
    struct sessions *sessions;
    struct mail *mail;
    _Atomic(struct outbox *) outbox; /* NULL: nothing is sent */
    struct dispatch *dispatch;
    _Atomic(struct http_engine *) engine; /* NULL until it serves, and while it ends */
    atomic_bool draining;                 /* SIGTERM has come: /ready says so */
    struct api_exports exports;
    struct str openapi; /* the document, made at start */
};

static inline struct app *app_of(const struct call *call)
{
    return call->app;
}

/* The bound within which the caller administers: NULL (any tenant) for an operator. */
static inline const struct uuid *app_bound(const struct call *call)
{
    return call->who.role == ROLE_OPERATOR ? NULL : &call->who.tenant_id;
}

/* Every route table of the product, in the order of the documents, after api_tables_init. */
enum { API_TABLES = 16 };
extern struct route_table api_tables[API_TABLES];
void api_tables_init(void);

/* Bounds of "?limit=". */
enum { API_LIMIT_DEFAULT = 50, API_LIMIT_MAX = 200 };

/* The query of a list: "given", limit, cursor; embedded as the first member of longer ones. */
struct list_query {
    uint64_t given;
    int64_t limit;
    struct str cursor;
};

#define LIST_QUERY_FIELDS(struct_type)                                                             \
    {"limit",       FIELD_INT, 0,    offsetof(struct_type, limit),      1,                         \
     API_LIMIT_MAX, NULL,      NULL, "How many at most; 50 by default."},                          \
    {                                                                                              \
        "cursor", FIELD_STR, 0, offsetof(struct_type, cursor), 1, 100, NULL, NULL,                 \
            "The nextCursor of the page before."                                                   \
    }

static inline size_t list_limit(int64_t limit)
{
    return limit > 0 ? (size_t)limit : API_LIMIT_DEFAULT;
}

/* A cursor that is an id, or NULL where none was given; PROBLEM_INVALID_FIELD for other text. */
int api_cursor_id(struct call *call, struct str cursor, struct uuid *scratch,
                  const struct uuid **ret);

/* A cursor that is a number; 0 where none was given. */
int api_cursor_number(struct call *call, struct str cursor, int64_t *ret);

/* Each api file ends in its table. */
extern const struct route_table api_auth, api_mfa, api_oauth, api_sessions, api_users,
    api_notifications, api_audit, api_emails, api_unsubscribe, api_email_monitoring, api_email_logs,
    api_suppressions, api_email_webhooks, api_user_mail, api_deployments, api_system;

/* The reply of a sign-in, as several files give it. */
extern const struct shape api_grant_shape;
struct session_grant;
int api_reply_grant(struct call *call, const struct session_grant *grant);

/* Answers LOGIN_LIMITED: 429 with Retry-After and the RateLimit headers. */
int api_limited(struct call *call, const struct limiter_state *state);

/* Normalises an address of a request; PROBLEM_INVALID_FIELD names the field, here "email". */
int api_address(struct call *call, const char *field, struct str typed, struct str *ret);
int api_email(struct call *call, struct str typed, struct str *ret);

/* Whether the caller asks for this media type before any other. */
bool api_wants(const struct call *call, const char *media_type);

/*
 * An export: a stream that may be larger than memory, and a worker for as long as a slow client
 * takes, so never more than a quarter of them, and half of those for one tenant. begin returns 0 or
 * PROBLEM_UNAVAILABLE; after 0 comes end.
 */
int api_export_begin(struct call *call);
void api_export_end(struct call *call);

/*
 * Puts the export on record (unless event is NULL) and sends the head of a file of this name: from
 * then on what goes wrong can only cut the stream off. Returns 0 or a fault.
 */
int api_export_head(struct call *call, const struct trail_event *event, const char *file,
                    const char *media_type);

/* Sends what out holds and empties it. Returns 0 or a fault. */
int api_export_write(struct call *call, struct buf *out);

/* Checks a password that is being chosen; PROBLEM_INVALID_FIELD names the field. */
int api_new_password(struct call *call, const char *field, struct str password);

#endif
