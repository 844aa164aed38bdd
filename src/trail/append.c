#include "base/clock.h"
#include "base/fault.h"
#include "trail/internal.h"

static int check_text(const char *what, struct str s, size_t max)
{
    if (s.n > max)
        return fault_set(FAULT_LIMIT, "the trail's %s has more than %zu bytes", what, max);
    if (!str_is_utf8(s) || str_find(s, '\0') < s.n)
        return fault_set(FAULT_INTERNAL, "the trail's %s is not UTF-8 without NUL", what);
    return 0;
}

static int check_event(const struct trail_actor *actor, const struct trail_event *event)
{
    int e = 0;

    if (!trail_action_name(event->action))
        return fault_set(FAULT_INTERNAL, "the trail knows no action %d", (int)event->action);
    e = check_text("actor", actor->label, TRAIL_LABEL_MAX);
    if (!e)
        e = check_text("address", actor->ip, TRAIL_IP_MAX);
    if (!e)
        e = check_text("subject", event->subject, TRAIL_LABEL_MAX);
    if (!e)
        e = check_text("detail", event->detail, TRAIL_DETAIL_MAX);
    if (!e && event->detail.n > 0 && !trail_detail_valid(event->detail))
        e = fault_set(FAULT_INTERNAL, "the trail's detail is no JSON object on one line");
    return e;
}

static int head_fault(int outcome, const struct trail_head *head)
{
    if (outcome == HEAD_KEYLESS)
        return fault_set(FAULT_STORE,
                         "the trail's head is under the encryption key %s, which is not configured",
                         head->key_id);
    return fault_set(FAULT_STORE, "the trail's head is not authentic");
}

/* Returns 0, HEAD_ABSENT or a fault. */
static int head_read(const struct trail *trail, struct store_txn *txn, struct trail_head *ret_head)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    struct trail_head head = {.key_id = ""};
    int e = store_query(txn, "SELECT " TRAIL_HEAD_COLUMNS " FROM trail_head WHERE id = 1", &rows,
                        NO_PARAMS);

    if (e)
        return e;
    e = store_rows_next(rows);
    if (e <= 0)
        return e < 0 ? e : HEAD_ABSENT;
    e = trail_head_read(rows, &head);
    if (!e)
        e = trail_head_check(trail, &head);
    if (e > 0)
        e = head_fault(e, &head);
    if (!e)
        *ret_head = head;
    return e;
}

static int refuse_records(struct store_txn *txn)
{
    _cleanup_rows_ struct store_rows *rows = NULL;
    int e = store_query(txn, "SELECT seq FROM trail LIMIT 1", &rows, NO_PARAMS);

    if (!e)
        e = store_rows_next(rows);
    return e == 1 ? fault_set(FAULT_STORE, "the trail's head is missing though it has records") : e;
}

/* Where the chain ends; in an empty store a new chain, with a seq of 0. */
static int head_find(const struct trail *trail, struct store_txn *txn, struct trail_head *ret_head)
{
    int e = store_lock(txn, STORE_LOCK_TRAIL);

    if (!e)
        e = head_read(trail, txn, ret_head);
    if (e != HEAD_ABSENT)
        return e;
    e = refuse_records(txn);
    if (!e)
        *ret_head = (struct trail_head){.chain = uuid_new()};
    return e;
}

static int head_put(struct store_txn *txn, const struct trail_head *head)
{
    return store_exec(txn,
                      "INSERT INTO trail_head (id, chain, seq, mac, key_id, seal)"
                      " VALUES (1, $1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE"
                      " SET seq = excluded.seq, mac = excluded.mac, key_id = excluded.key_id,"
                      " seal = excluded.seal",
                      NULL,
                      PARAMS(P_ID(&head->chain), P_INT(head->seq), P_BLOB(head->mac, MAC_SIZE),
                             P_TEXT(str_of(head->key_id)), P_BLOB(head->seal, MAC_SIZE)));
}

static void set_id(struct trail_row *row, enum trail_field field, const struct uuid *id)
{
    row->null[field] = uuid_is_nil(id);
    if (!row->null[field])
        row->fields[field] = (struct str){(const char *)id->b, sizeof id->b};
}

/* Texts view actor, event and head. */
static void fill_row(const struct trail *trail, const struct trail_head *head,
                     const struct trail_actor *actor, const struct trail_event *event,
                     struct trail_row *ret_row)
{
    *ret_row = (struct trail_row){.seq = head->seq + 1, .at = clock_now()};
    set_id(ret_row, FIELD_TENANT, &event->tenant_id);
    set_id(ret_row, FIELD_ACTOR_ID, &actor->user_id);
    set_id(ret_row, FIELD_SUBJECT_ID, &event->subject_id);
    set_id(ret_row, FIELD_REQUEST, &actor->request_id);
    ret_row->fields[FIELD_ACTOR] = actor->label;
    ret_row->fields[FIELD_ACTION] = str_of(trail_action_name(event->action));
    ret_row->fields[FIELD_SUBJECT] = event->subject;
    ret_row->fields[FIELD_IP] = actor->ip;
    ret_row->fields[FIELD_DETAIL] = event->detail.n ? event->detail : STR("{}");
    ret_row->fields[FIELD_PREVIOUS] =
        head->seq == 0 ? (struct str){(const char *)head->chain.b, sizeof head->chain.b}
                       : (struct str){(const char *)head->mac, MAC_SIZE};
    ret_row->fields[FIELD_KEY] = (struct str){trail->keys[0].id, TRAIL_KEY_ID};
}

static int insert_row(struct store_txn *txn, const struct trail_row *row,
                      const uint8_t mac[MAC_SIZE])
{
    struct store_param params[3 + FIELD_COUNT];
    size_t n = 0;

    params[n++] = P_INT(row->seq);
    params[n++] = P_INT(row->at);
    for (int i = 0; i < FIELD_COUNT; i++) {
        struct str s = row->fields[i];
        if (row->null[i])
            params[n++] = P_NULL;
        else if (trail_field_is_text((enum trail_field)i))
            params[n++] = P_TEXT(s);
        else
            params[n++] = P_BLOB(s.p, s.n);
    }
    params[n++] = P_BLOB(mac, MAC_SIZE);
    int e = store_exec(txn,
                       "INSERT INTO trail (" TRAIL_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7,"
                       " $8, $9, $10, $11, $12, $13, $14)",
                       NULL, params, n);
    return e == STORE_CONFLICT
               ? fault_set(FAULT_STORE, "the trail has a record behind its head already")
               : e;
}

int trail_append(const struct trail *trail, struct store_txn *txn, const struct trail_actor *actor,
                 const struct trail_event *event)
{
    _cleanup_buf_ struct buf scratch = buf_init((size_t)2 * TRAIL_DETAIL_MAX);
    struct trail_head head, next;
    struct trail_row row;
    int e = check_event(actor, event);

    if (!e)
        e = head_find(trail, txn, &head);
    if (e)
        return e;
    fill_row(trail, &head, actor, event, &row);
    next = (struct trail_head){.chain = head.chain, .seq = row.seq};
    e = trail_row_mac(&trail->keys[0], &row, &scratch, next.mac);
    if (!e)
        e = trail_head_seal(trail, &next);
    if (!e)
        e = insert_row(txn, &row, next.mac);
    if (!e)
        e = head_put(txn, &next);
    return e;
}

struct append_job {
    const struct trail *trail;
    const struct trail_actor *actor;
    const struct trail_event *event;
};

static int append_job(struct store_txn *txn, void *arg)
{
    const struct append_job *job = arg;

    return trail_append(job->trail, txn, job->actor, job->event);
}

int trail_append_now(const struct trail *trail, const struct trail_actor *actor,
                     const struct trail_event *event)
{
    struct append_job job = {trail, actor, event};

    return store_write(trail->store, append_job, &job);
}
