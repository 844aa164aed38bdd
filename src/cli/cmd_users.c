#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "cli/cli.h"
#include "crypto/init.h"
#include "crypto/password.h"
#include "identity/email_address.h"
#include "identity/tenant.h"
#include "sessions/account.h"

#include <unistd.h>

enum { ARENA_MAX = 4 << 20, PAGE = 500 };

static const char default_tenant[] = "Holdfast";

/* What all verbs share: the open store, an arena, and unbounded power. */
struct verb {
    struct cli *cli;
    struct cli_session session;
    struct arena arena;
    struct account_power power;
};

static int verb_open(struct cli *cli, struct verb *v)
{
    *v = (struct verb){.cli = cli, .arena = arena_init(ARENA_MAX)};
    int exit_code = cli_open(cli, &v->session);
    v->power = (struct account_power){.actor = &v->session.actor, .operator_ = true};
    return exit_code;
}

static void verb_close(struct verb *v)
{
    cli_close(&v->session);
    arena_free(&v->arena);
}

static int explain(int outcome)
{
    switch ((enum account_outcome)outcome) {
    case ACCOUNT_UNKNOWN:
        return cli_fail(EXIT_FAILED, "there is no such user");
    case ACCOUNT_EXISTS:
        return cli_fail(EXIT_FAILED, "there is an account with this address");
    case ACCOUNT_LAST_OPERATOR:
        return cli_fail(EXIT_FAILED, "one enabled operator always stays");
    case ACCOUNT_NO_TENANT:
        return cli_fail(EXIT_FAILED, "there is no such tenant");
    case ACCOUNT_FORBIDDEN:
        break;
    }
    return outcome < 0 ? cli_fault("the change failed", outcome)
                       : cli_fail(EXIT_FAILED, "the change is not allowed");
}

static int print_json(const struct buf *out)
{
    if (buf_fault(out))
        return cli_fault("cannot print", buf_fault(out));
    printf("%.*s\n", STR_ARG(buf_str(out)));
    return EXIT_DONE;
}

static void write_user(struct json_writer *w, const struct user *u)
{
    json_object_begin(w);
    json_key(w, "id");
    json_uuid(w, &u->id);
    json_key(w, "email");
    json_str(w, u->email);
    json_key(w, "role");
    json_str(w, role_name(u->role));
    json_key(w, "tenantId");
    json_uuid(w, &u->tenant_id);
}

static int read_password(char *ret, size_t size, size_t *ret_n)
{
    size_t n = 0;
    ssize_t got;

    while (n < size && (got = read(STDIN_FILENO, ret + n, size - n)) > 0)
        n += (size_t)got;
    if (n == size)
        return cli_fail(EXIT_USAGE, "--password-stdin: the password is too long");
    while (n > 0 && (ret[n - 1] == '\n' || ret[n - 1] == '\r'))
        n--;
    *ret_n = n;
    return 0;
}

static int check_password(struct str password)
{
    switch ((enum password_outcome)password_check(password)) {
    case PASSWORD_SHORT:
        return cli_fail(EXIT_USAGE, "the password has fewer than %d characters", PASSWORD_MIN);
    case PASSWORD_LONG:
        return cli_fail(EXIT_USAGE, "the password has more than %d characters", PASSWORD_MAX);
    case PASSWORD_COMMON:
        return cli_fail(EXIT_USAGE, "the password is one of the commonest");
    case PASSWORD_NOT_UTF8:
        return cli_fail(EXIT_USAGE, "the password is not UTF-8");
    }
    return 0;
}

struct adding {
    struct verb *v;
    struct str tenant_name;
    bool tenant_registered; /* there is none of this name but what somebody registered */
    struct user_new user;
    struct user made;
    int64_t now;
};

static int add_job(struct store_txn *t, void *arg)
{
    struct adding *a = arg;
    struct tenant tenant;
    int r = tenant_find_or_insert(t, &a->v->arena, a->tenant_name, a->now, &tenant);

    /* On a laptop whoever registered it is the one who types this. */
    if (r == TENANT_REGISTERED && config_current()->env == ENV_DEVELOPMENT)
        r = tenant_find_by_name(t, &a->v->arena, a->tenant_name, &tenant);
    a->tenant_registered = r == TENANT_REGISTERED;
    if (r)
        return r > 0 ? ACCOUNT_NO_TENANT : r;
    a->user.tenant_id = tenant.id;
    return account_create_in(a->v->session.sessions, t, &a->v->arena, &a->v->power, &a->user,
                             a->now, &a->made);
}

static int print_added(const struct adding *a, const char *made_password)
{
    char id[UUID_TEXT_SIZE];

    if (cli_has(a->v->cli, "json")) {
        struct buf out _cleanup_buf_ = buf_secret(8192);
        struct json_writer w = json_writer(&out);
        write_user(&w, &a->made);
        if (*made_password) {
            json_key(&w, "password");
            json_str(&w, str_of(made_password));
        }
        json_object_end(&w);
        return print_json(&out);
    }
    uuid_format(&a->made.id, id);
    printf("%s\n", id);
    if (*made_password)
        fprintf(stderr, "Password (shown this once): %s\n", made_password);
    return EXIT_DONE;
}

/* The options of "users add", checked. Returns 0 or an exit code. */
static int take_options(struct cli *cli, struct arena *arena, struct adding *a)
{
    const char *email = cli_value(cli, "email"), *role = cli_value(cli, "role");
    const char *tenant = cli_value(cli, "tenant");
    char address[EMAIL_ADDRESS_SIZE];
    size_t n;

    if (!email || !role)
        return cli_fail(EXIT_USAGE, "--email and --role are needed");
    if (email_address_normalise(str_of(email), address, &n))
        return cli_fail(EXIT_USAGE, "--email: \"%s\" is not a mail address", email);
    if (role_parse(str_of(role), &a->user.role))
        return cli_fail(EXIT_USAGE, "--role: \"%s\" is none of member, admin, operator", role);
    a->tenant_name = str_of(tenant ? tenant : default_tenant);
    if (!tenant_name_valid(a->tenant_name))
        return cli_fail(EXIT_USAGE, "--tenant: \"%s\" cannot be a tenant's name", tenant);
    a->user.email = arena_str(arena, (struct str){address, n});
    return a->user.email.p ? 0 : cli_fault("cannot start", FAULT_MEMORY);
}

/* The password of standard input, or a new one. Returns 0 or an exit code. */
static int hash_password(struct cli *cli, char made[PASSWORD_GENERATED_SIZE],
                         char hash[PASSWORD_HASH_SIZE])
{
    char typed[PASSWORD_MAX_BYTES + 2];
    struct str password = {typed, 0};
    int exit_code = 0;

    if (cli_has(cli, "password-stdin")) {
        exit_code = read_password(typed, sizeof typed, &password.n);
        if (exit_code == 0)
            exit_code = check_password(password);
    } else {
        password_generate(made);
        password = str_of(made);
    }
    if (exit_code == 0) {
        int r = password_hash(password, hash);
        exit_code = r ? cli_fault("cannot hash the password", r) : 0;
    }
    crypto_wipe(typed, sizeof typed);
    return exit_code;
}

static int users_add(struct cli *cli)
{
    char made[PASSWORD_GENERATED_SIZE] = "", hash[PASSWORD_HASH_SIZE];
    struct verb v = {.cli = cli, .arena = arena_init(ARENA_MAX)};
    struct adding a = {.v = &v, .now = clock_now()};
    int exit_code = take_options(cli, &v.arena, &a);

    if (exit_code == 0)
        exit_code = hash_password(cli, made, hash);
    if (exit_code == 0)
        exit_code = cli_open(cli, &v.session);
    if (exit_code == 0) {
        v.power = (struct account_power){.actor = &v.session.actor, .operator_ = true};
        a.user.password_hash = str_of(hash);
        int r = store_write(v.session.store, add_job, &a);
        if (r > 0 && a.tenant_registered)
            exit_code = cli_fail(EXIT_FAILED,
                                 "the tenant \"%.*s\" was registered by somebody over the network; "
                                 "to add to it, give its id as --tenant",
                                 STR_ARG(a.tenant_name));
        else
            exit_code = r ? explain(r) : print_added(&a, made);
    }
    crypto_wipe(made, sizeof made);
    verb_close(&v);
    return exit_code;
}

struct listing {
    struct verb *v;
    struct user_query query;
    struct user *users;
    size_t n;
};

static int list_job(struct store_txn *t, void *arg)
{
    struct listing *l = arg;

    return user_list(t, &l->v->arena, &l->query, &l->users, &l->n);
}

static int print_user_json(const struct user *u)
{
    struct buf out _cleanup_buf_ = buf_init(8192);
    struct json_writer w = json_writer(&out);

    write_user(&w, u);
    json_key(&w, "disabled");
    json_bool(&w, u->disabled);
    json_key(&w, "locked");
    json_bool(&w, u->locked_at != 0);
    json_object_end(&w);
    return print_json(&out);
}

static const char *state_of(const struct user *u)
{
    if (u->disabled)
        return "disabled";
    return u->locked_at ? "locked" : "";
}

static int print_page(struct verb *v, const struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct user *u = &l->users[i];
        char id[UUID_TEXT_SIZE];
        if (cli_has(v->cli, "json")) {
            if (print_user_json(u))
                return EXIT_FAILED;
            continue;
        }
        uuid_format(&u->id, id);
        printf("%s  %-8.*s  %-8s  %.*s\n", id, STR_ARG(role_name(u->role)), state_of(u),
               STR_ARG(u->email));
    }
    return EXIT_DONE;
}

static int users_list(struct cli *cli)
{
    struct verb v;
    struct uuid last;
    struct listing l = {.v = &v, .query = {.limit = PAGE}};
    int exit_code = verb_open(cli, &v);

    do {
        if (exit_code)
            break;
        int r = store_read(v.session.store, list_job, &l);
        exit_code = r ? cli_fault("cannot list users", r) : print_page(&v, &l);
        if (l.n) {
            last = l.users[l.n - 1].id;
            l.query.after = &last;
        }
        arena_free(&v.arena);
    } while (l.n == PAGE);
    verb_close(&v);
    return exit_code;
}

struct naming {
    struct verb *v;
    struct str address;
    struct user user;
};

static int find_job(struct store_txn *t, void *arg)
{
    struct naming *n = arg;

    return user_find_by_email(t, &n->v->arena, NULL, n->address, &n->user);
}

/* The user that the first word names, by id or address. Returns 0 or an exit code. */
static int take_user(struct verb *v, struct uuid *ret)
{
    char address[EMAIL_ADDRESS_SIZE];
    struct naming n = {.v = v, .address = {address, 0}};
    const char *word = v->cli->words[0];

    if (uuid_parse(str_of(word), ret) == 0)
        return 0;
    if (email_address_normalise(str_of(word), address, &n.address.n))
        return cli_fail(EXIT_USAGE, "\"%s\" is neither an id nor an address", word);
    int r = store_read(v->session.store, find_job, &n);
    if (r)
        return r < 0 ? cli_fault("cannot look the user up", r)
                     : cli_fail(EXIT_FAILED, "there is no user %s", word);
    *ret = n.user.id;
    return 0;
}

static int print_changed(struct verb *v, const struct user *u)
{
    if (cli_has(v->cli, "json"))
        return print_user_json(u);
    printf("%.*s: %.*s%s%s\n", STR_ARG(u->email), STR_ARG(role_name(u->role)),
           *state_of(u) ? ", " : "", state_of(u));
    return EXIT_DONE;
}

static int change(struct cli *cli, const struct user_patch *patch)
{
    struct verb v;
    struct uuid id;
    struct user user;
    int exit_code = verb_open(cli, &v);

    if (exit_code == 0)
        exit_code = take_user(&v, &id);
    if (exit_code == 0) {
        int r =
            account_update(v.session.sessions, &v.arena, &v.power, &id, patch, clock_now(), &user);
        exit_code = r ? explain(r) : print_changed(&v, &user);
    }
    verb_close(&v);
    return exit_code;
}

static const bool yes = true, no = false;

static int users_disable(struct cli *cli)
{
    return change(cli, &(struct user_patch){.disabled = &yes});
}

static int users_enable(struct cli *cli)
{
    return change(cli, &(struct user_patch){.disabled = &no});
}

static int users_unlock(struct cli *cli)
{
    return change(cli, &(struct user_patch){.locked = &no});
}

static int users_set_role(struct cli *cli)
{
    enum role role;

    if (role_parse(str_of(cli->words[1]), &role))
        return cli_fail(EXIT_USAGE, "\"%s\" is none of member, admin, operator", cli->words[1]);
    return change(cli, &(struct user_patch){.role = &role});
}

static int reset(struct verb *v, char made[PASSWORD_GENERATED_SIZE])
{
    char hash[PASSWORD_HASH_SIZE];
    struct uuid id;
    int exit_code = take_user(v, &id);

    if (exit_code)
        return exit_code;
    password_generate(made);
    int r = password_hash(str_of(made), hash);
    if (r == 0)
        r = account_reset_password(v->session.sessions, &v->arena, &v->power, &id, str_of(hash),
                                   clock_now());
    return r ? explain(r) : EXIT_DONE;
}

static int users_reset_password(struct cli *cli)
{
    char made[PASSWORD_GENERATED_SIZE] = "";
    struct verb v;
    int exit_code = verb_open(cli, &v);

    if (exit_code == 0)
        exit_code = reset(&v, made);
    if (exit_code == 0)
        printf(cli_has(cli, "json") ? "{\"password\":\"%s\"}\n" : "One-time password: %s\n", made);
    crypto_wipe(made, sizeof made);
    verb_close(&v);
    return exit_code;
}

const struct cli_command cli_users_add = {
    .name = "users",
    .verb = "add",
    .summary = "Add a user and print the id",
    .description = "Without --password-stdin a password is made and printed once. The tenant is "
                   "named by its\nname (made where there is none) or its id.\n",
    .options = {{"email", 'e', "ADDRESS", "The address to sign in with."},
                {"role", 'r', "ROLE", "member, admin or operator."},
                {"tenant", 't', "NAME", "The tenant; \"Holdfast\" by default."},
                {"password-stdin", 0, NULL, "Read the password from standard input."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = users_add,
};

const struct cli_command cli_users_list = {
    .name = "users",
    .verb = "list",
    .summary = "List all users",
    .options = {{"json", 'j', NULL, "Print one JSON object a line."}, CLI_CONFIG_OPTION},
    .run = users_list,
};

#define ONE_USER .words = "ID|ADDRESS", .words_min = 1, .words_max = 1
#define PLAIN_OPTIONS .options = {CLI_JSON_OPTION, CLI_CONFIG_OPTION}

const struct cli_command cli_users_disable = {
    .name = "users",
    .verb = "disable",
    .summary = "Disable a user and end all their sessions",
    ONE_USER,
    PLAIN_OPTIONS,
    .run = users_disable,
};

const struct cli_command cli_users_enable = {
    .name = "users",
    .verb = "enable",
    .summary = "Let a disabled user sign in again",
    ONE_USER,
    PLAIN_OPTIONS,
    .run = users_enable,
};

const struct cli_command cli_users_unlock = {
    .name = "users",
    .verb = "unlock",
    .summary = "Unlock a user whom failed sign-ins have locked",
    ONE_USER,
    PLAIN_OPTIONS,
    .run = users_unlock,
};

const struct cli_command cli_users_set_role = {
    .name = "users",
    .verb = "set-role",
    .words = "ID|ADDRESS ROLE",
    .words_min = 2,
    .words_max = 2,
    .summary = "Give a user another role",
    PLAIN_OPTIONS,
    .run = users_set_role,
};

const struct cli_command cli_users_reset_password = {
    .name = "users",
    .verb = "reset-password",
    .summary = "Set a one-time password, unlock, end all sessions",
    ONE_USER,
    PLAIN_OPTIONS,
    .run = users_reset_password,
};
