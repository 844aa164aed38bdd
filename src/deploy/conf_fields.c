#include "deploy/conf_fields.h"

#include <stddef.h>

static const char *const kinds[] = {"process", "compose", "ecs", "kubernetes", "pm2", NULL};
static const char *const strategies[] = {"rolling", "task-sets", NULL};

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    PROCESS = 1 << TARGET_PROCESS,
    COMPOSE = 1 << TARGET_COMPOSE,
    ECS = 1 << TARGET_ECS,
    KUBERNETES = 1 << TARGET_KUBERNETES,
    PM2 = 1 << TARGET_PM2
};

#define AT(field) offsetof(struct conf_environment, field)
#define TEXT(path, field, flags, kinds, by_default, help)                                          \
    {                                                                                              \
        path, CONF_TEXT, flags, kinds, AT(field), by_default, 0, 0, NULL, help                     \
    }
#define URL(path, field, flags, help)                                                              \
    {                                                                                              \
        path, CONF_URL, flags, 0, AT(field), NULL, 0, 0, NULL, help                                \
    }
#define NUMBER(path, field, kinds, by_default, min, max, help)                                     \
    {                                                                                              \
        path, CONF_NUMBER, 0, kinds, AT(field), by_default, min, max, NULL, help                   \
    }
#define DURATION(path, field, kinds, by_default, min, max, help)                                   \
    {                                                                                              \
        path, CONF_DURATION, 0, kinds, AT(field), by_default, min, max, NULL, help                 \
    }
#define SWITCH(path, field, by_default, help)                                                      \
    {                                                                                              \
        path, CONF_SWITCH, 0, 0, AT(field), by_default, 0, 0, NULL, help                           \
    }
#define CHOICE(path, field, flags, kinds, by_default, choices, help)                               \
    {                                                                                              \
        path, CONF_CHOICE, flags, kinds, AT(field), by_default, 0, 0, choices, help                \
    }
#define WORDS(path, field, flags, kinds, help)                                                     \
    {                                                                                              \
        path, CONF_WORDS, flags, kinds, AT(field), NULL, 0, 0, NULL, help                          \
    }
#define COMMANDS(path, field, help)                                                                \
    {                                                                                              \
        path, CONF_COMMANDS, 0, 0, AT(field), NULL, 0, 0, NULL, help                               \
    }

/* clang-format off */
const struct conf_field conf_environment_fields[] = {
    TEXT("release", release, 0, 0, NULL,
         "What to roll out where `--release` does not say: a tag, a digest, a directory."),

    CHOICE("target.kind", target.kind, CONF_NEEDED, 0, NULL, kinds,
           "What the product runs on."),
    TEXT("target.directory", target.directory, 0, PROCESS | COMPOSE | PM2, ".",
         "Where its programs are run."),
    WORDS("target.command", target.command, CONF_NEEDED, PROCESS,
          "How a release is started; it listens on the port of its variable PORT, and RELEASE "
          "names it."),
    {"target.port", CONF_NUMBER, CONF_NEEDED, PROCESS | PM2, AT(target.port), NULL, 1, 65535, NULL,
     "process: where the product is reached. pm2: a spare port, for the canary."},
    TEXT("target.address", target.address, 0, PROCESS, "localhost",
         "Where that port is taken: a name or a number, such as `0.0.0.0`, or `::` for IPv6."),
    DURATION("target.stop_timeout", target.stop_ms, PROCESS | COMPOSE | PM2, "10s", 100, HOUR,
             "Between the request to end and the end by force."),
    WORDS("target.files", target.files, 0, COMPOSE, "The compose files; default: docker compose's own."),
    TEXT("target.project", target.project, 0, COMPOSE, NULL, "The project's name."),
    WORDS("target.services", target.services, CONF_NEEDED, COMPOSE,
          "The services that a release replaces."),
    TEXT("target.variable", target.variable, 0, COMPOSE, "RELEASE",
         "The variable by which the compose file takes the release, as in `image: shop:${RELEASE}`."),
    TEXT("target.region", target.region, 0, ECS, NULL, "The AWS region; default: AWS_REGION."),
    TEXT("target.cluster", target.cluster, CONF_NEEDED, ECS, NULL, "The ECS cluster."),
    TEXT("target.service", target.service, CONF_NEEDED, ECS, NULL, "The ECS service."),
    TEXT("target.container", target.container, CONF_NEEDED, ECS | KUBERNETES, NULL,
         "The container whose image a release replaces."),
    TEXT("target.image", target.image, CONF_NEEDED, ECS | KUBERNETES, NULL,
         "The image without a tag; the release is its tag, or its digest (`sha256:…`)."),
    CHOICE("target.strategy", target.strategy, 0, ECS, "rolling", strategies,
           "rolling: ECS replaces tasks. task-sets: the previous set runs until the new one is proven."),
    TEXT("target.context", target.context, 0, KUBERNETES, NULL,
         "kubectl's context; default: its current one."),
    TEXT("target.namespace", target.namespace, 0, KUBERNETES, "default", "The namespace."),
    TEXT("target.deployment", target.deployment, CONF_NEEDED, KUBERNETES, NULL, "The Deployment."),
    TEXT("target.app", target.app, CONF_NEEDED, PM2, NULL, "PM2's name of the product."),
    TEXT("target.ecosystem", target.ecosystem, 0, PM2, "ecosystem.config.js", "PM2's file."),

    URL("health.url", health.url, CONF_NEEDED, "What answers 200 while the product is well."),
    DURATION("health.interval", health.interval_ms, 0, "2s", 50, HOUR, "From probe to probe."),
    DURATION("health.timeout", health.timeout_ms, 0, "5s", 50, HOUR, "Of one probe."),
    NUMBER("health.successes", health.successes, 0, "3", 1, 1000, "Probes in a row that prove it well."),
    DURATION("health.failing_for", health.failing_ms, 0, "20s", 0, HOUR,
             "Without one success in between, after the first one, proves it ill."),
    DURATION("health.within", health.within_ms, 0, NULL, SECOND, 24 * HOUR,
             "Limit of the wait; default: DEPLOYMENT_HEALTH_CHECK_TIMEOUT."),
    NUMBER("health.retries", health.retries, 0, NULL, 1, 100000,
           "Failed probes in a row at most; default: DEPLOYMENT_MAX_RETRIES."),

    TEXT("database.url", database.url, CONF_SECRET, 0, NULL,
         "The product's database: `postgresql://…` or `sqlite:PATH`."),
    TEXT("database.admin_url", database.admin_url, CONF_SECRET, 0, NULL,
         "Who may create databases beside it; default: its own user, on the database postgres."),
    SWITCH("database.fence", database.fence, "false",
           "Refuse writes from before the backup to the end: a restore then loses none."),
    TEXT("migrations.directory", migrations.directory, 0, 0, "prisma/migrations",
         "Prisma's migrations; none are run where it does not exist."),
    WORDS("migrations.command", migrations.command, 0, 0,
          "Run in place of our own runner, such as `[npx, prisma, migrate, deploy]`."),
    DURATION("migrations.lock_timeout", migrations.lock_ms, 0, "5s", 1, HOUR,
             "How long a statement waits for a lock, which others then wait behind."),
    DURATION("migrations.statement_timeout", migrations.statement_ms, 0, "15m", 1, 24 * HOUR,
             "Limit of one statement."),
    NUMBER("migrations.retries", migrations.retries, 0, "5", 0, 1000,
           "How often a migration that got no lock is tried again."),
    TEXT("backup.directory", backup.directory, 0, 0, "backups", "Where backups are kept."),
    NUMBER("backup.keep", backup.keep, 0, "10", 1, 10000, "The newest that are kept; those past them are removed."),
    NUMBER("backup.keep_days", backup.keep_days, 0, "30", 0, 36500, "Older ones are removed too; 0: whatever their age."),
    SWITCH("backup.verify", backup.verify, "true",
           "Restore each into a scratch database, compare, and rehearse the migrations there."),

    COMMANDS("hooks.before_migrations", hooks.before_migrations, "Commands, each a list of words."),
    COMMANDS("hooks.after_rollout", hooks.after_rollout, "Once the release is healthy."),
    COMMANDS("hooks.after_rollback", hooks.after_rollback, "Once the previous release is back."),

    URL("verify.url", verify.url, 0, "A route that needs a token: 401 without, 200 with one."),
    TEXT("verify.token", verify.token, CONF_SECRET, 0, NULL, "A token for it."),
    URL("verify.http_url", verify.http_url, 0, "Must redirect to https."),
    TEXT("verify.cors_origin", verify.cors_origin, 0, 0, NULL,
         "The origin that health.url has to allow, and no other."),
    URL("verify.login_url", verify.login_url, 0,
        "Takes `{email,password}`: the 6th wrong password in a minute must be answered with 429."),
    TEXT("verify.login_email", verify.login_email, 0, 0, NULL,
         "The address for it; an account of its own, or of nobody."),

    WORDS("notify", notify, 0, 0, "Names under `notify` that hear of start, success and rollback."),
};
const size_t conf_environment_fields_count =
    sizeof conf_environment_fields / sizeof *conf_environment_fields;

#define ROUTE(path, type, field, flags, by_default, help)                                          \
    {                                                                                              \
        path, type, flags, 0, offsetof(struct conf_route, field), by_default, 0, 0, NULL, help     \
    }

const struct conf_field conf_route_fields[] = {
    ROUTE("slack", CONF_URL, slack, CONF_SECRET, NULL, "An incoming webhook of Slack."),
    ROUTE("webhook", CONF_URL, webhook, CONF_SECRET, NULL, "An address that takes a JSON body."),
    ROUTE("pagerduty", CONF_TEXT, pagerduty, CONF_SECRET, NULL,
          "A routing key of its Events API v2: a rollback opens an incident, the next success ends it."),
    ROUTE("pagerduty_url", CONF_URL, pagerduty_url, 0, "https://events.pagerduty.com/v2/enqueue",
          "Where that key is good, such as https://events.eu.pagerduty.com/v2/enqueue."),
    ROUTE("email", CONF_WORDS, email, 0, NULL, "Addresses."),
};
const size_t conf_route_fields_count = sizeof conf_route_fields / sizeof *conf_route_fields;
/* clang-format on */

const char *target_id_name(enum target_id id)
{
    return kinds[id];
}

static void describe_kinds(struct buf *out, unsigned bits)
{
    bool first = true;

    for (int i = 0; i < TARGET_IDS; i++) {
        if (bits & (1U << i))
            buf_printf(out, "%s%s", first ? " (" : ", ", kinds[i]);
        first = first && !(bits & (1U << i));
    }
    if (!first)
        buf_add_char(out, ')');
}

static void describe(struct buf *out, const char *prefix, const struct conf_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct conf_field *f = &fields[i];
        buf_printf(out, "%s%s\t%s\t%s", prefix, f->path,
                   f->by_default            ? f->by_default
                   : f->flags & CONF_NEEDED ? "(needed)"
                                            : "",
                   f->help);
        describe_kinds(out, f->kinds);
        buf_add_char(out, '\n');
    }
}

int conf_describe(struct buf *out)
{
    describe(out, "", conf_environment_fields, conf_environment_fields_count);
    describe(out, "notify.NAME.", conf_route_fields, conf_route_fields_count);
    return buf_fault(out);
}
