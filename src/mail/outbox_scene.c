#include "mail/outbox_scene.h"

#include "mail/suppression.h"

struct transport_fate outbox_scene_fate(struct str address)
{
    static const struct {
        struct str prefix;
        enum transport_result result;
        const char *code, *text;
        int64_t retry_after_ms;
        bool general;
    } rows[] = {
        {STR_INIT("no"), TRANSPORT_PERMANENT, "550", "5.1.1 no such user", 0, false},
        {STR_INIT("later"), TRANSPORT_TEMPORARY, "451", "4.7.1 come back", 0, false},
        {STR_INIT("slow"), TRANSPORT_TEMPORARY, "421", "busy", CLOCK_HOUR, false},
        {STR_INIT("lost"), TRANSPORT_UNCERTAIN, "smtp_data", "connection lost", 0, false},
        {STR_INIT("down"), TRANSPORT_TEMPORARY, "smtp_connect", "refused", 0, true},
    };
    struct transport_fate fate;

    transport_fates_set(&fate, 1, TRANSPORT_ACCEPTED, STR(""), STR(""));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!str_has_prefix(address, rows[i].prefix))
            continue;
        transport_fates_set(&fate, 1, rows[i].result, str_of(rows[i].code), str_of(rows[i].text));
        fate.retry_after_ms = rows[i].retry_after_ms;
        fate.general = rows[i].general;
    }
    return fate;
}

static int set_up(void **state, int (*make)(void **state))
{
    struct outbox_scene *s = calloc(1, sizeof *s);
    void *scene = NULL;

    assert_non_null(s);
    assert_int_equal(make(&scene), 0);
    s->f = scene;
    s->f->config->email_transport = EMAIL_SMTP;
    assert_done(mail_new(s->f->config, s->f->node.store, s->f->node.trail, &s->m));
    *state = s;
    return 0;
}

int outbox_scene_sqlite(void **state)
{
    return set_up(state, scene_sqlite);
}

int outbox_scene_postgres(void **state)
{
    return set_up(state, scene_postgres);
}

int outbox_scene_release(void **state)
{
    struct outbox_scene *s = *state;
    void *scene = s->f;

    mail_free(s->m);
    free(s);
    return scene_release(&scene);
}

struct outbox_request outbox_scene_request(struct outbox_scene *s, const char *addresses)
{
    struct outbox_request r = {.tenant_id = s->f->tenant,
                               .subject = STR("Subject"),
                               .text = STR("Hello.\n"),
                               .template_name = STR("welcome"),
                               .purpose = UNSUBSCRIBE_PRODUCT};
    struct str rest = str_of(addresses);

    while (str_next(&rest, ',', &r.to[r.n]))
        r.n++;
    return r;
}

struct accepting {
    struct outbox_scene *s;
    const struct outbox_request *request;
    int64_t now;
    int outcome;
    struct uuid id;
};

static int accept_job(struct store_txn *t, void *arg)
{
    struct accepting *a = arg;

    a->outcome = outbox_accept(t, a->s->m, a->request, a->now, &a->id);
    return a->outcome < 0 ? a->outcome : 0;
}

int outbox_scene_accept(struct outbox_scene *s, const struct outbox_request *request, int64_t now,
                        struct uuid *ret_id)
{
    struct accepting a = {.s = s, .request = request, .now = now};
    struct mime_problem problem;

    assert_int_equal(outbox_check(s->m, request, &problem), 0);
    assert_done(store_write(s->f->node.store, accept_job, &a));
    if (ret_id)
        *ret_id = a.id;
    return a.outcome;
}

struct uuid outbox_scene_send(struct outbox_scene *s, const char *addresses, int64_t now)
{
    struct outbox_request request = outbox_scene_request(s, addresses);
    struct uuid id;

    assert_int_equal(outbox_scene_accept(s, &request, now, &id), 0);
    return id;
}

struct looking {
    struct outbox_scene *s;
    const struct uuid *id;
    struct mail_log_entry *items;
    size_t n;
};

static int look_job(struct store_txn *t, void *arg)
{
    struct looking *l = arg;
    int r = mail_log_find_message(t, &l->s->f->a, NULL, l->id, &l->items, &l->n);

    return r == MAIL_LOG_UNKNOWN ? 0 : r;
}

const char *outbox_scene_state(struct outbox_scene *s, const struct uuid *id, const char *address)
{
    struct looking l = {.s = s, .id = id};
    const char *text = "";

    assert_done(store_read(s->f->node.store, look_job, &l));
    for (size_t i = 0; i < l.n; i++)
        if (str_eq(l.items[i].recipient, str_of(address)))
            text =
                arena_printf(&s->f->a, "%.*s/%.*s", STR_ARG(mail_state_name(l.items[i].mark.state)),
                             STR_ARG(l.items[i].mark.code));
    return text;
}

struct suppressing {
    struct suppression entry;
};

static int suppress_job(struct store_txn *t, void *arg)
{
    int r = suppression_add(t, &((struct suppressing *)arg)->entry);

    return r == SUPPRESSION_EXISTS ? 0 : r;
}

void outbox_scene_suppress(struct outbox_scene *s, const char *address, int reason)
{
    struct suppressing a = {.entry = {.address = str_of(address),
                                      .reason = (enum suppression_reason)reason,
                                      .source = STR("test"),
                                      .note = STR(""),
                                      .created_by = STR("tester"),
                                      .created_at = NOW}};

    if (reason == SUPPRESSION_UNSUBSCRIBE)
        a.entry.tenant_id = s->f->tenant;
    assert_done(store_write(s->f->node.store, suppress_job, &a));
}

void outbox_node_begin(struct outbox_node *n, struct outbox_scene *s)
{
    struct uuid id = uuid_new();

    *n = (struct outbox_node){
        .s = s, .store = fixture_node(s->f->base), .senders = OUTBOX_SCENE_SLOTS, .pause_ms = 1000};
    uuid_format(&id, n->name);
    for (size_t i = 0; i < OUTBOX_SENDERS_MAX; i++)
        outbox_slot_init(&n->slots[i]);
}

void outbox_node_end(struct outbox_node *n)
{
    for (size_t i = 0; i < OUTBOX_SENDERS_MAX; i++)
        outbox_slot_release(&n->slots[i]);
    store_close(n->store);
}

size_t outbox_node_try(struct outbox_node *n, int64_t now)
{
    struct outbox_slot *slots[OUTBOX_SENDERS_MAX];
    struct outbox_turn turn = {.node = n->name,
                               .sandbox = n->sandbox,
                               .claims = n->leaves ? 0 : n->senders,
                               .leaves = n->leaves,
                               .in_doubt = n->in_doubt,
                               .now = now,
                               .pause_ms = n->pause_ms,
                               .slots = slots,
                               .n = n->senders};
    size_t working = 0;

    for (size_t i = 0; i < n->senders; i++)
        slots[i] = &n->slots[i];
    n->outcome = outbox_round(n->store, &turn, &n->aside);
    for (size_t i = 0; i < n->senders; i++) {
        if (slots[i]->state == OUTBOX_SLOT_GIVEN)
            slots[i]->state = OUTBOX_SLOT_WORKING;
        working += slots[i]->state == OUTBOX_SLOT_WORKING;
    }
    return working;
}

size_t outbox_node_turn(struct outbox_node *n, int64_t now)
{
    size_t working = outbox_node_try(n, now);

    assert_done(n->outcome);
    assert_int_equal(n->aside, 0);
    return working;
}

static void note_handed(struct outbox_node *n, const char *address)
{
    size_t used = strlen(n->handed);
    int more = snprintf(n->handed + used, sizeof n->handed - used, "%s ", address);

    assert_true(more > 0 && (size_t)more < sizeof n->handed - used);
}

static void work_on(struct outbox_node *n, struct outbox_slot *s, int64_t now)
{
    struct str to = str_of(s->task.recipient);
    char id[UUID_TEXT_SIZE];

    s->report = (struct outbox_report){.fate = outbox_scene_fate(to), .at = now};
    uuid_format(&s->task.log_id, id);
    snprintf(s->report.provider_id, sizeof s->report.provider_id, "p-%s", id);
    if (s->task.lost)
        transport_fates_set(&s->report.fate, 1, TRANSPORT_UNCERTAIN, STR("x"), STR("died"));
    else
        note_handed(n, s->task.recipient);
    s->state = OUTBOX_SLOT_REPORTED;
}

void outbox_node_work(struct outbox_node *n, int64_t now)
{
    for (size_t i = 0; i < n->senders; i++)
        if (n->slots[i].state == OUTBOX_SLOT_WORKING)
            work_on(n, &n->slots[i], now);
}

void outbox_node_run(struct outbox_node *n, int64_t now)
{
    while (outbox_node_turn(n, now))
        outbox_node_work(n, now);
}

static int fake_send(struct transport *transport, const struct transport_message *m,
                     char ret_provider_id[TRANSPORT_ID_SIZE], struct transport_fate *ret_fates)
{
    struct fake_transport *t = (struct fake_transport *)transport;

    assert_int_equal(m->n, 1);
    pthread_mutex_lock(&t->lock);
    assert_true(t->n < FAKE_SENT_MAX);
    snprintf(t->to[t->n++], EMAIL_ADDRESS_SIZE, "%.*s", STR_ARG(m->recipients[0]));
    buf_reset(&t->last);
    assert_done(buf_add_str(&t->last, m->mime));
    t->holding++;
    while (t->held)
        pthread_cond_wait(&t->change, &t->lock);
    t->holding--;
    pthread_mutex_unlock(&t->lock);
    ret_fates[0] = outbox_scene_fate(m->recipients[0]);
    snprintf(ret_provider_id, TRANSPORT_ID_SIZE, "%.*s", STR_ARG(m->message_id));
    return 0;
}

static void fake_free(struct transport *t)
{
}

static const struct transport_kind fake_kind = {"fake", fake_send, fake_free};

void fake_transport_begin(struct fake_transport *t)
{
    *t = (struct fake_transport){.base.kind = &fake_kind, .last = buf_init(MIME_MESSAGE_MAX)};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->change, NULL);
}

void fake_transport_end(struct fake_transport *t)
{
    buf_free(&t->last);
    pthread_cond_destroy(&t->change);
    pthread_mutex_destroy(&t->lock);
}

void fake_transport_hold(struct fake_transport *t, bool held)
{
    pthread_mutex_lock(&t->lock);
    t->held = held;
    pthread_cond_broadcast(&t->change);
    pthread_mutex_unlock(&t->lock);
}

size_t fake_transport_count(struct fake_transport *t, const char *address)
{
    size_t n = 0;

    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->n; i++)
        n += !address || strcmp(t->to[i], address) == 0;
    pthread_mutex_unlock(&t->lock);
    return n;
}

size_t fake_transport_holding(struct fake_transport *t)
{
    pthread_mutex_lock(&t->lock);
    size_t n = t->held ? t->holding : 0;
    pthread_mutex_unlock(&t->lock);
    return n;
}
