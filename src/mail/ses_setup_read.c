#include "base/fault.h"
#include "mail/ses_setup.h"
#include "net/aws_form.h"
#include "net/aws_xml.h"

#include <time.h>

enum { FORM_MAX = 16 * 1024, TEXT_SIZE = 2048, PAGES_MAX = 200, TRIES_MAX = 6 };

static const struct {
    const char *label, *version;
} services[] = {
    [AWS_SES] = {"SES", "2010-12-01"},
    [AWS_SNS] = {"SNS", "2010-03-31"},
    [AWS_STS] = {"STS", "2011-06-15"},
};

void ses_setup_form(struct buf *form, enum aws_service service, const char *action)
{
    aws_form_begin(form, action, services[service].version);
}

/* Some of these calls are allowed once a second. */
int ses_setup_call(struct ses_setup *s, const struct aws_request *request, struct buf *answer,
                   struct aws_error *ret_error)
{
    static const struct timespec second = {.tv_sec = 1, .tv_nsec = 100000000};

    for (int tries = 1;; tries++) {
        int r = aws_call(s->aws, request, answer, ret_error);
        if (r != AWS_THROTTLED || tries == TRIES_MAX)
            return r;
        nanosleep(&second, NULL);
    }
}

/* One question: the inside of <NAMEResult> of its answer. */
struct question {
    struct ses_setup *s;
    enum aws_service service;
    const char *name;
    struct buf form, answer;
    struct str result;
};

static struct question question(struct ses_setup *s, enum aws_service service, const char *name)
{
    struct question q = {.s = s,
                         .service = service,
                         .name = name,
                         .form = buf_init(FORM_MAX),
                         .answer = buf_init(AWS_ANSWER_MAX)};

    ses_setup_form(&q.form, service, name);
    return q;
}

static void question_free(struct question *q)
{
    buf_free(&q->form);
    buf_free(&q->answer);
}

#define _cleanup_question_ __attribute__((cleanup(question_free)))

static int malformed(struct question *q)
{
    q->s->error = (struct aws_error){.status = 200};
    snprintf(q->s->error.code, sizeof q->s->error.code, "Malformed");
    snprintf(q->s->error.text, sizeof q->s->error.text, "the answer is not as it should be");
    return AWS_TEMPORARY;
}

/* Where no outcome is returned but through here, doing says what was being done. */
static int ask(struct question *q)
{
    struct aws_request request = {.service = q->service, .body = buf_str(&q->form)};
    char path[200];

    q->s->doing = arena_printf(q->s->arena, "%s's %s", services[q->service].label, q->name);
    if (!q->s->doing)
        return FAULT_MEMORY;
    if (buf_fault(&q->form))
        return buf_fault(&q->form);
    buf_reset(&q->answer);
    int r = ses_setup_call(q->s, &request, &q->answer, &q->s->error);
    if (r)
        return r;
    snprintf(path, sizeof path, "%sResponse/%sResult", q->name, q->name);
    return aws_xml_find(buf_str(&q->answer), path, &q->result) ? malformed(q) : 0;
}

/* A text of the answer, kept; empty where there is none. */
static int keep(const struct ses_setup *s, struct str xml, const char *path, struct str *ret)
{
    char text[TEXT_SIZE];

    aws_xml_text_at(xml, path, text, sizeof text);
    struct str kept = arena_str(s->arena, str_of(text));
    if (!kept.p)
        return FAULT_MEMORY;
    *ret = kept;
    return 0;
}

/* The value under a key of <entry><key/><value/></entry>...; false where there is none. */
static bool entry(struct str map, struct str key, struct str *ret_value)
{
    struct str name, inner;
    char text[TEXT_SIZE];

    while (aws_xml_next(&map, &name, &inner) == 0)
        if (aws_xml_text_at(inner, "key", text, sizeof text) && str_eq_ci(str_of(text), key))
            return aws_xml_find(inner, "value", ret_value) == 0;
    return false;
}

/* The same in a map of the result. */
static bool result_entry(const struct question *q, const char *map, struct str key,
                         struct str *ret_value)
{
    struct str inner;

    return aws_xml_find(q->result, map, &inner) == 0 && entry(inner, key, ret_value);
}

static bool says_true(struct str xml, const char *path)
{
    char text[8];

    return aws_xml_text_at(xml, path, text, sizeof text) && strcmp(text, "true") == 0;
}

/* Whether the account is known decides nothing: who sets up need not be allowed to ask. */
static int read_account(struct ses_setup *s)
{
    struct aws_request request = {.service = AWS_SES, .path = STR("/v2/email/account")};
    struct buf answer _cleanup_buf_ = buf_init(AWS_ANSWER_MAX);
    struct ses_setup_seen *seen = &s->seen;
    int r = ses_setup_call(s, &request, &answer, &seen->account_error);

    if (r < 0)
        return r;
    if (r == AWS_UNREACHABLE) {
        s->doing = "SES's GetAccount";
        s->error = seen->account_error;
        return r;
    }
    if (r == 0 && ses_answer_account(buf_str(&answer), &seen->account))
        snprintf(seen->account_error.code, sizeof seen->account_error.code, "Malformed");
    else
        seen->account_known = r == 0;
    return 0;
}

static int read_identity(struct ses_setup *s)
{
    struct question _cleanup_question_ q =
        question(s, AWS_SES, "GetIdentityVerificationAttributes");
    bool other = s->want.sender.n > 0 && !str_eq_ci(s->want.sender, s->want.identity);
    struct str value;

    aws_form_add(&q.form, "Identities.member.1", s->want.identity);
    if (other)
        aws_form_add(&q.form, "Identities.member.2", s->want.sender);
    int r = ask(&q);
    if (r)
        return r;
    s->seen.sender_is_identity =
        other && result_entry(&q, "VerificationAttributes", s->want.sender, &value);
    if (!result_entry(&q, "VerificationAttributes", s->want.identity, &value))
        return 0;
    if ((r = keep(s, value, "VerificationStatus", &s->seen.verification)))
        return r;
    return s->seen.verification.n > 0 ? 0 : malformed(&q);
}

static int read_dkim(struct ses_setup *s)
{
    struct question _cleanup_question_ q = question(s, AWS_SES, "GetIdentityDkimAttributes");
    struct ses_setup_seen *seen = &s->seen;
    struct str value, tokens = {"", 0}, name, inner;

    aws_form_add(&q.form, "Identities.member.1", s->want.identity);
    int r = ask(&q);
    if (r || !result_entry(&q, "DkimAttributes", s->want.identity, &value))
        return r;
    seen->dkim_enabled = says_true(value, "DkimEnabled");
    if ((r = keep(s, value, "DkimVerificationStatus", &seen->dkim)))
        return r;
    aws_xml_find(value, "DkimTokens", &tokens);
    while (seen->token_count < SES_SETUP_TOKENS_MAX && aws_xml_next(&tokens, &name, &inner) == 0) {
        if ((r = keep(s, inner, "", &seen->tokens[seen->token_count])))
            return r;
        seen->token_count += seen->tokens[seen->token_count].n > 0;
    }
    return 0;
}

static int read_notices(struct ses_setup *s)
{
    static const struct {
        const char *topic, *headers;
    } members[SES_NOTICES] = {
        [SES_NOTICE_BOUNCE] = {"BounceTopic", "HeadersInBounceNotificationsEnabled"},
        [SES_NOTICE_COMPLAINT] = {"ComplaintTopic", "HeadersInComplaintNotificationsEnabled"},
        [SES_NOTICE_DELIVERY] = {"DeliveryTopic", "HeadersInDeliveryNotificationsEnabled"},
    };
    struct question _cleanup_question_ q =
        question(s, AWS_SES, "GetIdentityNotificationAttributes");
    struct str value;

    aws_form_add(&q.form, "Identities.member.1", s->want.identity);
    int r = ask(&q);
    if (r || !result_entry(&q, "NotificationAttributes", s->want.identity, &value))
        return r;
    for (size_t i = 0; i < SES_NOTICES; i++) {
        if ((r = keep(s, value, members[i].topic, &s->seen.notice_topics[i])))
            return r;
        s->seen.notice_headers[i] = says_true(value, members[i].headers);
    }
    return 0;
}

/* The ARN of a topic of this name in this account, whose number and partition its own ARN tells. */
static int name_topic(struct ses_setup *s)
{
    struct question _cleanup_question_ q = question(s, AWS_STS, "GetCallerIdentity");
    struct str arn = {"", 0}, account = {"", 0}, word, partition;

    if (s->want.topic_arn.n > 0) {
        s->seen.topic_arn = s->want.topic_arn;
        return 0;
    }
    int r = ask(&q);
    if (r)
        return r;
    if ((r = keep(s, q.result, "Arn", &arn)) || (r = keep(s, q.result, "Account", &account)))
        return r;
    if (!str_next(&arn, ':', &word) || !str_next(&arn, ':', &partition) || account.n == 0)
        return malformed(&q);
    struct str region = aws_region(s->aws), name = s->want.topic_name;
    const char *text = arena_printf(s->arena, "arn:%.*s:sns:%.*s:%.*s:%.*s", STR_ARG(partition),
                                    STR_ARG(region), STR_ARG(account), STR_ARG(name));
    s->seen.topic_arn = str_of(text);
    return text ? 0 : FAULT_MEMORY;
}

static int read_topic(struct ses_setup *s)
{
    struct question _cleanup_question_ q = question(s, AWS_SNS, "GetTopicAttributes");
    struct str value;

    aws_form_add(&q.form, "TopicArn", s->seen.topic_arn);
    int r = ask(&q);
    if (r == AWS_PERMANENT && strcmp(s->error.code, "NotFound") == 0)
        return 0;
    if (r)
        return r;
    s->seen.topic_is_there = true;
    if (result_entry(&q, "Attributes", STR("KmsMasterKeyId"), &value))
        return keep(s, value, "", &s->seen.topic_key);
    return 0;
}

/* Takes what one page says of our endpoint. */
static int take_page(struct ses_setup *s, struct str result)
{
    struct str members, name, member, endpoint, arn;
    int r;

    if (aws_xml_find(result, "Subscriptions", &members))
        return 0;
    while (aws_xml_next(&members, &name, &member) == 0) {
        if ((r = keep(s, member, "Endpoint", &endpoint)) ||
            (r = keep(s, member, "SubscriptionArn", &arn)))
            return r;
        if (!str_eq(endpoint, s->want.endpoint) || str_eq(arn, STR("Deleted")) ||
            s->seen.subscription == SES_SUBSCRIBED)
            continue;
        bool confirmed = str_has_prefix(arn, STR("arn:"));
        s->seen.subscription = confirmed ? SES_SUBSCRIBED : SES_SUBSCRIPTION_PENDING;
        s->seen.subscription_arn = confirmed ? arn : STR("");
    }
    return 0;
}

static int read_subscriptions(struct ses_setup *s)
{
    struct question _cleanup_question_ q = question(s, AWS_SNS, "ListSubscriptionsByTopic");
    struct str token = {"", 0};
    int r = 0;

    for (int page = 0; r == 0 && s->seen.subscription == SES_UNSUBSCRIBED; page++) {
        if (page == PAGES_MAX || (page > 0 && token.n == 0))
            break;
        ses_setup_form(&q.form, AWS_SNS, q.name);
        aws_form_add(&q.form, "TopicArn", s->seen.topic_arn);
        if (token.n > 0)
            aws_form_add(&q.form, "NextToken", token);
        if ((r = ask(&q)) == 0 && (r = take_page(s, q.result)) == 0)
            r = keep(s, q.result, "NextToken", &token);
    }
    return r;
}

static int read_subscription(struct ses_setup *s)
{
    struct question _cleanup_question_ q = question(s, AWS_SNS, "GetSubscriptionAttributes");
    struct str value;

    aws_form_add(&q.form, "SubscriptionArn", s->seen.subscription_arn);
    int r = ask(&q);
    if (r == 0 && result_entry(&q, "Attributes", STR("RawMessageDelivery"), &value))
        s->seen.raw = says_true(value, "");
    return r;
}

int ses_setup_read(struct ses_setup *s)
{
    bool domain = str_find(s->want.identity, '@') == s->want.identity.n;
    int r;

    s->seen = (struct ses_setup_seen){0};
    if ((r = name_topic(s)) || (r = read_account(s)) || (r = read_identity(s)) ||
        (domain && (r = read_dkim(s))) || (r = read_notices(s)) || (r = read_topic(s)))
        return r;
    if (s->seen.topic_is_there)
        r = read_subscriptions(s);
    if (r == 0 && s->seen.subscription == SES_SUBSCRIBED)
        r = read_subscription(s);
    return r;
}
