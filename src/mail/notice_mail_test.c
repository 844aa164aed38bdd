/* Which notices are mailed, to whom, how many at a time, and none of them twice. */
#include "mail/notice_mail.h"

#include "base/log.h"
#include "identity/notification.h"
#include "identity/preferences.h"
#include "mail/outbox_scene.h"
#include "mail/suppression.h"

enum { RATE = 600, PER_TURN = RATE / 60, MINUTE = CLOCK_MINUTE };

struct stage {
    struct outbox_scene *s;
    struct notice_mail_memory memory;
    int64_t now, mono;
};

static struct stage begin(void **state)
{
    return (struct stage){.s = *state, .now = NOW, .mono = 1000};
}

struct noticing {
    struct uuid tenant, user;
    enum notification_kind kind;
    const char *detail;
    int64_t now;
    int times;
};

static int notice_job(struct store_txn *t, void *arg)
{
    const struct noticing *n = arg;
    int r = 0;

    for (int i = 0; r == 0 && i < n->times; i++)
        r = notification_add(t, &n->tenant, &n->user, n->kind, str_of(n->detail), n->now);
    return r;
}

static void notice_times(struct stage *g, const struct uuid *user, enum notification_kind kind,
                         int64_t now, int times)
{
    struct noticing n = {g->s->f->tenant, *user, kind, "for a test", now, times};

    assert_done(store_write(g->s->f->node.store, notice_job, &n));
}

static void notice_at(struct stage *g, const struct uuid *user, enum notification_kind kind,
                      int64_t now)
{
    notice_times(g, user, kind, now, 1);
}

static void notice(struct stage *g, const struct uuid *user, enum notification_kind kind)
{
    notice_at(g, user, kind, g->now);
}

static struct notice_mail_result turn(struct stage *g, enum notice_mail_lane lane)
{
    struct notice_mail_result result;

    assert_done(notice_mail_turn(g->s->m, lane, &g->memory, RATE, g->now, g->mono, &result));
    return result;
}

/* Both lanes, second by second, until neither goes on. Returns how many messages it made. */
static int64_t settle(struct stage *g)
{
    int64_t accepted = 0, before = -1;

    for (int still = 0; still < 3; still = before == accepted ? still + 1 : 0) {
        before = accepted;
        for (int lane = NOTICE_MAIL_URGENT; lane <= NOTICE_MAIL_BULK; lane++) {
            struct notice_mail_result r;
            do {
                r = turn(g, (enum notice_mail_lane)lane);
                accepted += r.accepted;
            } while (r.more);
        }
        g->now += CLOCK_SECOND;
        g->mono += CLOCK_SECOND;
    }
    return accepted;
}

static int64_t number(struct stage *g, const char *sql)
{
    return scene_number(g->s->f, sql);
}

static int64_t mails_to(struct stage *g, const char *address)
{
    return mail_number_of(g->s->f, "SELECT count(*) FROM email_logs WHERE recipient = $1", address);
}

static void set_email_status(struct stage *g, const char *address, const char *status)
{
    assert_int_equal(scene_run(g->s->f, "UPDATE users SET email_status = $1 WHERE email = $2",
                               PARAMS(P_TEXT(str_of(status)), P_TEXT(str_of(address)))),
                     1);
}

struct preferring {
    struct uuid user;
    struct preferences preferences;
};

static int prefer_job(struct store_txn *t, void *arg)
{
    const struct preferring *p = arg;

    return preferences_put(t, &p->user, &p->preferences);
}

static void prefer(struct stage *g, const struct uuid *user, bool security, bool product)
{
    struct preferring p = {*user, {security, product, NOW}};

    assert_done(store_write(g->s->f->node.store, prefer_job, &p));
}

/* Each kind is mailed under its template, but for what mail itself is the trouble of. */
static void test_kinds(void **state)
{
    struct stage g = begin(state);
    struct uuid user = scene_member(g.s->f, "ann");
    int64_t mailed = 0;

    for (int kind = 0; kind < NOTIFICATION_KINDS; kind++)
        notice(&g, &user, (enum notification_kind)kind);
    mailed = settle(&g);
    assert_int_equal(mailed, NOTIFICATION_KINDS - 2);
    assert_int_equal(mails_to(&g, "ann@example.com"), mailed);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_outbox"), mailed);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs WHERE template = 'notice'"), 2);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs WHERE template = 'security'"),
                     mailed - 2);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs WHERE subject ="
                                " 'Your password was changed' AND template = 'security'"),
                     1);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs WHERE subject LIKE 'Mail does%'"
                                " OR subject LIKE 'You get no more%'"),
                     0);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs WHERE user_id IS NOT NULL"),
                     mailed);
    assert_int_equal(settle(&g), 0);
    mail_assert_counters(g.s->f);
}

static void test_wishes(void **state)
{
    static const char *const names[] = {"good", "invalid", "gone", "nosecurity", "noproduct"};
    struct stage g = begin(state);
    struct uuid users[5];

    for (int i = 0; i < 5; i++)
        users[i] = scene_member(g.s->f, names[i]);
    set_email_status(&g, "invalid@example.com", "invalid");
    set_email_status(&g, "gone@example.com", "unsubscribed");
    prefer(&g, &users[0], true, true);
    prefer(&g, &users[3], false, true);
    prefer(&g, &users[4], true, false);
    for (int i = 0; i < 5; i++) {
        notice(&g, &users[i], NOTIFICATION_PASSWORD_CHANGED);
        notice(&g, &users[i], NOTIFICATION_ROLE_CHANGED);
    }
    assert_int_equal(settle(&g), 4);
    assert_int_equal(mails_to(&g, "good@example.com"), 2);
    assert_int_equal(mails_to(&g, "invalid@example.com"), 0);
    assert_int_equal(mails_to(&g, "gone@example.com"), 0);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs WHERE template = 'notice' AND"
                                " recipient = 'nosecurity@example.com'"),
                     1);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs WHERE template = 'security' AND"
                                " recipient = 'noproduct@example.com'"),
                     1);
}

/* One that bounced is logged as suppressed; who unsubscribed is told of their safety all the same.
 */
static void test_suppressed(void **state)
{
    struct stage g = begin(state);
    struct uuid dead = scene_member(g.s->f, "dead"), silent = scene_member(g.s->f, "silent");

    outbox_scene_suppress(g.s, "dead@example.com", SUPPRESSION_BOUNCE);
    outbox_scene_suppress(g.s, "silent@example.com", SUPPRESSION_UNSUBSCRIBE);
    notice(&g, &dead, NOTIFICATION_PASSWORD_CHANGED);
    notice(&g, &silent, NOTIFICATION_PASSWORD_CHANGED);
    notice(&g, &silent, NOTIFICATION_ROLE_CHANGED);
    assert_int_equal(settle(&g), 1);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs WHERE state = 'suppressed'"), 2);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_outbox"), 1);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs WHERE state = 'queued' AND"
                                " recipient = 'silent@example.com' AND template = 'security'"),
                     1);
}

/* What was told before this was there, or too long ago, is not mailed; nor who is no more. */
static void test_old(void **state)
{
    struct stage g = begin(state);
    struct uuid user = scene_member(g.s->f, "ann"), leaver = scene_member(g.s->f, "bob");

    notice_at(&g, &user, NOTIFICATION_PASSWORD_CHANGED, NOW - NOTICE_MAIL_AGE_MS - 1);
    notice_at(&g, &user, NOTIFICATION_SESSIONS_REVOKED, NOW - NOTICE_MAIL_BULK_AGE_MS - 1);
    notice(&g, &leaver, NOTIFICATION_PASSWORD_CHANGED);
    scene_run(g.s->f, "DELETE FROM notifications WHERE user_id = $1", PARAMS(P_ID(&leaver)));
    scene_run(g.s->f, "DELETE FROM users WHERE id = $1", PARAMS(P_ID(&leaver)));
    assert_int_equal(settle(&g), 0);
    g = begin(state);
    notice_at(&g, &user, NOTIFICATION_PASSWORD_CHANGED, NOW - NOTICE_MAIL_AGE_MS);
    notice_at(&g, &user, NOTIFICATION_SESSIONS_REVOKED, NOW - NOTICE_MAIL_BULK_AGE_MS);
    g.mono += NOTICE_MAIL_GAP_MS; /* the deleted one's id */
    turn(&g, NOTICE_MAIL_URGENT);
    g.mono += NOTICE_MAIL_GAP_MS;
    turn(&g, NOTICE_MAIL_URGENT);
    turn(&g, NOTICE_MAIL_BULK);
    assert_int_equal(mails_to(&g, "ann@example.com"), 2);
}

/* A mass revocation's notices go out at their rate, and nobody waits behind them. */
static void test_rate(void **state)
{
    struct stage g = begin(state);
    struct uuid user = scene_member(g.s->f, "ann");

    notice_times(&g, &user, NOTIFICATION_SESSIONS_REVOKED, g.now, 35);
    notice(&g, &user, NOTIFICATION_TOKEN_REUSED);
    assert_int_equal(turn(&g, NOTICE_MAIL_BULK).accepted, 0); /* the urgent lane looks first */
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 1);
    assert_int_equal(turn(&g, NOTICE_MAIL_BULK).accepted, PER_TURN);
    assert_int_equal(turn(&g, NOTICE_MAIL_BULK).accepted, 0);
    g.now += CLOCK_SECOND - 1;
    assert_int_equal(turn(&g, NOTICE_MAIL_BULK).accepted, 0);
    g.now += 1;
    assert_int_equal(turn(&g, NOTICE_MAIL_BULK).accepted, PER_TURN);
    notice(&g, &user, NOTIFICATION_NEW_DEVICE);
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 1);
    assert_int_equal(settle(&g), 15);
    /* Whoever has read it meanwhile needs no mail. */
    notice(&g, &user, NOTIFICATION_SESSIONS_REVOKED);
    notice(&g, &user, NOTIFICATION_PASSWORD_CHANGED);
    scene_run(g.s->f, "UPDATE notifications SET read_at = 1 WHERE read_at IS NULL", NO_PARAMS);
    assert_int_equal(settle(&g), 1);
}

/* A rate below one a second, and more notices than are looked at in one turn. */
static void test_slow_and_many(void **state)
{
    struct stage g = begin(state);
    struct uuid user = scene_member(g.s->f, "ann");
    struct notice_mail_result r;

    notice(&g, &user, NOTIFICATION_PASSWORD_CHANGED);
    notice(&g, &user, NOTIFICATION_MFA_ENABLED);
    assert_done(notice_mail_turn(g.s->m, NOTICE_MAIL_URGENT, &g.memory, 1, g.now, g.mono, &r));
    assert_int_equal(r.accepted, 1);
    g.now += MINUTE - 1;
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 0);
    g.now += 1;
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 1);
    g.now += MINUTE;
    notice_times(&g, &user, NOTIFICATION_EMAIL_BOUNCED, g.now, NOTICE_MAIL_SCAN + 1);
    notice(&g, &user, NOTIFICATION_MFA_DISABLED);
    assert_int_equal(settle(&g), 1);
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).seen,
                     number(&g, "SELECT max(id) FROM notifications"));
}

/* Removes a notice as if it were not committed yet, and puts it there under the same id. */
static const char skip_sql[] = "DELETE FROM notifications WHERE id = $1";
static const char late_sqlite[] =
    "INSERT INTO notifications (id, tenant_id, user_id, kind, detail, created_at)"
    " VALUES ($1, $2, $3, 'new_device', '', $4)";
static const char late_postgres[] =
    "INSERT INTO notifications (id, tenant_id, user_id, kind, detail, created_at)"
    " OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, 'new_device', '', $4)";

static void come_late(struct stage *g, const struct uuid *user, int64_t id)
{
    scene_run(g->s->f, g->s->f->base->postgres ? late_postgres : late_sqlite,
              PARAMS(P_INT(id), P_ID(&g->s->f->tenant), P_ID(user), P_INT(g->now)));
}

/* On PostgreSQL a missing id may still be committed, and is waited for, once for all of them. */
static void test_gaps(void **state)
{
    struct stage g = begin(state);
    struct uuid user = scene_member(g.s->f, "ann");

    for (int i = 0; i < 8; i++)
        notice(&g, &user, NOTIFICATION_PASSWORD_CHANGED);
    int64_t first = number(&g, "SELECT min(id) FROM notifications");
    for (int64_t missing = first + 1; missing < first + 6; missing += 2)
        scene_run(g.s->f, skip_sql, PARAMS(P_INT(missing)));
    if (!g.s->f->base->postgres) {
        assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 5);
        return;
    }
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 1);
    g.now += CLOCK_SECOND;
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 0);
    come_late(&g, &user, first + 1);
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 2);
    g.now += CLOCK_SECOND;
    g.mono += NOTICE_MAIL_GAP_MS - 1;
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 0);
    g.mono += 1;
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 3); /* both gaps are given up */
    assert_int_equal(number(&g, "SELECT seen FROM notice_mail WHERE lane = 'urgent'"), first + 7);
    come_late(&g, &user, first + 3);
    assert_int_equal(settle(&g), 0);
}

/* Nothing is lost where the store fails in the middle. */
static void test_rolled_back(void **state)
{
    struct stage g = begin(state);
    struct uuid user = scene_member(g.s->f, "ann");
    struct notice_mail_result r;

    notice(&g, &user, NOTIFICATION_PASSWORD_CHANGED);
    notice(&g, &user, NOTIFICATION_MFA_ENABLED);
    scene_run(g.s->f, "ALTER TABLE email_outbox RENAME TO hidden", NO_PARAMS);
    assert_true(notice_mail_turn(g.s->m, NOTICE_MAIL_URGENT, &g.memory, RATE, g.now, g.mono, &r) <
                0);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs"), 0);
    scene_run(g.s->f, "ALTER TABLE hidden RENAME TO email_outbox", NO_PARAMS);
    assert_int_equal(turn(&g, NOTICE_MAIL_URGENT).accepted, 2);
}

static void *race(void *arg)
{
    struct stage g = *(struct stage *)arg;

    for (int i = 0; i < 40; i++) {
        turn(&g, NOTICE_MAIL_URGENT);
        turn(&g, NOTICE_MAIL_BULK);
        g.now += CLOCK_SECOND;
    }
    return NULL;
}

/* However many nodes look at once, each notice makes one message. */
static void test_nodes(void **state)
{
    struct stage g = begin(state);
    struct uuid user = scene_member(g.s->f, "ann");

    for (int i = 0; i < 60; i++)
        notice(&g, &user, i % 2 ? NOTIFICATION_NEW_DEVICE : NOTIFICATION_SESSIONS_REVOKED);
    fixture_parallel(4, race, &g);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs"), 60);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_outbox"), 60);
    assert_int_equal(number(&g, "SELECT count(DISTINCT message_id) FROM email_logs"), 60);
    mail_assert_counters(g.s->f);
}

/* What is mailed, word for word where it matters. */
static void test_words(void **state)
{
    static const struct fake_transport nothing;
    struct stage g = begin(state);
    struct fake_transport *t = malloc(sizeof *t);
    struct uuid user = scene_member(g.s->f, "ann");
    struct notice_mail *n = NULL;
    struct outbox *o = NULL;

    assert_non_null(t);
    *t = nothing;
    fake_transport_begin(t);
    g.s->f->config->notices_per_minute = RATE;
    notice_at(&g, &user, NOTIFICATION_NEW_DEVICE, clock_now());
    assert_done(outbox_start(g.s->m, &t->base, 1, &o));
    assert_done(notice_mail_start(g.s->m, o, &n));
    fixture_await(fake_transport_count(t, "ann@example.com") == 1);
    notice_mail_stop(n);
    outbox_stop(o);
    const char *mime = buf_cstr(&t->last);
    assert_non_null(strstr(mime, "Subject: A sign-in from a new device\r\n"));
    assert_non_null(strstr(mime, "Auto-Submitted: auto-generated\r\n"));
    assert_non_null(strstr(mime, "List-Unsubscribe: <http"));
    assert_non_null(strstr(mime, "/v1/emails/unsubscribe?token="));
    assert_non_null(strstr(mime, "Seen from: for a test"));
    fake_transport_end(t);
    free(t);
}

/* A rate of 0 mails nothing, and forgets nothing. */
static void test_off(void **state)
{
    struct stage g = begin(state);
    struct uuid user = scene_member(g.s->f, "ann");
    struct notice_mail *n = NULL;

    g.s->f->config->notices_per_minute = 0;
    notice_at(&g, &user, NOTIFICATION_NEW_DEVICE, clock_now());
    assert_done(notice_mail_start(g.s->m, NULL, &n));
    notice_mail_stop(n);
    notice_mail_stop(NULL);
    assert_int_equal(number(&g, "SELECT count(*) FROM email_logs"), 0);
    g.s->f->config->notices_per_minute = RATE;
    assert_done(notice_mail_start(g.s->m, NULL, &n));
    fixture_await(number(&g, "SELECT count(*) FROM email_logs") == 1);
    notice_mail_stop(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_SCENE_BOTH(test_kinds),      OUTBOX_SCENE_BOTH(test_wishes),
        OUTBOX_SCENE_BOTH(test_suppressed), OUTBOX_SCENE_BOTH(test_old),
        OUTBOX_SCENE_BOTH(test_rate),       OUTBOX_SCENE_BOTH(test_slow_and_many),
        OUTBOX_SCENE_BOTH(test_gaps),       OUTBOX_SCENE_BOTH(test_rolled_back),
        OUTBOX_SCENE_BOTH(test_nodes),      OUTBOX_SCENE_BOTH(test_words),
        OUTBOX_SCENE_BOTH(test_off),
    };

    log_configure(LOG_ERROR, LOG_JSON);
    return FIXTURE_RUN(tests);
}
