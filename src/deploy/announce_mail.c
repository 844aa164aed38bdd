/* Announcements by mail: through the outbox, as a message of the operators' tenant. */
#include "base/fault.h"
#include "deploy/announce_parts.h"
#include "identity/email_address.h"
#include "mail/outbox.h"

enum { SUBJECT_MAX = 300, ADDRESSES_MAX = MAIL_RECIPIENTS_MAX };

static const char tenant_sql[] =
    "SELECT tenant_id FROM users WHERE role = 'operator' ORDER BY id LIMIT 1";

struct sending {
    struct mail *m;
    struct outbox_request request;
    char addresses[ADDRESSES_MAX][EMAIL_ADDRESS_SIZE];
    bool no_operator;
    int outcome; /* 0 or an enum outbox_outcome */
    struct uuid id;
};

static bool is_there(const struct outbox_request *q, struct str address)
{
    for (size_t i = 0; i < q->n; i++)
        if (str_eq(q->to[i], address))
            return true;
    return false;
}

/* Returns 0, or 1 with the reason in why. */
static int take_addresses(struct sending *s, const struct conf_words *words,
                          char why[ANNOUNCE_WHY_SIZE])
{

    struct outbox_request *q = &s->request;

    for (size_t i = 0; i < words->n; i++) {
        char *address = s->addresses[q->n];
        size_t n;
        if (q->n == ADDRESSES_MAX) {
            snprintf(why, ANNOUNCE_WHY_SIZE, "more than %d addresses", ADDRESSES_MAX);
            return 1;
        }
        if (email_address_normalise(str_of(words->items[i]), address, &n)) {
            snprintf(why, ANNOUNCE_WHY_SIZE, "\"%.100s\" is not a mail address", words->items[i]);
            return 1;
        }
        if (!is_there(q, (struct str){address, n}))
            q->to[q->n++] = (struct str){address, n};
    }
    return 0;
}

/* Returns 1 where there is an operator, 0 where there is none, or a fault. */
static int find_tenant(struct store_txn *t, struct uuid *ret)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int result = store_query(t, tenant_sql, &rows, NO_PARAMS);

    if (result == 0)
        result = store_rows_next(rows);
    if (result == 1)
        *ret = store_col_id(rows, 0);
    return result;
}

static int send_job(struct store_txn *t, void *arg)
{
    struct sending *s = arg;
    int result = find_tenant(t, &s->request.tenant_id);

    s->no_operator = result == 0;
    if (result <= 0)
        return result;
    result = outbox_accept(t, s->m, &s->request, clock_now(), &s->id);
    s->outcome = result > 0 ? result : 0;
    return result > 0 ? 0 : result;
}

/* Returns 0, or 1 with the reason in why. */
static int judge(const struct sending *s, char why[ANNOUNCE_WHY_SIZE])
{
    static const char *const words[] = {
        [OUTBOX_CONFLICT] = "another message has its key",
        [OUTBOX_SUPPRESSED] = "none of the addresses may be written to",
        [OUTBOX_OFF] = "EMAIL_TRANSPORT is none",
        [OUTBOX_FULL] = "too much mail waits already",
    };

    if (!s->no_operator && (s->outcome == 0 || s->outcome == OUTBOX_REPEATED))
        return 0;
    snprintf(why, ANNOUNCE_WHY_SIZE, "%s",
             s->no_operator ? "there is no operator, whose tenant would send it"
                            : words[s->outcome]);
    return 1;
}

static int hand_over(struct sending *s, char why[ANNOUNCE_WHY_SIZE])
{
    struct mime_problem problem;
    int result = outbox_check(s->m, &s->request, &problem);

    if (result == 0)
        result = store_write(s->m->store, send_job, s);
    if (result < 0)
        return result;
    if (result > 0) {
        snprintf(why, ANNOUNCE_WHY_SIZE, "no message can be made of it (%.60s)", problem.field);
        return 1;
    }
    return judge(s, why);
}

int announce_mail(struct mail *m, const struct conf_route *route, const struct report *r,
                  char why[ANNOUNCE_WHY_SIZE])
{
    struct buf subject _cleanup_buf_ = buf_init(ANNOUNCE_TEXT_MAX),
                       text _cleanup_buf_ = buf_init(ANNOUNCE_TEXT_MAX),
                       key _cleanup_buf_ = buf_init(200);
    struct sending s = {.m = m};
    char id[UUID_TEXT_SIZE];
    int result = take_addresses(&s, &route->email, why);

    if (result)
        return result;
    uuid_format(&r->id, id);
    announce_subject(r, &subject);
    buf_printf(&text, "%.*s\n\n", STR_ARG(buf_str(&subject)));
    announce_details(r, &text);
    buf_printf(&key, "deployment %s %s %lld %.64s", id, report_result_name(r->result),
               (long long)r->records, route->name);
    if (buf_fault(&subject) || buf_fault(&text) || buf_fault(&key))
        return fault_set(FAULT_LIMIT, "the announcement is too long");
    s.request.subject = str_cut(buf_str(&subject), SUBJECT_MAX);
    s.request.text = buf_str(&text);
    s.request.template_name = STR("deployment");
    s.request.key = buf_str(&key);
    s.request.purpose = UNSUBSCRIBE_PRODUCT;
    s.request.automatic = true;
    return hand_over(&s, why);
}
