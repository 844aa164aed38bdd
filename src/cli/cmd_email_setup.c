/* holdfast email setup: what the production checklist does by hand with the aws client. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/email_setup_report.h"
#include "cli/privileges.h"
#include "mail/recipient.h"
#include "mail/sns_topic.h"

#include <stdlib.h>
#include <time.h>

enum { REPORT_MAX = 1024 * 1024, LOOKS_MAX = 6, REGION_MIN = 4, REGION_MAX = 32 };

static const char endpoint_path[] = "/v1/email-monitoring/ses/events";
static const char default_topic[] = "holdfast-mail";

/* One run. */
struct run {
    struct cli *cli;
    const struct config *config;
    struct cli_session session; /* open while something is changed */
    struct arena arena;
    struct str region;
    struct ses_setup setup;
    struct ses_setup_action tried[SES_SETUP_ACTIONS_MAX];
    size_t tried_count;
    char sender[EMAIL_ADDRESS_SIZE];
};

static bool is_region(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-')
            return false;
    return s.n >= REGION_MIN && s.n <= REGION_MAX;
}

/* The topic's ARN tells the region where nothing else does. */
static int take_region(struct run *r)
{
    const char *given = cli_value(r->cli, "region"), *arn = cli_value(r->cli, "topic");
    struct sns_topic topic;

    r->region = str_of(given ? given : r->config->aws_region);
    if (arn && (sns_topic_parse(str_of(arn), &topic) || str_has_suffix(str_of(arn), STR(".fifo"))))
        return cli_fail(EXIT_USAGE,
                        "--topic: \"%s\" is not the ARN of a topic such as "
                        "arn:aws:sns:eu-west-1:123456789012:mail (SES writes to no FIFO topic)",
                        arn);
    if (r->region.n == 0 && arn)
        r->region = topic.region;
    if (r->region.n == 0)
        return cli_fail(EXIT_USAGE, "no region: set AWS_REGION or give --region");
    if (!is_region(r->region))
        return cli_fail(EXIT_USAGE, "--region: \"%.*s\" is not a region such as eu-west-1",
                        STR_ARG(r->region));
    if (arn && !str_eq(r->region, topic.region))
        return cli_fail(EXIT_USAGE,
                        "--topic: the topic is in %.*s, but SES is asked in %.*s and writes to "
                        "topics of its own region only",
                        STR_ARG(topic.region), STR_ARG(r->region));
    return 0;
}

static int take_topic(struct run *r)
{
    const char *arn = cli_value(r->cli, "topic"), *name = cli_value(r->cli, "topic-name");
    struct ses_setup_want *want = &r->setup.want;
    struct sns_topic topic;

    if (arn && name)
        return cli_fail(EXIT_USAGE, "--topic and --topic-name exclude each other");
    if (name && !ses_setup_topic_name_is_good(str_of(name)))
        return cli_fail(EXIT_USAGE,
                        "--topic-name: takes 1 to %d letters, digits, hyphens and underscores",
                        SES_SETUP_TOPIC_NAME_MAX);
    want->accepted = r->config->topics;
    want->accepted_count = r->config->topic_count;
    want->topic_name = str_of(name ? name : default_topic);
    want->topic_arn = str_of(arn);
    for (size_t i = 0; !arn && !name && want->topic_arn.n == 0 && i < want->accepted_count; i++)
        if (sns_topic_parse(want->accepted[i], &topic) == 0 && str_eq(topic.region, r->region))
            want->topic_arn = want->accepted[i];
    return 0;
}

static int take_identity(struct run *r)
{
    const char *given = cli_value(r->cli, "identity");
    struct ses_setup_want *want = &r->setup.want;
    size_t n = 0;

    if (recipient_parse(str_of(r->config->email_from), r->sender, &n) == 0)
        want->sender = (struct str){r->sender, n};
    size_t at = str_find(want->sender, '@');
    struct str identity = given                 ? str_of(given)
                          : at < want->sender.n ? (struct str){r->sender + at + 1, n - at - 1}
                                                : STR("");
    char *p = arena_alloc(&r->arena, identity.n + 1);
    if (!p)
        return cli_fault("cannot start", FAULT_MEMORY);
    for (size_t i = 0; i < identity.n; i++)
        p[i] = (char)(identity.p[i] >= 'A' && identity.p[i] <= 'Z' ? identity.p[i] | 0x20
                                                                   : identity.p[i]);
    want->identity = (struct str){p, identity.n};
    if (ses_setup_identity_is_good(want->identity))
        return 0;
    return given ? cli_fail(EXIT_USAGE, "--identity: \"%s\" is neither a domain nor an address",
                            given)
                 : cli_fail(EXIT_USAGE, "no identity: set EMAIL_FROM to an address of yours or "
                                        "give --identity");
}

/* SNS has to reach it: over https, but for a server in its place. */
static int take_endpoint(struct run *r)
{
    struct str url = str_of(r->config->public_url);
    bool local = *r->config->aws_endpoint_url != '\0';
    const char *text;

    if (str_has_suffix(url, STR("/")))
        url.n--;
    if (!local && !str_has_prefix(url, STR("https://")))
        return cli_fail(EXIT_USAGE,
                        "PUBLIC_URL: is not the https:// URL at which SNS reaches the server");
    if (url.n > 0)
        text = arena_printf(&r->arena, "%.*s%s", STR_ARG(url), endpoint_path);
    else
        text = arena_printf(&r->arena, "http://localhost:%lld%s", (long long)r->config->port,
                            endpoint_path);
    if (!text)
        return cli_fault("cannot start", FAULT_MEMORY);
    r->setup.want.endpoint = str_of(text);
    return 0;
}

static int take_options(struct run *r)
{
    int exit_code;

    r->setup.want.production = r->config->env == ENV_PRODUCTION;
    if ((exit_code = take_region(r)) || (exit_code = take_topic(r)) ||
        (exit_code = take_identity(r)))
        return exit_code;
    return take_endpoint(r);
}

static int explain(const struct ses_setup *s, int outcome)
{
    bool credentials = outcome == AWS_CREDENTIALS || outcome == AWS_PERMANENT;

    if (outcome < 0)
        return cli_fault("cannot ask AWS", outcome);
    return cli_fail(credentials ? EXIT_FAILED : EXIT_UNREACHABLE, "%s is %s: %s%s%s", s->doing,
                    aws_outcome_text(outcome), s->error.code, *s->error.text ? ": " : "",
                    s->error.text);
}

static int show(struct run *r, bool acted)
{
    struct buf out _cleanup_buf_ = buf_init(REPORT_MAX);
    struct email_setup_report report = {&r->setup, r->tried, r->tried_count, acted};
    int fault = cli_has(r->cli, "json") ? email_setup_write_json(&report, &out)
                                        : email_setup_write_text(&report, &out);

    if (fault)
        return cli_fault("cannot print", fault);
    printf("%.*s", STR_ARG(buf_str(&out)));
    return ses_setup_is_complete(&r->setup) ? EXIT_DONE : EXIT_FAILED;
}

/* By whom, what, and with which outcome: one that is not known may have taken effect. */
static int record(const struct run *r, const struct ses_setup_action *action)
{
    struct buf detail _cleanup_buf_ = buf_init(TRAIL_DETAIL_MAX);
    struct trail_event event = {.action = TRAIL_MAIL_SETUP, .subject = r->setup.want.identity};
    int fault = email_setup_write_record(&r->setup, action, &detail);

    event.detail = buf_str(&detail);
    if (fault == 0)
        fault = trail_append_now(r->session.trail, &r->session.actor, &event);
    return fault ? cli_fault("this was tried, and could not be recorded; nothing more is", fault)
                 : 0;
}

static int do_one(struct run *r, struct ses_setup_action *action)
{
    struct buf line _cleanup_buf_ = buf_init(REPORT_MAX);
    int fault = ses_setup_do(&r->setup, action);

    if (fault == 0)
        fault = email_setup_write_tried(action, &line);
    if (fault)
        return cli_fault("cannot ask AWS", fault);
    r->tried[r->tried_count++] = *action;
    if (!cli_has(r->cli, "json")) {
        printf("%.*s", STR_ARG(buf_str(&line)));
        fflush(stdout);
    }
    int exit_code = record(r, action);
    if (exit_code || action->outcome != AWS_UNREACHABLE)
        return exit_code;
    r->setup.doing = action->name;
    r->setup.error = action->error;
    return explain(&r->setup, action->outcome);
}

/* Looks again; an endpoint that was just subscribed has a few seconds to confirm. */
static int look_again(struct run *r, bool subscribed)
{
    static const struct timespec second = {.tv_sec = 1};

    for (int looks = 1;; looks++) {
        int outcome = ses_setup_look(&r->setup);
        if (outcome)
            return explain(&r->setup, outcome);
        if (!subscribed || looks == LOOKS_MAX ||
            r->setup.seen.subscription != SES_SUBSCRIPTION_PENDING)
            return 0;
        nanosleep(&second, NULL);
    }
}

/* Does what is missing, in its order: the topic before what names it. */
static int do_all(struct run *r, bool *ret_subscribed)
{
    bool subscribed = false;
    int exit_code;

    for (size_t i = 0; i < r->setup.action_count; i++) {
        if ((exit_code = do_one(r, &r->setup.actions[i])))
            return exit_code;
        subscribed |= r->setup.actions[i].check == SES_CHECK_SUBSCRIPTION;
    }
    *ret_subscribed = subscribed;
    return 0;
}

/* Nothing is changed that could not be recorded. */
static int act(struct run *r)
{
    bool subscribed = false;

    if (r->setup.action_count == 0)
        return 0;
    int exit_code = cli_open_store(&r->session);
    if (exit_code)
        return exit_code;
    exit_code = do_all(r, &subscribed);
    cli_close(&r->session);
    return exit_code ? exit_code : look_again(r, subscribed);
}

static int look_and_act(struct run *r)
{
    struct aws_options options = aws_options_of(r->config);
    bool yes = cli_has(r->cli, "yes");
    int exit_code = 0;

    options.region = r->region;
    int fault = aws_new(&options, &r->setup.aws);
    if (fault)
        return cli_fault("cannot start", fault);
    int outcome = ses_setup_look(&r->setup);
    if (outcome)
        exit_code = explain(&r->setup, outcome);
    else if (yes)
        exit_code = act(r);
    if (exit_code == 0)
        exit_code = show(r, yes);
    aws_free(r->setup.aws);
    return exit_code;
}

static int email_setup(struct cli *cli)
{
    struct config *config;
    struct run *r;
    int exit_code = cli_configure(cli, &config);

    if (exit_code)
        return exit_code;
    int fault = privileges_drop("");
    if (fault)
        return cli_fault("cannot start", fault);
    r = calloc(1, sizeof *r);
    if (!r)
        return cli_fault("cannot start", fault_set(FAULT_MEMORY, "no memory for a setup"));
    r->cli = cli;
    r->config = config;
    r->arena = arena_init(SES_SETUP_ARENA_MAX);
    r->setup.arena = &r->arena;
    exit_code = take_options(r);
    if (exit_code == 0)
        exit_code = look_and_act(r);
    arena_free(&r->arena);
    free(r);
    return exit_code;
}

const struct cli_command cli_email_setup = {
    .name = "email",
    .verb = "setup",
    .summary = "Show what Amazon SES still lacks, and set it up",
    .description =
        "Looks whether the identity is verified, whether bounces, complaints and deliveries go to\n"
        "a topic of SNS, and whether the server's endpoint is subscribed to it; prints what is\n"
        "missing and the aws commands that would mend it. Changes nothing without --yes; what it\n"
        "changes, and who had it changed, is on record in the trail.\n",
    .options = {{"identity", 'i', "NAME",
                 "Domain or address to send from; the domain of EMAIL_FROM."},
                {"topic", 't', "ARN", "The topic; the first of SNS_TOPIC_ARNS in the region."},
                {"topic-name", 0, "NAME",
                 "A topic of this account in its place; \"holdfast-mail\"."},
                {"region", 'r', "REGION", "The region of SES in place of AWS_REGION."},
                {"yes", 'y', NULL, "Do what is missing."},
                CLI_JSON_OPTION,
                CLI_CONFIG_OPTION},
    .run = email_setup,
};
