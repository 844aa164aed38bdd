#include "mail/ses_setup.h"

#include "base/fault.h"
#include "identity/email_address.h"
#include "net/aws_form.h"
#include "net/dns_name.h"

enum { FORM_MAX = 16 * 1024 };

static const char *const check_names[SES_CHECKS] = {
    [SES_CHECK_SENDING] = "sending",
    [SES_CHECK_IDENTITY] = "identity",
    [SES_CHECK_DKIM] = "dkim",
    [SES_CHECK_SENDER] = "sender",
    [SES_CHECK_TOPIC] = "topic",
    [SES_CHECK_BOUNCES] = "bounces",
    [SES_CHECK_COMPLAINTS] = "complaints",
    [SES_CHECK_DELIVERIES] = "deliveries",
    [SES_CHECK_SETTING] = "setting",
    [SES_CHECK_SUBSCRIPTION] = "subscription",
};

static const char *const state_names[] = {
    [SES_SETUP_ABSENT] = "absent",   [SES_SETUP_OK] = "ok",
    [SES_SETUP_NOTE] = "note",       [SES_SETUP_UNKNOWN] = "unknown",
    [SES_SETUP_WAITING] = "waiting", [SES_SETUP_MISSING] = "missing",
};

const char *ses_setup_check_name(enum ses_setup_check check)
{
    return check_names[check];
}

const char *ses_setup_state_name(enum ses_setup_state state)
{
    return state_names[state];
}

bool ses_setup_identity_is_good(struct str identity)
{
    char address[EMAIL_ADDRESS_SIZE];
    size_t n;

    for (size_t i = 0; i < identity.n; i++)
        if (identity.p[i] >= 'A' && identity.p[i] <= 'Z')
            return false;
    if (str_find(identity, '@') == identity.n)
        return dns_name_is_host(identity) && str_find(identity, '.') < identity.n;
    return email_address_normalise(identity, address, &n) == 0;
}

bool ses_setup_topic_name_is_good(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!((name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= 'A' && name.p[i] <= 'Z') ||
              (name.p[i] >= '0' && name.p[i] <= '9') || name.p[i] == '-' || name.p[i] == '_'))
            return false;
    return name.n > 0 && name.n <= SES_SETUP_TOPIC_NAME_MAX;
}

/* Most regions share one zone of DKIM keys; these have their own. */
void ses_setup_dkim_zone(struct str region, char ret[SES_SETUP_ZONE_SIZE])
{
    static const struct str own[] = {
        STR_INIT("af-south-1"),     STR_INIT("ap-northeast-3"), STR_INIT("ap-south-2"),
        STR_INIT("ap-southeast-3"), STR_INIT("ap-southeast-5"), STR_INIT("ca-west-1"),
        STR_INIT("eu-central-2"),   STR_INIT("eu-south-1"),     STR_INIT("il-central-1"),
        STR_INIT("me-central-1"),   STR_INIT("us-gov-east-1"),
    };

    snprintf(ret, SES_SETUP_ZONE_SIZE, "dkim.amazonses.com");
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (str_eq(own[i], region))
            snprintf(ret, SES_SETUP_ZONE_SIZE, "dkim.%.*s.amazonses.com", STR_ARG(region));
}

int ses_setup_look(struct ses_setup *s)
{
    int r = ses_setup_read(s);

    return r ? r : ses_setup_plan(s);
}

bool ses_setup_is_complete(const struct ses_setup *s)
{
    for (size_t i = 0; i < SES_CHECKS; i++)
        if (s->rows[i].state == SES_SETUP_WAITING || s->rows[i].state == SES_SETUP_MISSING)
            return false;
    return true;
}

int ses_setup_do(struct ses_setup *s, struct ses_setup_action *action)
{
    struct buf form _cleanup_buf_ = buf_init(FORM_MAX),
                    answer _cleanup_buf_ = buf_init(AWS_ANSWER_MAX);

    ses_setup_form(&form, action->service, action->name);
    for (size_t i = 0; i < action->param_count; i++)
        if (action->params[i].field)
            aws_form_add(&form, action->params[i].field, action->params[i].value);
    if (buf_fault(&form))
        return buf_fault(&form);
    struct aws_request request = {.service = action->service, .body = buf_str(&form)};
    int r = ses_setup_call(s, &request, &answer, &action->error);
    if (r < 0)
        return r;
    action->tried = true;
    action->outcome = r;
    return 0;
}

/* A word as a shell takes it. */
static void add_word(struct buf *out, struct str word)
{
    bool plain = word.n > 0;

    for (size_t i = 0; i < word.n; i++)
        plain = plain &&
                ((word.p[i] >= 'a' && word.p[i] <= 'z') || (word.p[i] >= 'A' && word.p[i] <= 'Z') ||
                 (word.p[i] >= '0' && word.p[i] <= '9') || memchr("@%+=:,./_-", word.p[i], 10));
    if (plain) {
        buf_add_str(out, word);
        return;
    }
    buf_add_char(out, '\'');
    for (size_t i = 0; i < word.n; i++)
        buf_add_str(out, word.p[i] == '\'' ? STR("'\\''") : (struct str){&word.p[i], 1});
    buf_add_char(out, '\'');
}

int ses_setup_command(const struct ses_setup *s, const struct ses_setup_action *action,
                      struct buf *out)
{
    static const char *const names[] = {[AWS_SES] = "ses", [AWS_SNS] = "sns", [AWS_STS] = "sts"};

    buf_printf(out, "aws %s %s --region ", names[action->service], action->command);
    add_word(out, aws_region(s->aws));
    for (size_t i = 0; i < action->param_count; i++) {
        const struct ses_setup_param *p = &action->params[i];
        if (!p->option)
            continue;
        buf_printf(out, " %s", p->option);
        if (p->value.n > 0) {
            buf_add_char(out, ' ');
            add_word(out, p->value);
        }
    }
    return buf_fault(out);
}
