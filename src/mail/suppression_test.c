/* Who is not written to: entries, bounds, and the list as CSV. */
#include "mail/suppression_csv.h"

#include "mail/fixture.h"

static const struct uuid everywhere;

struct work {
    struct scene *f;
    struct suppression entry;
    struct suppression_removal removal;
    unsigned reasons;
    struct suppression_query query;
    const struct uuid *tenant;
    int64_t limit; /* of an import */
    struct str addresses[SUPPRESSION_FIND_MAX + 1];
    struct suppression_hit hits[SUPPRESSION_FIND_MAX];
    struct suppression *items;
    struct suppression_import *import;
    struct suppression_import_result result;
    size_t n;
    int64_t now, removed;
};

static int add_job(struct store_txn *t, void *arg)
{
    return suppression_add(t, &((struct work *)arg)->entry);
}

static int remove_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return suppression_remove(t, &w->removal, &w->reasons);
}

static int list_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return suppression_list(t, &w->f->a, &w->query, &w->items, &w->n);
}

static int find_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return suppression_find(t, w->tenant, w->addresses, w->n, w->now, w->hits);
}

static int reap_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;

    return suppression_reap(t, w->now, w->now, 1, &w->removed);
}

static int import_job(struct store_txn *t, void *arg)
{
    struct work *w = arg;
    struct suppression_importer by = {*w->tenant, w->limit, STR("ann"), NOW};

    return suppression_import_apply(t, w->import, &by, &w->result);
}

static int add(struct scene *f, const struct uuid *tenant, const char *address,
               enum suppression_reason reason, int64_t expires_at)
{
    struct work w = {.entry = {*tenant, str_of(address), reason, STR("api"), STR("note"),
                               STR("tester"), NOW, expires_at}};

    return store_write(f->node.store, add_job, &w);
}

enum { ANY = -1 };
#define BIT(reason) (1U << SUPPRESSION_##reason)

/* The outcome; ret_reasons as suppression_remove says, 0 where it says nothing. */
static int remove_for(struct scene *f, const struct uuid *tenant, const char *address, int reason,
                      unsigned *ret_reasons)
{
    struct work w = {.removal = {tenant, str_of(address), reason, NOW}};
    int r = store_write(f->node.store, remove_job, &w);

    *ret_reasons = w.reasons;
    return r;
}

static int remove_address(struct scene *f, const struct uuid *tenant, const char *address)
{
    unsigned reasons;

    return remove_for(f, tenant, address, ANY, &reasons);
}

/* As remove_for says, for an operator who names the tenant. */
static int remove_as_operator(struct scene *f, const char *address, int reason)
{
    struct work w = {.removal = {&f->tenant, str_of(address), reason, NOW, .by_operator = true}};

    return store_write(f->node.store, remove_job, &w);
}

/* What is in the list of an address, as bits. */
static unsigned reasons_of(struct scene *f, const struct uuid *tenant, const char *address)
{
    struct work w = {
        .f = f, .query = {.tenant = tenant, .address = str_of(address), .reason = -1, .limit = 20}};
    unsigned reasons = 0;

    assert_done(store_read(f->node.store, list_job, &w));
    for (size_t i = 0; i < w.n; i++)
        reasons |= 1U << w.items[i].reason;
    return reasons;
}

static struct suppression_hit hit_of(struct scene *f, const char *address, int64_t now)
{
    struct work w = {.tenant = &f->tenant, .n = 1, .now = now, .addresses = {str_of(address)}};

    assert_done(store_read(f->node.store, find_job, &w));
    return w.hits[0];
}

/* First letters of what a query gives, page by page. */
static const char *letters(struct scene *f, struct suppression_query query)
{
    static char out[50];
    struct work w = {.f = f, .query = query};
    size_t n = 0;

    w.query.limit = 2;
    do {
        assert_done(store_read(f->node.store, list_job, &w));
        for (size_t i = 0; i < w.n; i++)
            out[n++] = w.items[i].address.p[0];
        w.query.after = w.n ? &w.items[w.n - 1] : NULL;
    } while (w.n == 2);
    out[n] = 0;
    return out;
}

static void test_add_and_remove(void **state)
{
    struct scene *f = *state;

    assert_done(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, NOW + 10));
    assert_int_equal(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, NOW + 10),
                     SUPPRESSION_EXISTS);
    assert_done(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, NOW + 11));
    assert_int_equal(scene_number(f, "SELECT expires_at FROM suppressions"), NOW + 11);
    assert_done(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, 0));
    assert_int_equal(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, NOW + 99),
                     SUPPRESSION_EXISTS);
    assert_int_equal(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, 0), SUPPRESSION_EXISTS);
    assert_done(add(f, &f->tenant, "a@x.org", SUPPRESSION_BOUNCE, NOW + 1));
    assert_done(add(f, &f->other, "a@x.org", SUPPRESSION_MANUAL, 0));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), 3);
    mail_apply_one(f, mail_soft_bounce("p", "a@x.org", NOW));
    assert_done(remove_address(f, &f->tenant, "a@x.org"));
    assert_int_equal(remove_address(f, &f->tenant, "a@x.org"), SUPPRESSION_UNKNOWN);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM soft_bounces"), 0);
    assert_done(remove_address(f, NULL, "a@x.org"));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), 0);
}

/* Each reason stands by itself, whatever it lies on top of. */
static void test_reasons(void **state)
{
    struct scene *f = *state;
    const char *who = "a@x.org";
    unsigned reasons;

    assert_done(add(f, &f->tenant, who, SUPPRESSION_MANUAL, 0));
    assert_done(add(f, &f->tenant, who, SUPPRESSION_UNSUBSCRIBE, 0));
    /* The manual entry stops what the account's safety depends on as well. */
    assert_int_equal(hit_of(f, who, NOW).reason, SUPPRESSION_MANUAL);
    assert_true(suppression_stops(&(struct suppression_hit){true, SUPPRESSION_MANUAL}, true));
    assert_done(remove_for(f, &f->tenant, who, SUPPRESSION_MANUAL, &reasons));
    assert_int_equal(reasons, BIT(MANUAL));
    struct suppression_hit hit = hit_of(f, who, NOW);
    assert_true(hit.found && hit.reason == SUPPRESSION_UNSUBSCRIBE);
    assert_true(suppression_stops(&hit, false));
    assert_false(suppression_stops(&hit, true));
    assert_done(add(f, &everywhere, who, SUPPRESSION_MANUAL, NOW + 5));
    hit = hit_of(f, who, NOW);
    assert_true(suppression_stops(&hit, true));
    hit = hit_of(f, who, NOW + 5);
    assert_false(suppression_stops(&hit, true));
    assert_true(suppression_stops(&hit, false));
}

/* Of several reasons the strongest is shown. */
static void test_strength(void **state)
{
    static const enum suppression_reason weakest_first[] = {
        SUPPRESSION_UNSUBSCRIBE, SUPPRESSION_SOFT_BOUNCES, SUPPRESSION_MANUAL,
        SUPPRESSION_PROVIDER,    SUPPRESSION_BOUNCE,       SUPPRESSION_COMPLAINT};
    struct scene *f = *state;

    for (int i = 0; i < SUPPRESSION_REASONS; i++) {
        const struct uuid *tenant = i % 2 ? &everywhere : &f->tenant;
        assert_done(add(f, tenant, "up@x.org", weakest_first[i], 0));
        assert_int_equal(hit_of(f, "up@x.org", NOW).reason, weakest_first[i]);
        assert_done(
            add(f, tenant, "down@x.org", weakest_first[SUPPRESSION_REASONS - 1 - i], NOW + i + 1));
        assert_int_equal(hit_of(f, "down@x.org", NOW).reason, SUPPRESSION_COMPLAINT);
    }
    assert_int_equal(reasons_of(f, NULL, "up@x.org"), (1 << SUPPRESSION_REASONS) - 1);
}

/* Who does not want mail is not written to again in passing. */
static void test_wishes(void **state)
{
    struct scene *f = *state;
    const char *who = "a@x.org";
    unsigned all = BIT(UNSUBSCRIBE) | BIT(COMPLAINT) | BIT(BOUNCE) | BIT(MANUAL), reasons;

    assert_done(add(f, &f->tenant, who, SUPPRESSION_UNSUBSCRIBE, 0));
    assert_done(add(f, &f->tenant, who, SUPPRESSION_MANUAL, 0));
    assert_done(add(f, &f->tenant, who, SUPPRESSION_BOUNCE, 0));
    assert_done(add(f, &f->tenant, who, SUPPRESSION_COMPLAINT, NOW + 1));
    assert_int_equal(remove_for(f, &f->tenant, who, ANY, &reasons), SUPPRESSION_WISHED);
    assert_int_equal(reasons, BIT(UNSUBSCRIBE) | BIT(COMPLAINT));
    assert_int_equal(remove_for(f, NULL, who, ANY, &reasons), SUPPRESSION_WISHED);
    assert_int_equal(reasons_of(f, &f->tenant, who), all);
    assert_int_equal(remove_for(f, &f->other, who, ANY, &reasons), SUPPRESSION_UNKNOWN);
    assert_int_equal(remove_for(f, &f->tenant, who, SUPPRESSION_PROVIDER, &reasons),
                     SUPPRESSION_UNKNOWN);

    mail_apply_one(f, mail_soft_bounce("p", who, NOW));
    assert_done(remove_for(f, &f->tenant, who, SUPPRESSION_COMPLAINT, &reasons));
    assert_int_equal(reasons_of(f, &f->tenant, who), all & ~BIT(COMPLAINT));
    assert_done(remove_for(f, &f->tenant, who, SUPPRESSION_UNSUBSCRIBE, &reasons));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM soft_bounces"), 1);
    /* One that is over stands in nobody's way. */
    assert_done(add(f, &f->tenant, who, SUPPRESSION_COMPLAINT, NOW));
    assert_done(remove_for(f, &f->tenant, who, ANY, &reasons));
    assert_int_equal(reasons, BIT(COMPLAINT) | BIT(BOUNCE) | BIT(MANUAL));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM soft_bounces"), 0);
}

/* A tenant sees what stops its own mail, and nothing of others'. */
static void test_bounds(void **state)
{
    struct scene *f = *state;
    struct suppression_query q = {.tenant = &f->tenant, .reason = -1};

    scene_member(f, "user");
    mail_queue(f, "mailed@x.org", NOW);
    assert_done(add(f, &everywhere, "user@example.com", SUPPRESSION_BOUNCE, 0));
    assert_done(add(f, &everywhere, "mailed@x.org", SUPPRESSION_COMPLAINT, 0));
    assert_done(add(f, &everywhere, "foreign@x.org", SUPPRESSION_BOUNCE, 0));
    assert_done(add(f, &f->tenant, "own@x.org", SUPPRESSION_MANUAL, NOW + 5));
    assert_done(add(f, &f->other, "theirs@x.org", SUPPRESSION_MANUAL, 0));
    assert_string_equal(letters(f, q), "mou");
    q.valid_at = NOW + 5;
    assert_string_equal(letters(f, q), "mu");
    q.reason = SUPPRESSION_COMPLAINT;
    assert_string_equal(letters(f, q), "m");
    q = (struct suppression_query){.reason = -1};
    assert_string_equal(letters(f, q), "fmotu");
    q.address = STR("own@x.org");
    assert_string_equal(letters(f, q), "o");
    q.tenant = &f->other;
    assert_string_equal(letters(f, q), "");
    assert_int_equal(remove_address(f, &f->tenant, "foreign@x.org"), SUPPRESSION_UNKNOWN);
    assert_int_equal(remove_address(f, &f->tenant, "theirs@x.org"), SUPPRESSION_UNKNOWN);
    assert_int_equal(remove_address(f, &f->tenant, "mailed@x.org"), SUPPRESSION_RESERVED);
    assert_int_equal(remove_as_operator(f, "foreign@x.org", ANY), SUPPRESSION_UNKNOWN);
    assert_int_equal(remove_as_operator(f, "mailed@x.org", ANY), SUPPRESSION_WISHED);
    assert_done(remove_as_operator(f, "user@example.com", ANY));
    assert_string_equal(letters(f, (struct suppression_query){.tenant = &f->tenant, .reason = -1}),
                        "mo");
}

/* What a tenant lifts of the installation's: what bounced by itself, and nothing else. */
static void test_reserved(void **state)
{
    static const char *const sources[] = {"event", "api", "import", "cli"};
    struct scene *f = *state;

    scene_member(f, "user");
    for (size_t k = 0; k < sizeof sources / sizeof *sources; k++) {
        for (int i = 0; i < SUPPRESSION_REASONS; i++) {
            enum suppression_reason reason = (enum suppression_reason)i;
            struct work w = {.entry = {everywhere, STR("user@example.com"), reason,
                                       str_of(sources[k]), STR(""), STR(""), NOW, 0}};
            bool lifted = k == 0 && (BIT(BOUNCE) | BIT(SOFT_BOUNCES)) & 1U << i;
            unsigned reasons = 0;

            for (int named = 0; named < 2; named++) {
                assert_int_equal(store_write(f->node.store, add_job, &w),
                                 named && !lifted ? SUPPRESSION_EXISTS : 0);
                assert_int_equal(
                    remove_for(f, &f->tenant, "user@example.com", named ? i : ANY, &reasons),
                    lifted ? 0 : SUPPRESSION_RESERVED);
                assert_int_equal(reasons, 1U << i);
                assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), !lifted);
            }
            assert_int_equal(remove_as_operator(f, "user@example.com", i),
                             lifted ? SUPPRESSION_UNKNOWN : 0);
        }
    }
}

/* A tenant's own entry goes from beside one that stays. */
static void test_reserved_beside(void **state)
{
    struct scene *f = *state;
    const char *who = "user@example.com";
    unsigned reasons = 0;

    scene_member(f, "user");
    assert_done(add(f, &everywhere, who, SUPPRESSION_MANUAL, NOW + 1));
    assert_done(add(f, &f->tenant, who, SUPPRESSION_MANUAL, 0));
    assert_done(add(f, &f->tenant, who, SUPPRESSION_COMPLAINT, 0));
    mail_apply_one(f, mail_bounce("p", who, NOW));
    assert_int_equal(remove_for(f, &f->tenant, who, ANY, &reasons), SUPPRESSION_RESERVED);
    assert_int_equal(reasons, BIT(MANUAL));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), 4);
    assert_done(remove_for(f, &f->tenant, who, SUPPRESSION_MANUAL, &reasons));
    assert_int_equal(reasons, BIT(MANUAL));
    assert_int_equal(remove_for(f, &f->tenant, who, SUPPRESSION_MANUAL, &reasons),
                     SUPPRESSION_RESERVED);
    assert_done(remove_for(f, &f->tenant, who, SUPPRESSION_COMPLAINT, &reasons));
    assert_done(remove_for(f, &f->tenant, who, SUPPRESSION_BOUNCE, &reasons));
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), 1);
    /* One that is over stands in nobody's way, and is still not theirs. */
    assert_done(add(f, &f->tenant, who, SUPPRESSION_BOUNCE, 0));
    struct work w = {.removal = {&f->tenant, str_of(who), ANY, NOW + 1}};
    assert_done(store_write(f->node.store, remove_job, &w));
    assert_int_equal(store_write(f->node.store, remove_job, &w), SUPPRESSION_UNKNOWN);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), 1);
}

/* Notes of all are an operator's; so is who made them. */
static void test_hidden(void **state)
{
    struct scene *f = *state;

    scene_member(f, "user");
    assert_done(add(f, &everywhere, "user@example.com", SUPPRESSION_MANUAL, 0));
    assert_done(add(f, &f->tenant, "user@example.com", SUPPRESSION_MANUAL, 0));
    for (int i = 0; i < 6; i++) {
        struct work w = {.f = f,
                         .query = {.tenant = i < 4 ? &f->tenant : NULL, .reason = -1, .limit = 5}};
        w.query.by_operator = i == 2 || i == 3;
        w.query.address = i % 2 ? STR("user@example.com") : STR("");
        assert_done(store_read(f->node.store, list_job, &w));
        assert_int_equal(w.n, 2);
        for (size_t k = 0; k < w.n; k++) {
            bool hidden = i < 2 && uuid_is_nil(&w.items[k].tenant_id);
            assert_true(str_eq(w.items[k].note, hidden ? STR("") : STR("note")));
            assert_true(str_eq(w.items[k].created_by, hidden ? STR("") : STR("tester")));
            assert_true(str_eq(w.items[k].source, STR("api")));
        }
    }
}

static int64_t reached(struct scene *f)
{
    return scene_number(f, "SELECT count(*) FROM suppression_tenants");
}

struct suppressing {
    const struct uuid *tenant, *queued; /* queued: a message that is refused now; or NULL */
    size_t n;
};

static int suppress_job(struct store_txn *t, void *arg)
{
    static const struct str addresses[] = {STR_INIT("b@x.org"), STR_INIT("a@x.org")};
    const struct suppressing *s = arg;
    struct mail_recipient to[2] = {{{0}}};
    struct mail_message message = {.id = uuid_new(),
                                   .tenant_id = *s->tenant,
                                   .template_name = STR(""),
                                   .subject = STR(""),
                                   .transport = STR("sandbox"),
                                   .recipients = to,
                                   .n = s->n};

    if (s->queued)
        return mail_settle_message(
            t, s->queued, "",
            &(struct mail_settlement){
                .state = MAIL_SUPPRESSED, .code = STR("manual"), .detail = STR(""), .at = NOW},
            NULL);
    for (size_t i = 0; i < s->n; i++)
        to[i] = (struct mail_recipient){
            .address = addresses[i], .state = MAIL_SUPPRESSED, .code = STR("manual")};
    return mail_log_create(t, &message, NOW);
}

/* A message that was not sent: to b, or to b and a. */
static void suppress_at_once(struct scene *f, const struct uuid *tenant, size_t n)
{
    struct suppressing s = {.tenant = tenant, .n = n};

    assert_done(store_write(f->node.store, suppress_job, &s));
}

static void refuse(struct scene *f, const struct uuid *message)
{
    struct suppressing s = {.tenant = &f->tenant, .queued = message};

    assert_done(store_write(f->node.store, suppress_job, &s));
}

/* An entry of the installation concerns a tenant from then on that writes to its address. */
static void test_reach(void **state)
{
    struct scene *f = *state;
    struct suppression_query q = {.tenant = &f->tenant, .reason = -1}, theirs = q;
    unsigned reasons;

    theirs.tenant = &f->other;
    assert_done(add(f, &everywhere, "a@x.org", SUPPRESSION_BOUNCE, 0));
    assert_done(add(f, &everywhere, "b@x.org", SUPPRESSION_MANUAL, NOW + 5));
    assert_string_equal(letters(f, q), "");
    suppress_at_once(f, &f->tenant, 1);
    assert_string_equal(letters(f, q), "b");
    assert_string_equal(letters(f, theirs), "");
    /* What was accepted before is found to be suppressed when it is to be sent. */
    struct uuid id = mail_queue(f, "a@x.org", NOW);
    assert_string_equal(letters(f, q), "b");
    refuse(f, &id);
    assert_string_equal(letters(f, q), "ab");
    suppress_at_once(f, &f->other, 2);
    suppress_at_once(f, &f->other, 2);
    assert_string_equal(letters(f, theirs), "ab");
    assert_int_equal(reached(f), 4);

    /* With an entry what it concerned goes as well. */
    mail_apply_one(f, mail_complaint("p", "a@x.org", NOW));
    assert_int_equal(reached(f), 6);
    assert_done(remove_for(f, NULL, "a@x.org", SUPPRESSION_BOUNCE, &reasons));
    assert_int_equal(reached(f), 4);
    struct work w = {.now = NOW + 5};
    assert_done(store_write(f->node.store, reap_job, &w));
    assert_int_equal(w.removed, 1);
    assert_int_equal(reached(f), 2);
}

/* A user that comes after the entry finds it by the address. */
static void test_later_user(void **state)
{
    struct scene *f = *state;
    struct suppression_query q = {.tenant = &f->tenant, .reason = -1};

    assert_done(add(f, &everywhere, "user@example.com", SUPPRESSION_BOUNCE, 0));
    scene_member(f, "user");
    q.address = STR("user@example.com");
    assert_string_equal(letters(f, q), "u");
    q.tenant = &f->other;
    assert_string_equal(letters(f, q), "");
    assert_int_equal(remove_address(f, &f->other, "user@example.com"), SUPPRESSION_UNKNOWN);
    assert_int_equal(remove_address(f, &f->tenant, "user@example.com"), SUPPRESSION_RESERVED);
}

/* Whom soft bounces concern is forgotten with the delivery that lifts them. */
static void test_reach_of_events(void **state)
{
    static const char *const providers[] = {"p", "q", "r"};
    struct scene *f = *state;
    struct suppression_query q = {.tenant = &f->tenant, .reason = -1};

    for (int i = 0; i < MAIL_SOFT_LIMIT; i++) {
        struct uuid id = mail_queue(f, "a@x.org", NOW);
        mail_hand_over(f, &id, providers[i], NOW);
        mail_apply_one(f, mail_soft_bounce(providers[i], "a@x.org", NOW));
    }
    assert_string_equal(letters(f, q), "a");
    mail_apply_one(f, mail_delivery("r", "a@x.org", NOW + 1));
    assert_string_equal(letters(f, q), "");
    assert_int_equal(reached(f), 0);
    mail_apply_one(f, mail_bounce("p", "a@x.org", NOW));
    mail_apply_one(f, mail_bounce("elsewhere", "b@x.org", NOW));
    assert_string_equal(letters(f, q), "a");
    assert_int_equal(reached(f), 1);
}

static void test_find(void **state)
{
    struct scene *f = *state;
    struct work w = {.tenant = &f->tenant, .n = SUPPRESSION_FIND_MAX, .now = NOW};
    struct store *s = f->node.store;

    for (size_t i = 0; i <= SUPPRESSION_FIND_MAX; i++)
        w.addresses[i] = STR("nobody@x.org");
    w.addresses[0] = STR("a@x.org");
    w.addresses[30] = STR("b@x.org");
    w.addresses[49] = STR("c@x.org");
    assert_done(add(f, &f->tenant, "a@x.org", SUPPRESSION_MANUAL, NOW + 1));
    assert_done(add(f, &everywhere, "a@x.org", SUPPRESSION_BOUNCE, 0));
    assert_done(add(f, &f->tenant, "b@x.org", SUPPRESSION_MANUAL, NOW + 1));
    assert_done(add(f, &f->other, "c@x.org", SUPPRESSION_MANUAL, 0));
    assert_done(store_read(s, find_job, &w));
    assert_true(w.hits[0].found && w.hits[0].reason == SUPPRESSION_BOUNCE);
    assert_true(w.hits[30].found && w.hits[30].reason == SUPPRESSION_MANUAL);
    assert_false(w.hits[1].found || w.hits[49].found);
    w.now = NOW + 1; /* as of its expiry it is over */
    assert_done(store_read(s, find_job, &w));
    assert_true(w.hits[0].found);
    assert_false(w.hits[30].found);
    w.n = SUPPRESSION_FIND_MAX + 1;
    assert_int_equal(store_read(s, find_job, &w), FAULT_INTERNAL);
    assert_done(add(f, &f->other, "d@x.org", SUPPRESSION_MANUAL, NOW + 1));
    for (int64_t left = 4; left >= 2; left--) {
        assert_done(store_write(s, reap_job, &w));
        assert_int_equal(w.removed, 1);
        assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), left);
    }
    assert_done(store_write(s, reap_job, &w));
    assert_int_equal(w.removed, 0);
}

/* Reads a file in pieces of every size. */
static struct suppression_import *read_file(struct str file, size_t piece)
{
    struct suppression_import *i = NULL;

    assert_done(suppression_import_new(&i));
    for (size_t at = 0; at < file.n; at += piece)
        assert_done(suppression_import_feed(
            i, (struct str){file.p + at, file.n - at < piece ? file.n - at : piece}));
    assert_done(suppression_import_finish(i));
    return i;
}

static int64_t mistakes_of(const struct suppression_import *i)
{
    int64_t total;
    size_t n;

    suppression_import_mistakes(i, &n, &total);
    return total;
}

static void test_import(void **state)
{
    struct scene *f = *state;
    struct str file = STR("\xef\xbb\xbf\"Note\",Reason,address,expires_at\r\n"
                          "\"a \"\"note\"\",\nof two lines\",bounce,A@X.org,\n"
                          "\r\n"
                          ",,b@x.org,2026-01-02T03:04:05Z\n"
                          ",,B@x.org, \n"
                          "'=x,manual,'=c@x.org,");

    for (size_t piece = 1; piece < 8; piece++) {
        struct work w = {.tenant = &f->tenant, .import = read_file(file, piece)};
        assert_int_equal(mistakes_of(w.import), 0);
        assert_done(store_write(f->node.store, import_job, &w));
        assert_int_equal(w.result.lines, 4);
        assert_int_equal(w.result.added, piece == 1 ? 3 : 0);
        assert_int_equal(w.result.existing, piece == 1 ? 0 : 3);
        assert_int_equal(w.result.duplicates, 1);
        suppression_import_free(w.import);
    }
    assert_int_equal(mail_number_of(f,
                                    "SELECT count(*) FROM suppressions WHERE reason = 'bounce'"
                                    " AND address = 'a@x.org' AND note = $1"
                                    " AND created_by = 'ann' AND source = 'import'",
                                    "a \"note\",\nof two lines"),
                     1);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions WHERE address = 'b@x.org'"
                                     " AND expires_at IS NULL"),
                     1);
    assert_int_equal(mail_number_of(f,
                                    "SELECT count(*) FROM suppressions WHERE note = $1"
                                    " AND address = '=c@x.org'",
                                    "=x"),
                     1);
}

static void test_import_without_names(void **state)
{
    struct scene *f = *state;
    struct work w = {.tenant = &everywhere,
                     .import = read_file(STR("a@x.org\rb@x.org,complaint\r\n"), 3)};

    assert_int_equal(mistakes_of(w.import), 0);
    assert_done(store_write(f->node.store, import_job, &w));
    assert_int_equal(w.result.added, 2);
    suppression_import_free(w.import);
    /* Of an address each reason is taken; for whom they concern, as with any entry. */
    mail_queue(f, "a@x.org", NOW);
    w.import = read_file(STR("a@x.org,bounce\na@x.org\na@x.org,complaint\na@x.org,bounce\n"), 3);
    assert_done(store_write(f->node.store, import_job, &w));
    assert_true(w.result.added == 2 && w.result.existing == 1 && w.result.duplicates == 1);
    assert_int_equal(reasons_of(f, &f->tenant, "a@x.org"),
                     BIT(BOUNCE) | BIT(COMPLAINT) | BIT(MANUAL));
    suppression_import_free(w.import);
    w.import = read_file(STR(""), 1);
    assert_done(store_write(f->node.store, import_job, &w));
    assert_int_equal(w.result.lines + w.result.added, 0);
    suppression_import_free(w.import);
}

struct counting {
    const struct uuid *tenant;
    int64_t max, *n;
};

static int count_job(struct store_txn *t, void *arg)
{
    const struct counting *c = arg;

    return suppression_count_own(t, c->tenant, c->max, c->n);
}

static int import_into(struct scene *f, const struct uuid *tenant, const char *file, int64_t limit)
{
    struct work w = {.tenant = tenant, .limit = limit, .import = read_file(str_of(file), 100)};
    int r = store_write(f->node.store, import_job, &w);

    suppression_import_free(w.import);
    return r;
}

/* What is there in the end counts; nothing is taken of what would be too much. */
static void test_import_into_full_list(void **state)
{
    struct scene *f = *state;
    int64_t n = 0;

    assert_done(import_into(f, &f->other, "o@x.org\n", 3));
    assert_done(import_into(f, &f->tenant, "a@x.org\nb@x.org\n", 3));
    assert_int_equal(import_into(f, &f->tenant, "c@x.org\nd@x.org\n", 3), SUPPRESSION_FULL);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), 3);
    assert_done(import_into(f, &f->tenant, "a@x.org\nb@x.org\nc@x.org\n", 3));
    assert_done(import_into(f, &f->tenant, "a@x.org\n", 2)); /* nothing is new */
    assert_int_equal(import_into(f, &f->tenant, "a@x.org,bounce\n", 3), SUPPRESSION_FULL);
    assert_done(import_into(f, &everywhere, "a@x.org\nb@x.org\nc@x.org\nd@x.org\n", 3));
    assert_done(import_into(f, &f->tenant, "d@x.org\n", 0));
    struct counting c = {&f->tenant, 10, &n};
    assert_done(store_read(f->node.store, count_job, &c));
    assert_int_equal(n, 4);
    c.max = 3;
    assert_done(store_read(f->node.store, count_job, &c));
    assert_int_equal(n, 3);
}

/* One mistake, and nothing is done; each is told with its line. */
static void test_import_mistakes(void **state)
{
    struct scene *f = *state;
    struct str file = STR("good@x.org\n"
                          "not an address\n"
                          "a@x.org,whim\n"
                          "\"a@x.org\n\"x\n"
                          "a@x.org,manual,yesterday\n"
                          "\xff@x.org\n"
                          "\"a@x.org");
    static const struct suppression_mistake expected[] = {
        {2, "not an address"},          {3, "not a reason"},
        {4, "a quote is out of place"}, {6, "expires_at is not a time (RFC 3339)"},
        {7, "not text in UTF-8"},       {8, "a quote is out of place"},
    };
    struct work w = {.tenant = &f->tenant, .import = read_file(file, 5)};
    const struct suppression_mistake *told;
    int64_t total;
    size_t n;

    told = suppression_import_mistakes(w.import, &n, &total);
    assert_int_equal(total, 6);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(told[i].line, expected[i].line);
        assert_string_equal(told[i].text, expected[i].text);
    }
    assert_int_equal(store_write(f->node.store, import_job, &w), FAULT_INTERNAL);
    assert_int_equal(scene_number(f, "SELECT count(*) FROM suppressions"), 0);
    suppression_import_free(w.import);
}

static void feed_line(struct suppression_import *i, char letter, int number)
{
    char line[40];

    snprintf(line, sizeof line, "%c%d@x.org\n", letter, number);
    assert_done(suppression_import_feed(i, str_of(line)));
}

static void test_import_limits(void **state)
{
    struct suppression_import *i = NULL;
    const struct suppression_mistake *told;
    char note[5000];
    int64_t total;
    size_t n;

    (void)state;
    memset(note, 'x', sizeof note);
    assert_done(suppression_import_new(&i));
    for (int k = 0; k < SUPPRESSION_IMPORT_MAX; k++)
        feed_line(i, 'a', k);
    assert_int_equal(mistakes_of(i), 0);
    for (int k = 0; k < SUPPRESSION_MISTAKES_MAX + 5; k++)
        feed_line(i, 'b', k);
    told = suppression_import_mistakes(i, &n, &total);
    assert_int_equal(n, SUPPRESSION_MISTAKES_MAX);
    assert_int_equal(total, SUPPRESSION_MISTAKES_MAX + 5);
    assert_string_equal(told[0].text, "too many lines");
    assert_int_equal(told[0].line, SUPPRESSION_IMPORT_MAX + 1);
    suppression_import_free(i);

    assert_done(suppression_import_new(&i));
    assert_done(suppression_import_feed(i, STR("a@x.org,,,")));
    assert_done(suppression_import_feed(i, (struct str){note, SUPPRESSION_NOTE_MAX}));
    assert_done(suppression_import_feed(i, STR("\nb@x.org,,,")));
    assert_done(suppression_import_feed(i, (struct str){note, SUPPRESSION_NOTE_MAX + 1}));
    assert_done(suppression_import_feed(i, STR("\n")));
    assert_int_equal(mistakes_of(i), 1);
    assert_done(suppression_import_feed(i, (struct str){note, sizeof note}));
    assert_done(suppression_import_feed(i, STR("\n,,,,,,,,,,,,,,,,\nc@x.org\n")));
    told = suppression_import_mistakes(i, &n, &total);
    assert_int_equal(total, 3);
    assert_int_equal(told[1].line, 3);
    assert_string_equal(told[1].text, "the line is too long");
    assert_string_equal(told[2].text, "the line is too long");
    suppression_import_free(i);
}

/* What is written is what was there. */
static void test_export(void **state)
{
    struct scene *f = *state;
    struct suppression s = {f->tenant,    STR("=a@x.org"),  SUPPRESSION_SOFT_BOUNCES,
                            STR("event"), STR("+\"1\",\n"), STR("@ann"),
                            NOW,          NOW + 1000};
    _cleanup_buf_ struct buf out = buf_init(4096);
    struct work w = {.f = f, .tenant = &f->tenant, .query = {.reason = -1, .limit = 5}};

    suppression_csv_head(&out);
    suppression_csv_line(&s, &out);
    assert_int_equal(buf_fault(&out), 0);
    w.import = read_file(buf_str(&out), 1000);
    assert_int_equal(mistakes_of(w.import), 0);
    assert_done(store_write(f->node.store, import_job, &w));
    suppression_import_free(w.import);
    assert_done(store_read(f->node.store, list_job, &w));
    assert_int_equal(w.n, 1);
    assert_true(str_eq(w.items[0].address, s.address));
    assert_int_equal(w.items[0].reason, s.reason);
    assert_int_equal(w.items[0].expires_at, s.expires_at);
    assert_true(str_eq(w.items[0].note, STR("+\"1\",\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_BOTH(test_add_and_remove),
        SCENE_BOTH(test_reasons),
        SCENE_BOTH(test_strength),
        SCENE_BOTH(test_wishes),
        SCENE_BOTH(test_bounds),
        SCENE_BOTH(test_reserved),
        SCENE_BOTH(test_reserved_beside),
        SCENE_BOTH(test_hidden),
        SCENE_BOTH(test_reach),
        SCENE_BOTH(test_later_user),
        SCENE_BOTH(test_reach_of_events),
        SCENE_BOTH(test_find),
        SCENE_BOTH(test_import),
        SCENE_BOTH(test_import_without_names),
        SCENE_BOTH(test_import_into_full_list),
        SCENE_BOTH(test_import_mistakes),
        SCENE_BOTH(test_export),
        cmocka_unit_test(test_import_limits),
    };

    return FIXTURE_RUN(tests);
}
