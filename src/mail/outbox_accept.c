#include "base/fault.h"
#include "crypto/sha256.h"
#include "mail/outbox.h"
#include "mail/outbox_content.h"
#include "mail/suppression.h"

/* A key that has run out is as if it had never been. */
static const char take_key_sql[] =
    "INSERT INTO email_requests (tenant_id, request_key, digest, message_id, expires_at)"
    " VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (tenant_id, request_key) DO UPDATE SET digest = excluded.digest,"
    " message_id = excluded.message_id, expires_at = excluded.expires_at"
    " WHERE email_requests.expires_at <= $6";
static const char find_key_sql[] =
    "SELECT digest, message_id FROM email_requests WHERE tenant_id = $1 AND request_key = $2";
static const char reap_sql[] =
    "DELETE FROM email_requests WHERE (tenant_id, request_key) IN (SELECT tenant_id, request_key"
    " FROM email_requests WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

static const char insert_sql[] =
    "INSERT INTO email_outbox (message_id, tenant_id, transport, body, attempts, next_at, lease,"
    " lease_until, last_error, created_at) VALUES ($1, $2, $3, $4, 0, $5, '', 0, '', $5)";

/* So many addresses go into one statement. */
enum { USERS_STEP = 25 };
static const char users_sql[] =
    "SELECT id, email FROM users WHERE tenant_id = $1 AND email IN ($2, $3, $4, $5, $6, $7, $8, $9,"
    " $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)";

static const struct str digest_label = STR_INIT("holdfast mail request v1");

static struct str transport_name(void)
{
    static const struct str names[] = {
        [EMAIL_SANDBOX] = STR_INIT("sandbox"),
        [EMAIL_SMTP] = STR_INIT("smtp"),
        [EMAIL_SES] = STR_INIT("ses"),
        [EMAIL_NONE] = STR_INIT(""),
    };

    return names[config_current()->email_transport];
}

static struct outbox_content content_of(const struct outbox_request *r)
{
    return (struct outbox_content){.purpose = r->purpose,
                                   .automatic = r->automatic,
                                   .subject = r->subject,
                                   .text = r->text,
                                   .html = r->html};
}

int outbox_check(const struct mail *m, const struct outbox_request *request,
                 struct mime_problem *ret_problem)
{
    struct outbox_content content = content_of(request);
    struct buf mime _cleanup_buf_ = buf_secret(MIME_MESSAGE_MAX);
    char id[OUTBOX_MESSAGE_ID_SIZE], normal[EMAIL_ADDRESS_SIZE];
    struct outbox_copy copy = {
        .tenant_id = request->tenant_id, .to = request->to[0], .content = &content};
    size_t length;

    for (size_t i = 0; i < request->n; i++) {
        if (email_address_normalise(request->to[i], normal, &length) == 0)
            continue;
        snprintf(ret_problem->field, sizeof ret_problem->field, "to[%u].address",
                 (unsigned)i % 1000);
        return MIME_MALFORMED;
    }
    return outbox_content_write(m, &copy, &mime, id, ret_problem);
}

/* Each part behind its length, so that no two requests are one text. */
static int make_digest(const struct outbox_request *r, uint8_t ret_digest[SHA256_SIZE])
{
    enum { FIXED = 5, PARTS_MAX = 2 * (FIXED + MAIL_RECIPIENTS_MAX) };
    struct str parts[PARTS_MAX],
        fields[FIXED + MAIL_RECIPIENTS_MAX] = {r->subject, r->text, r->html, r->template_name};
    uint64_t lengths[FIXED + MAIL_RECIPIENTS_MAX];
    char purpose[2] = {(char)r->purpose, (char)r->automatic};
    size_t n = FIXED + r->n;

    fields[FIXED - 1] = (struct str){purpose, sizeof purpose};
    for (size_t i = 0; i < r->n; i++)
        fields[FIXED + i] = r->to[i];
    for (size_t i = 0; i < n; i++) {
        lengths[i] = fields[i].n;
        parts[2 * i] = (struct str){(const char *)&lengths[i], sizeof lengths[i]};
        parts[2 * i + 1] = fields[i];
    }
    return sha256_parts(digest_label, parts, 2 * n, ret_digest);
}

/* Who has the key already. */
static int find_key(struct store_txn *t, const struct outbox_request *request,
                    const uint8_t digest[SHA256_SIZE], struct uuid *ret_id)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct str known = {(const char *)digest, SHA256_SIZE};
    int r = store_query(t, find_key_sql, &rows,
                        PARAMS(P_ID(&request->tenant_id), P_TEXT(request->key)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r <= 0)
        return r < 0 ? r
                     : fault_set(FAULT_STORE, "a key of a request is gone while it is looked at");
    if (!str_eq(store_col_blob(rows, 0), known))
        return OUTBOX_CONFLICT;
    *ret_id = store_col_id(rows, 1);
    return OUTBOX_REPEATED;
}

/* Takes the key for the message *id, or finds whose it is. Two at once: one waits for the other. */
static int take_key(struct store_txn *t, const struct outbox_request *request, int64_t now,
                    struct uuid *id)
{
    uint8_t digest[SHA256_SIZE];
    int64_t taken = 0;
    int r = request->key.n ? make_digest(request, digest) : 0;

    if (r || request->key.n == 0)
        return r;
    r = store_exec(t, take_key_sql, &taken,
                   PARAMS(P_ID(&request->tenant_id), P_TEXT(request->key),
                          P_BLOB(digest, sizeof digest), P_ID(id), P_INT(now + OUTBOX_KEY_MS),
                          P_INT(now)));
    return r || taken ? r : find_key(t, request, digest, id);
}

static int find_users(struct store_txn *t, const struct uuid *tenant, struct mail_recipient *to,
                      size_t n)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct store_param params[1 + USERS_STEP] = {P_ID(tenant)};
    int r;

    for (size_t i = 0; i < USERS_STEP; i++)
        params[1 + i] = P_TEXT(i < n ? to[i].address : STR(""));
    r = store_query(t, users_sql, &rows, params, 1 + USERS_STEP);
    while (r == 0 && (r = store_rows_next(rows)) == 1) {
        r = 0;
        for (size_t i = 0; i < n; i++)
            if (str_eq(to[i].address, store_col_text(rows, 1)))
                to[i].user_id = store_col_id(rows, 0);
    }
    return r;
}

/* Who they are, and who is not to be written to. */
static int look_up(struct store_txn *t, const struct outbox_request *request, int64_t now,
                   struct mail_recipient *to, size_t *ret_queued)
{
    struct suppression_hit hits[MAIL_RECIPIENTS_MAX];
    bool security = request->purpose == UNSUBSCRIBE_SECURITY;
    size_t queued = 0;
    int r = suppression_find(t, &request->tenant_id, request->to, request->n, now, hits);

    for (size_t i = 0; r == 0 && i < request->n; i++) {
        bool stopped = suppression_stops(&hits[i], security);
        to[i] = (struct mail_recipient){.address = request->to[i],
                                        .state = stopped ? MAIL_SUPPRESSED : MAIL_QUEUED,
                                        .code = stopped ? suppression_reason_name(hits[i].reason)
                                                        : STR("")};
        queued += !stopped;
    }
    for (size_t i = 0; r == 0 && i < request->n; i += USERS_STEP)
        r = find_users(t, &request->tenant_id, to + i,
                       request->n - i < USERS_STEP ? request->n - i : USERS_STEP);
    if (r == 0)
        *ret_queued = queued;
    return r;
}

static int put_into_outbox(struct store_txn *t, const struct mail *m,
                           const struct outbox_request *request, int64_t now, const struct uuid *id)
{
    struct outbox_content content = content_of(request);
    struct buf body _cleanup_buf_ = buf_init(OUTBOX_BODY_MAX);
    int r = outbox_content_seal(&m->seal, id, &content, &body);

    return r ? r
             : store_exec(t, insert_sql, NULL,
                          PARAMS(P_ID(id), P_ID(&request->tenant_id), P_TEXT(transport_name()),
                                 P_BLOB(body.p, body.n), P_INT(now)));
}

static int log_message_of(struct store_txn *t, const struct outbox_request *request,
                          const struct mail_recipient *to, int64_t now, const struct uuid *id)
{
    struct mail_message message = {.id = *id,
                                   .tenant_id = request->tenant_id,
                                   .template_name = request->template_name,
                                   .subject = request->subject,
                                   .transport = transport_name(),
                                   .recipients = to,
                                   .n = request->n};

    return mail_log_create(t, &message, now);
}

int outbox_accept(struct store_txn *t, struct mail *m, const struct outbox_request *request,
                  int64_t now, struct uuid *ret_id)
{
    struct mail_recipient to[MAIL_RECIPIENTS_MAX];
    struct uuid id = uuid_at(now);
    size_t queued = 0;
    int r;

    if (config_current()->email_transport == EMAIL_NONE)
        return OUTBOX_OFF;
    if (request->n == 0 || request->n > MAIL_RECIPIENTS_MAX)
        return fault_set(FAULT_INTERNAL, "a message to %zu recipients", request->n);
    r = take_key(t, request, now, &id);
    if (r) {
        if (r == OUTBOX_REPEATED)
            *ret_id = id;
        return r;
    }
    r = look_up(t, request, now, to, &queued);
    if (r == 0 && queued)
        r = put_into_outbox(t, m, request, now, &id);
    if (r == 0)
        r = log_message_of(t, request, to, now, &id);
    if (r > 0)
        return fault_set(FAULT_STORE, "a message's own id is taken");
    if (r)
        return r;
    *ret_id = id;
    return queued ? 0 : OUTBOX_SUPPRESSED;
}

int outbox_reap(struct store_txn *t, int64_t now, int64_t limit, int64_t *ret_removed)
{
    return store_exec(t, reap_sql, ret_removed, PARAMS(P_INT(now), P_INT(limit)));
}
