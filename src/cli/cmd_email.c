/* Whether mail is well, and its figures, for pipelines and for people. */
#include "base/clock.h"
#include "base/fault.h"
#include "cli/email.h"

enum { TEXT_MAX = 4 << 20 };

struct checking {
    struct email_verb v;
    struct mail_window window;
    struct email_health health;
};

static int health_job(struct store_txn *t, void *arg)
{
    struct checking *c = arg;

    return mail_health_check(t, &c->v.arena, NULL, &c->window, &mail_thresholds_default,
                             &c->health.health, c->health.advice, &c->health.n_advice);
}

/* Of the whole installation, as there is one sender's domain. Unknown is an answer too. */
static int read_domain(struct checking *c)
{
    struct sender_domain *domain = NULL;
    int r = sender_domain_new(&domain);

    if (r == 0)
        r = sender_domain_report(domain, config_current(), c->v.now, &c->v.arena,
                                 &c->health.domain);
    sender_domain_free(domain);
    return r;
}

static int print_health(struct checking *c)
{
    struct buf out _cleanup_buf_ = buf_init(TEXT_MAX);
    struct json_writer w = json_writer(&out);
    int r = 0;

    if (cli_has(c->v.cli, "json")) {
        r = email_health_write(&w, &c->v.arena, &c->health);
        buf_add_char(&out, '\n');
    } else {
        email_health_print(&c->v.arena, &c->health, &out);
    }
    return r ? cli_fault("cannot print", r) : email_verb_print(&out);
}

static int judge(const struct checking *c)
{
    switch (c->health.health.status) {
    case MAIL_HEALTHY:
        return EXIT_DONE;
    case MAIL_INSUFFICIENT_DATA:
        return cli_has(c->v.cli, "require-data") ? EXIT_UNREACHABLE : EXIT_DONE;
    case MAIL_WARNING:
    case MAIL_CRITICAL:
        break;
    }
    return EXIT_FAILED;
}

/* Where nothing can be told, unhealthy would be a lie: all that fails on the way is 3. */
static int untold(int exit_code)
{
    return exit_code == EXIT_FAILED ? EXIT_UNREACHABLE : exit_code;
}

static int email_health(struct cli *cli)
{
    struct checking c = {{0}};
    int exit_code = email_verb_open(cli, &c.v);

    if (exit_code)
        return untold(exit_code);
    c.health.checked_at = c.v.now;
    exit_code = email_verb_window(&c.v, &c.window, NULL);
    if (exit_code == 0) {
        int r = store_read(c.v.session.store, health_job, &c);
        if (r == 0)
            r = read_domain(&c);
        exit_code = r ? cli_fault("the health of mail could not be read", r) : print_health(&c);
        exit_code = exit_code ? untold(exit_code) : judge(&c);
    }
    email_verb_close(&c.v);
    return exit_code;
}

struct reading {
    struct email_verb v;
    struct email_figures figures;
};

static int figures_job(struct store_txn *t, void *arg)
{
    struct reading *r = arg;

    return email_figures_read(t, &r->v.arena, &r->figures);
}

static int print_figures(struct reading *reading)
{
    struct buf out _cleanup_buf_ = buf_init(TEXT_MAX);
    struct json_writer w = json_writer(&out);
    int r = 0;

    if (cli_has(reading->v.cli, "json")) {
        r = email_figures_write(&w, &reading->v.arena, &reading->figures);
        buf_add_char(&out, '\n');
    } else {
        email_figures_print(&reading->figures, &out);
    }
    return r ? cli_fault("cannot print", r) : email_verb_print(&out);
}

static int take_group(struct cli *cli, enum mail_group *ret)
{
    struct str group = str_of(cli_value(cli, "group-by"));

    if (group.n == 0 || str_eq(group, STR("domain")))
        *ret = MAIL_BY_DOMAIN;
    else if (str_eq(group, STR("template")))
        *ret = MAIL_BY_TEMPLATE;
    else
        return cli_fail(EXIT_USAGE, "--group-by: \"%.*s\" is neither domain nor template",
                        STR_ARG(group));
    return 0;
}

static int email_metrics(struct cli *cli)
{
    struct reading r = {{0}};
    int exit_code = take_group(cli, &r.figures.group);

    if (exit_code == 0)
        exit_code = email_verb_open(cli, &r.v);
    if (exit_code)
        return exit_code;
    exit_code = email_verb_window(&r.v, &r.figures.window, &r.figures.bucket);
    if (exit_code == 0) {
        int fault = store_read(r.v.session.store, figures_job, &r);
        exit_code = fault ? cli_fault("the figures could not be read", fault) : print_figures(&r);
    }
    email_verb_close(&r.v);
    return exit_code;
}

const struct cli_command cli_email_health = {
    .name = "email",
    .verb = "health",
    .summary = "Say whether mail is healthy by its bounces, complaints and deliveries",
    .description =
        "Exit status 0 means healthy, or too little to tell; 1 warning or critical; 3 that the "
        "database is\nout of reach, or with --require-data that there is too little to tell. What "
        "the DNS says of the\nsending domain is shown and changes no status.\n",
    .options = {{"window", 'w', "LENGTH", "How long, such as 90m, 24h (the default) or 7d."},
                {"require-data", 'r', NULL, "Exit with 3 where too little was sent to tell."},
                EMAIL_TENANT_OPTION,
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = email_health,
};

const struct cli_command cli_email_metrics = {
    .name = "email",
    .verb = "metrics",
    .summary = "Print figures of mail by time, and by domain or template",
    .options = {{"window", 'w', "LENGTH", "How long, such as 90m, 24h (the default) or 7d."},
                {"since", 's', "TIME", "From TIME on (RFC 3339)."},
                {"until", 'u', "TIME", "Before TIME; now by default."},
                {"bucket", 'b', "LENGTH", "A line for each 5m to 30m, or whole hours or days."},
                {"group-by", 'g', "WHAT", "domain (default) or template."},
                EMAIL_TENANT_OPTION,
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = email_metrics,
};
