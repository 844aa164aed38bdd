#include "cli/email.h"

#include "base/clock.h"
#include "base/fault.h"
#include "identity/email_address.h"
#include "identity/tenant.h"
#include "mail/window.h"

enum { ARENA_MAX = 64 << 20 };

struct finding {
    struct email_verb *v;
    struct str name_or_id;
    struct tenant tenant;
};

static int find_job(struct store_txn *t, void *arg)
{
    struct finding *f = arg;
    struct uuid id;

    if (uuid_parse(f->name_or_id, &id) == 0)
        return tenant_find(t, &f->v->arena, &id, &f->tenant);
    return tenant_find_by_name(t, &f->v->arena, f->name_or_id, &f->tenant);
}

static int find_tenant(struct email_verb *v)
{
    const char *tenant = cli_value(v->cli, "tenant");
    struct finding f = {.v = v, .name_or_id = str_of(tenant)};

    if (!tenant)
        return 0;
    int r = store_read(v->session.store, find_job, &f);
    if (r)
        return r < 0 ? cli_fault("the tenant could not be looked up", r)
                     : cli_fail(EXIT_USAGE, "--tenant: there is no tenant \"%s\"", tenant);
    v->tenant_id = f.tenant.id;
    v->tenant = &v->tenant_id;
    return 0;
}

int email_verb_open(struct cli *cli, struct email_verb *v)
{
    *v = (struct email_verb){.cli = cli, .arena = arena_init(ARENA_MAX), .now = clock_now()};
    int exit_code = cli_open(cli, &v->session);

    if (exit_code)
        return exit_code;
    exit_code = find_tenant(v);
    if (exit_code)
        email_verb_close(v);
    return exit_code;
}

void email_verb_close(struct email_verb *v)
{
    cli_close(&v->session);
    arena_free(&v->arena);
}

int email_verb_time(const struct email_verb *v, const char *option, int64_t *ret)
{
    const char *text = cli_value(v->cli, option);

    if (text && (clock_parse(str_of(text), ret) || *ret < 0))
        return cli_fail(EXIT_USAGE, "--%s: \"%s\" is not a time such as 2026-01-31T12:00:00Z",
                        option, text);
    return 0;
}

int email_verb_address(struct email_verb *v, const char *text, struct str *ret)
{
    char address[EMAIL_ADDRESS_SIZE];
    size_t n;

    if (email_address_normalise(str_of(text), address, &n))
        return cli_fail(EXIT_USAGE, "\"%s\" is not a mail address", text);
    *ret = arena_str(&v->arena, (struct str){address, n});
    return ret->p ? 0 : cli_fault("cannot start", FAULT_MEMORY);
}

int email_verb_window(const struct email_verb *v, struct mail_window *ret_window,
                      int64_t *ret_bucket)
{
    const char *window = cli_value(v->cli, "window"), *bucket = cli_value(v->cli, "bucket");
    struct mail_window_request request = {.window = str_of(window), .bucket = str_of(bucket)};
    struct mail_window_error error;
    int exit_code = email_verb_time(v, "since", &request.since);

    if (exit_code == 0)
        exit_code = email_verb_time(v, "until", &request.until);
    if (exit_code == 0 &&
        mail_window_read(&request, v->tenant, v->now, ret_window, ret_bucket, &error))
        exit_code = cli_fail(EXIT_USAGE, "--%s: %s", error.field, error.text);
    return exit_code;
}

void email_verb_add(struct buf *out, struct str text)
{
    for (size_t i = 0, n; i < text.n; i += n) {
        size_t control = str_control_length(text, i);
        n = control ? control : 1;
        buf_add_char(out, control ? '?' : text.p[i]);
    }
}

int email_verb_print(const struct buf *out)
{
    if (buf_fault(out))
        return cli_fault("cannot print", buf_fault(out));
    if ((out->n && fwrite(out->p, 1, out->n, stdout) != out->n) || fflush(stdout))
        return cli_fail(EXIT_FAILED, "standard output cannot be written");
    return EXIT_DONE;
}
