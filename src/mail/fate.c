#include "mail/fate.h"

#include "base/fault.h"
#include "mail/outbox_rows.h"

static const char events_sql[] =
    "SELECT id, log_id, provider_id, recipient, kind, subtype, code, detail, at, received_at"
    " FROM email_events WHERE log_id IS NOT NULL AND log_id IN"
    " (SELECT id FROM email_logs WHERE message_id = $1) ORDER BY id LIMIT $2";
static const char waits_sql[] = "SELECT attempts, next_at, lease, last_error FROM email_outbox"
                                " WHERE message_id = $1";

static int find_events(struct store_txn *t, struct arena *a, const struct uuid *message_id,
                       struct mail_fate *fate)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, events_sql, &rows, PARAMS(P_ID(message_id), P_INT(FATE_EVENTS_MAX)));

    return r ? r : mail_event_read(rows, a, FATE_EVENTS_MAX, &fate->events, &fate->n_events);
}

static int find_wait(struct store_txn *t, struct arena *a, const struct uuid *message_id,
                     struct mail_fate *fate)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int r = store_query(t, waits_sql, &rows, PARAMS(P_ID(message_id)));

    if (r == 0)
        r = store_rows_next(rows);
    if (r <= 0)
        return r;
    struct uuid log_id;
    bool in_flight = outbox_lease_read(store_col_text(rows, 2), &log_id) == 0;
    fate->waits = true;
    fate->attempts = store_col_int(rows, 0);
    fate->next_at = in_flight ? 0 : store_col_int(rows, 1);
    fate->problem = arena_str(a, store_col_text(rows, 3));
    return fate->problem.p ? 0 : FAULT_MEMORY;
}

int mail_fate_find(struct store_txn *t, struct arena *a, const struct uuid *tenant,
                   const struct uuid *message_id, struct mail_fate *ret_fate)
{
    struct mail_fate fate = {0};
    int r = mail_log_find_message(t, a, tenant, message_id, &fate.recipients, &fate.n);

    if (r == 0)
        r = find_events(t, a, message_id, &fate);
    if (r == 0)
        r = find_wait(t, a, message_id, &fate);
    if (r == 0)
        *ret_fate = fate;
    return r;
}

struct str mail_fate_status(const struct mail_log_entry *recipients, size_t n)
{
    enum mail_state common = recipients[0].mark.state;
    bool mixed = false;

    for (size_t i = 0; i < n; i++) {
        if (recipients[i].mark.state == MAIL_QUEUED)
            return mail_state_name(MAIL_QUEUED);
        mixed = mixed || recipients[i].mark.state != common;
    }
    return mixed ? STR("mixed") : mail_state_name(common);
}
