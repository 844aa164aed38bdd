#include "sessions/scene.h"

#include "crypto/init.h"
#include "identity/tenant.h"

#include <stdatomic.h>

enum { ARENA_MAX = 16 << 20 };

#define DIGITS_32 "0123456789abcdef0123456789abcdef"

static char jwt_secret[] = "JWT_SECRET=" DIGITS_32 DIGITS_32 DIGITS_32 DIGITS_32;
static char encryption_key[] = "ENCRYPTION_KEY=" DIGITS_32 DIGITS_32;

static void configure(struct scene *f)
{
    char *environment[] = {jwt_secret, encryption_key, NULL};
    struct config_source source = {"/dev/null", environment, false};
    struct buf problems = buf_init(4096);

    assert_done(config_load(&source, &problems, &f->config));
    buf_free(&problems);
    config_publish(f->config);
}

static void open_keys(struct scene *f, struct scene_node *node)
{
    struct encryption_secrets secrets;
    struct trail_options options = {0};

    assert_done(encryption_secrets_read(f->config, &secrets));
    assert_done(trail_new(node->store, secrets.active, NULL, 0, &options, &node->trail));
    assert_done(sessions_new(f->config, node->store, node->trail, &node->s));
}

struct scene_node scene_node_open(struct scene *f)
{
    struct scene_node node = {0};

    node.store = fixture_node(f->base);
    open_keys(f, &node);
    return node;
}

void scene_node_close(struct scene_node *node)
{
    sessions_free(node->s);
    trail_free(node->trail);
    store_close(node->store);
}

static int tenants_job(struct store_txn *t, void *arg)
{
    struct scene *f = arg;
    int r = tenant_insert(t, STR("Example"), NOW, &f->tenant);

    return r ? r : tenant_insert(t, STR("Other"), NOW, &f->other);
}

static int make(void **state, bool postgres)
{
    struct scene *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->base = fixture_new(postgres);
    assert_done(crypto_init());
    configure(f);
    f->node = scene_node_open(f);
    f->s = f->node.s;
    f->a = arena_init(ARENA_MAX);
    f->actor = (struct trail_actor){.label = STR("tester"), .ip = STR("192.0.2.1")};
    assert_done(store_write(f->node.store, tenants_job, f));
    *state = f;
    return 0;
}

int scene_sqlite(void **state)
{
    return make(state, false);
}

int scene_postgres(void **state)
{
    return make(state, true);
}

int scene_release(void **state)
{
    struct scene *f = *state;

    scene_node_close(&f->node);
    arena_free(&f->a);
    config_publish(NULL);
    config_free(f->config);
    fixture_free(f->base);
    free(f);
    return 0;
}

struct adding {
    struct user_new user;
    struct uuid id;
};

static int add_job(struct store_txn *t, void *arg)
{
    struct adding *a = arg;

    return user_insert(t, &a->user, NOW, &a->id);
}

struct uuid scene_user(struct scene *f, const struct uuid *tenant, const char *name, enum role role,
                       const char *hash)
{
    char email[100];
    struct adding a = {.user = {.tenant_id = *tenant, .role = role, .password_hash = str_of(hash)}};

    snprintf(email, sizeof email, "%s@example.com", name);
    a.user.email = str_of(email);
    assert_done(store_write(f->node.store, add_job, &a));
    return a.id;
}

struct uuid scene_member(struct scene *f, const char *name)
{
    return scene_user(f, &f->tenant, name, ROLE_MEMBER, "none");
}

struct reading {
    struct scene *f;
    const struct uuid *id;
    struct user user;
};

static int read_job(struct store_txn *t, void *arg)
{
    struct reading *r = arg;

    return user_find(t, &r->f->a, NULL, r->id, &r->user);
}

struct user scene_read_user(struct scene *f, const struct uuid *id)
{
    struct reading r = {.f = f, .id = id};

    assert_done(store_read(f->node.store, read_job, &r));
    return r.user;
}

struct beginning {
    struct scene *f;
    struct login_input input;
    struct login_session session;
};

static int begin_job(struct store_txn *t, void *arg)
{
    struct beginning *b = arg;

    return login_begin(b->f->s, t, &b->f->a, &b->input, &b->session);
}

struct session_family scene_begin(struct scene *f, const struct uuid *user, int64_t now)
{
    struct beginning b = {.f = f,
                          .input = {.ip = STR("192.0.2.9"), .user_agent = STR("Tests"), .now = now},
                          .session = {.user = scene_read_user(f, user), .amr = JWT_AMR_PWD}};

    assert_done(store_write(f->node.store, begin_job, &b));
    return b.session.family;
}

struct session_grant scene_grant(struct scene *f, const struct session_family *family,
                                 uint32_t generation, int64_t now)
{
    struct user user = scene_read_user(f, &family->user_id);
    struct session_grant grant;

    assert_done(session_grant_make(f->s, &f->a, family, generation, &user, now, &grant));
    return grant;
}

int64_t scene_run(struct scene *f, const char *sql, const struct store_param *params, size_t n)
{
    return fixture_run(f->node.store, sql, params, n);
}

void scene_end_epochs(struct scene *f, int64_t not_before)
{
    scene_run(f, "INSERT INTO epochs SELECT id, $1, $1, 'x' FROM users", PARAMS(P_INT(not_before)));
}

int64_t scene_number(struct scene *f, const char *sql)
{
    return fixture_number(f->node.store, sql);
}

int64_t scene_notices(struct scene *f, const char *kind)
{
    char sql[200];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM notifications WHERE kind = '%s'", kind);
    return scene_number(f, sql);
}

int64_t scene_records(struct scene *f, const char *action)
{
    char sql[200];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM trail WHERE action = '%s'", action);
    return scene_number(f, sql);
}

/* The driver whose calls are counted; one at a time. */
static const struct store_driver *counted;
static _Atomic int64_t statements;

static int counting_exec(struct store_txn *t, const struct store_call *call, int64_t *ret_changed)
{
    atomic_fetch_add(&statements, 1);
    return counted->exec(t, call, ret_changed);
}

static int counting_query(struct store_txn *t, const struct store_call *call,
                          struct store_rows **ret)
{
    atomic_fetch_add(&statements, 1);
    return counted->query(t, call, ret);
}

static int counting_run(struct store *s, const struct store_call *call, int64_t *ret_changed)
{
    atomic_fetch_add(&statements, 1);
    return counted->run(s, call, ret_changed);
}

static int counting_bulk(struct store_txn *t, enum store_bulk kind, const struct str *values,
                         size_t n)
{
    atomic_fetch_add(&statements, 1);
    return counted->bulk(t, kind, values, n);
}

static int counting_bulk_rows(struct store_txn *t, const struct store_bulk_row *rows, size_t n)
{
    atomic_fetch_add(&statements, 1);
    return counted->bulk_rows(t, rows, n);
}

static int counting_add(struct store_txn *t, const struct store_addition *rows)
{
    atomic_fetch_add(&statements, 1);
    return counted->add(t, rows);
}

void scene_count_statements(struct scene *f)
{
    static struct store_driver counting;

    atomic_store(&statements, 0);
    if (f->node.store->driver == &counting)
        return;
    counted = f->node.store->driver;
    counting = *counted;
    counting.exec = counting_exec;
    counting.query = counting_query;
    counting.run = counting_run;
    counting.bulk = counting_bulk;
    counting.bulk_rows = counting_bulk_rows;
    counting.add = counting_add;
    f->node.store->driver = &counting;
}

int64_t scene_statements(void)
{
    return atomic_load(&statements);
}
