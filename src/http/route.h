/*
 * Routes: rows that say everything about an operation; and the call that a handler gets.
 *
 * The dispatcher alone authenticates, checks permission, binds and replies: a handler has no guard
 * to forget. openapi.json, the docs page and the tests read the same rows.
 * Rooms: http and below. Ownership: a call and all it holds live until the reply. Threads: a
 * handler runs on its row's lane.
 */
#ifndef HOLDFAST_HTTP_ROUTE_H
#define HOLDFAST_HTTP_ROUTE_H

#include "http/engine.h"
#include "http/problem.h"
#include "http/shape.h"
#include "identity/role.h"
#include "trail/trail.h"

/* Who may call. 0 is no permission: a row without one is refused at start. */
enum permission {
    PERMIT_ANYONE = 1,
    PERMIT_METRICS,  /* loopback, or the metrics token */
    PERMIT_CLIENT,   /* the OAuth client's id and secret */
    PERMIT_WEBHOOK,  /* a sender whose signature the handler verifies */
    PERMIT_USER,     /* a bearer */
    PERMIT_ADMIN,    /* an admin of the tenant, or an operator; second factor where demanded */
    PERMIT_OPERATOR, /* an operator; second factor where demanded */
    PERMIT_SENDER,   /* a service token of EMAIL_SERVICE_TOKENS, or as PERMIT_ADMIN */
    PERMISSIONS
};

enum route_flag {
    ROUTE_FORM = 1,           /* the body is a form, not JSON */
    ROUTE_REVOCATION = 2,     /* 403 where SESSION_REVOCATION_ENABLED is false */
    ROUTE_TRAIL = 4,          /* administrative, and recorded even though it only reads */
    ROUTE_TEMPORARY = 8,      /* allowed while the password must be replaced */
    ROUTE_BODY_OPTIONAL = 16, /* an empty body is an empty object */
    ROUTE_LIST = 64,          /* the reply is {"items":[reply…],"nextCursor"} */
    ROUTE_RAW = 128           /* the body, of any type, is the handler's to read as it came: what is
                                 signed are its bytes. Its shape is for the documents */
};

enum { ROUTE_PARAMS_MAX = 2 };

/* The bit of a problem in a row's problems. */
#define ROUTE_PROBLEM(problem) (UINT64_C(1) << (problem))
_Static_assert(PROBLEMS <= 64, "problems have a bit each");

struct call;
struct dispatch;

struct route {
    enum http_method method;
    const char *path; /* segments beginning with ':' are parameters */
    enum permission permission;
    enum http_lane lane;
    unsigned flags;
    int status;                               /* of success */
    const struct shape *query, *body, *reply; /* NULL where there is none */
    const char *summary;
    /*
     * Fills the reply (call_reply and kin). Returns 0, an enum problem, or a fault. On LANE_EVENT
     * it may return CALL_DEFER before it has done anything, to run again on a worker. Where
     * call->request->can_wait it may return CALL_LATER: see call_later.
     */
    int (*handle)(struct call *call);
    /* For the documents: ROUTE_PROBLEMs of the handler's own, beside those that permission, flags,
     * shapes and parameters imply. */
    uint64_t problems;
    /* Instead of a shape: a body of this media type and at most so long, which the handler reads by
     * http_body_read. Not on LANE_EVENT. */
    const char *stream_type;
    size_t stream_max;
    size_t
        body_max; /* of a body; 0: what permission and MAX_BODY_BYTES leave, which bounds it too */
    /*
     * PERMIT_WEBHOOK: whether the sender is listened to, told from the head and memory alone. On
     * the event thread before the body is received, and again before handle. Returns 0 or an enum
     * problem.
     */
    int (*admit)(struct call *call);
};

enum { CALL_DEFER = 1000, CALL_LATER };

/* What the body of a PERMIT_CLIENT row begins with: the client may name itself there. */
struct route_client_body {
    uint64_t given;
    struct str client_id, client_secret;
};

struct route_table {
    const char *tag; /* for the documents */
    const struct route *routes;
    size_t count;
};

#define ROUTE_TABLE(tag_text, rows)                                                                \
    {                                                                                              \
        .tag = (tag_text), .routes = (rows), .count = sizeof(rows) / sizeof *(rows)                \
    }

/* Who calls, from the verified token and the current state of the account. */
struct principal {
    bool present;
    bool service; /* a program, by the tenant's service token: no user */
    struct uuid user_id, tenant_id, session_id;
    enum role role;
    unsigned amr;
    struct str email, email_status;
    bool mfa_enabled, password_temporary;
};

struct call {
    void *app; /* struct app of api/app.h */
    struct dispatch *dispatch;
    struct http_request *request;
    struct http_reply *reply;
    const struct route *route;
    struct arena *arena;
    struct principal who;
    struct trail_actor actor;            /* who, for the trail */
    struct str params[ROUTE_PARAMS_MAX]; /* decoded, in the path's order */
    const void *query, *body;            /* of the row's shapes */
    struct in6_addr client;              /* the address behind trusted proxies */
    struct str client_ip, user_agent;
    int64_t now;
    struct str problem_detail, problem_field;
    bool trailed;   /* the handler's own transaction has recorded the action */
    bool deferred;  /* by an event thread, to a worker */
    bool seated;    /* holds one of the seats that administrators have on the password lane */
    bool secure;    /* by TLS, here or at a trusted proxy */
    bool streaming; /* the head has been sent: a fault can only cut the reply off */
};

/*
 * For a handler whose reply waits for another thread: it calls call_later, hands the call over,
 * touches it no more, and returns CALL_LATER. The other fills the reply and calls call_finish with
 * what the handler would have returned; behind it the call is gone. Not for administrative rows,
 * whose record would be missing.
 */
void call_later(struct call *call);
void call_finish(struct call *call, int result);

/* Returns problem, with a detail (NULL: none) for the answer. */
int call_problem(struct call *call, enum problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As call_problem, naming a field of the request. */
int call_problem_field(struct call *call, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The parameter as an id. Returns 0, or PROBLEM_NOT_FOUND where it is none: no such thing. */
int call_param_id(struct call *call, size_t index, struct uuid *ret);

/* Replies with the row's status and its reply shape. */
int call_reply(struct call *call, const void *object);

/* Replies with a list: n objects of the row's reply shape and a cursor ("" at the end). */
int call_reply_list(struct call *call, const void *items, size_t n, struct str cursor);

/* Replies with the row's status and no body. */
int call_reply_empty(struct call *call);

/* Replies with the row's status and what was written to call->reply->body, of this media type. */
int call_reply_written(struct call *call, const char *media_type);

/* Sends the row's status and all headers; the body follows by http_stream_write. On workers. */
int call_stream_begin(struct call *call, const char *media_type);

#endif
