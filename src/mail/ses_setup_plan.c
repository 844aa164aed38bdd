#include "base/fault.h"
#include "mail/ses_setup.h"

static bool is_domain(struct str identity)
{
    return str_find(identity, '@') == identity.n;
}

/* A row; found and todo (may be NULL) may be NULL for want of memory, which is seen at the end. */
static void put(struct ses_setup *s, enum ses_setup_check check, enum ses_setup_state state,
                const char *found, const char *todo)
{
    s->rows[check] = (struct ses_setup_row){state, found, todo};
}

static struct ses_setup_action *act(struct ses_setup *s, enum ses_setup_check check,
                                    const char *what, enum aws_service service, const char *name,
                                    const char *command)
{
    struct ses_setup_action *a = &s->actions[s->action_count++];

    *a = (struct ses_setup_action){
        .check = check, .what = what, .service = service, .name = name, .command = command};
    return a;
}

static void with(struct ses_setup_action *a, const char *field, const char *option,
                 struct str value)
{
    a->params[a->param_count++] = (struct ses_setup_param){field, option, value};
}

static void plan_sending(struct ses_setup *s)
{
    static const char to_leave_the_sandbox[] = "Ask for production access in the SES console (or "
                                               "by aws sesv2 put-account-details): in the "
                                               "sandbox SES delivers to verified addresses only.";
    const struct ses_account *a = &s->seen.account;
    enum ses_setup_check check = SES_CHECK_SENDING;

    if (!s->seen.account_known) {
        put(s, check, SES_SETUP_UNKNOWN,
            arena_printf(s->arena, "not told: %s", s->seen.account_error.code), NULL);
        return;
    }
    const char *quota = arena_printf(s->arena, "%.0f a day (%.0f used), %.0f a second", a->per_day,
                                     a->sent_today, a->per_second);
    if (!a->sending || strcmp(a->enforcement, "SHUTDOWN") == 0) {
        put(s, check, SES_SETUP_WAITING, "sending is switched off for the account",
            "Have sending switched on again: the account dashboard of the SES console tells why it "
            "is off.");
    } else if (!a->production) {
        put(s, check, s->want.production ? SES_SETUP_WAITING : SES_SETUP_NOTE,
            arena_printf(s->arena, "SES's sandbox: to verified addresses only; %s", quota),
            s->want.production ? to_leave_the_sandbox : NULL);
    } else {
        bool healthy = !*a->enforcement || strcmp(a->enforcement, "HEALTHY") == 0;
        put(s, check, healthy ? SES_SETUP_OK : SES_SETUP_NOTE,
            arena_printf(s->arena, "production access; %s%s%s", quota, healthy ? "" : "; SES says ",
                         healthy ? "" : a->enforcement),
            NULL);
    }
}

static void verify(struct ses_setup *s, enum ses_setup_check check)
{
    struct ses_setup_action *a;

    if (is_domain(s->want.identity)) {
        a = act(s, check, "Have SES make DKIM keys for the domain, which verify it", AWS_SES,
                "VerifyDomainDkim", "verify-domain-dkim");
        with(a, "Domain", "--domain", s->want.identity);
    } else {
        a = act(s, check, "Have SES write to the address to verify it", AWS_SES,
                "VerifyEmailIdentity", "verify-email-identity");
        with(a, "EmailAddress", "--email-address", s->want.identity);
    }
}

static bool is_success(struct str status)
{
    return str_eq(status, STR("Success"));
}

static void plan_identity(struct ses_setup *s)
{
    struct str status = s->seen.verification, identity = s->want.identity;
    enum ses_setup_check check = SES_CHECK_IDENTITY;
    const char *found;

    if (status.n == 0) {
        found = arena_printf(s->arena, "SES does not know %.*s", STR_ARG(identity));
        put(s, check, SES_SETUP_MISSING, found, NULL);
        verify(s, check);
    } else if (is_success(status) || is_success(s->seen.dkim)) {
        found = arena_printf(s->arena, "%.*s is verified", STR_ARG(identity));
        put(s, check, SES_SETUP_OK, found, NULL);
    } else if (is_domain(identity)) {
        found = arena_printf(s->arena, "%.*s is not verified yet (%.*s)", STR_ARG(identity),
                             STR_ARG(status));
        put(s, check, SES_SETUP_WAITING, found, NULL); /* for what DKIM waits for */
    } else if (str_eq(status, STR("Pending"))) {
        found = arena_printf(s->arena, "%.*s is not verified yet (Pending)", STR_ARG(identity));
        put(s, check, SES_SETUP_WAITING, found,
            arena_printf(s->arena, "Open the link in the message that Amazon wrote to %.*s.",
                         STR_ARG(identity)));
    } else { /* the link was not opened within a day */
        found = arena_printf(s->arena, "%.*s was not verified (%.*s)", STR_ARG(identity),
                             STR_ARG(status));
        put(s, check, SES_SETUP_MISSING, found, NULL);
        verify(s, check);
    }
}

static void plan_dkim(struct ses_setup *s)
{
    static const char todo[] = "Publish the DKIM records of the domain in its DNS.";
    const struct ses_setup_seen *seen = &s->seen;
    enum ses_setup_check check = SES_CHECK_DKIM;
    const char *status =
        arena_printf(s->arena, "the keys are not found in the DNS yet (%.*s)", STR_ARG(seen->dkim));

    if (!is_domain(s->want.identity))
        return;
    if (is_success(seen->dkim) && seen->dkim_enabled) {
        put(s, check, SES_SETUP_OK, "messages are signed for the domain", NULL);
    } else if (is_success(seen->dkim)) {
        put(s, check, SES_SETUP_MISSING, "the keys are there, but signing is switched off", NULL);
        struct ses_setup_action *a = act(s, check, "Switch DKIM signing on", AWS_SES,
                                         "SetIdentityDkimEnabled", "set-identity-dkim-enabled");
        with(a, "Identity", "--identity", s->want.identity);
        with(a, "DkimEnabled", NULL, STR("true"));
        with(a, NULL, "--dkim-enabled", STR(""));
    } else if (seen->dkim.n == 0 || str_eq(seen->dkim, STR("NotStarted"))) {
        put(s, check, SES_SETUP_MISSING, "there are no keys", NULL);
        if (seen->verification.n > 0) /* else the identity's action makes them */
            verify(s, check);
    } else if (str_eq(seen->dkim, STR("Failed"))) {
        put(s, check, SES_SETUP_MISSING, "the keys were not found in the DNS for three days", todo);
        verify(s, check);
    } else {
        put(s, check, SES_SETUP_WAITING, status, todo);
    }
}

/* Whether the identity is the sender's address, its domain, or one above. */
static bool covers(struct str identity, struct str sender)
{
    size_t at = str_find(sender, '@');
    struct str domain = {sender.p + at + 1, sender.n - at - 1};

    if (!is_domain(identity))
        return str_eq_ci(identity, sender);
    if (domain.n <= identity.n)
        return str_eq_ci(identity, domain);
    size_t above = domain.n - identity.n;
    return domain.p[above - 1] == '.' &&
           str_eq_ci(identity, (struct str){domain.p + above, identity.n});
}

static void plan_sender(struct ses_setup *s)
{
    struct str sender = s->want.sender, identity = s->want.identity;
    enum ses_setup_check check = SES_CHECK_SENDER;

    if (str_find(sender, '@') == sender.n)
        return;
    if (!covers(identity, sender))
        put(s, check, SES_SETUP_NOTE,
            arena_printf(s->arena, "EMAIL_FROM is %.*s, which %.*s does not cover", STR_ARG(sender),
                         STR_ARG(identity)),
            NULL);
    else if (s->seen.sender_is_identity)
        put(s, check, SES_SETUP_WAITING,
            arena_printf(s->arena, "%.*s is an identity of its own, whose settings come first",
                         STR_ARG(sender)),
            arena_printf(s->arena, "Run this again with --identity %.*s, or delete that identity.",
                         STR_ARG(sender)));
}

/* The number of the account that a topic is in, and its name. */
static void split_topic(struct str arn, struct str *ret_account, struct str *ret_name)
{
    struct str part = {"", 0};

    for (int i = 0; i < 5; i++)
        str_next(&arn, ':', &part);
    *ret_account = part;
    *ret_name = arn;
}

static void plan_topic(struct ses_setup *s)
{
    struct str arn = s->seen.topic_arn, account, name;
    enum ses_setup_check check = SES_CHECK_TOPIC;

    split_topic(arn, &account, &name);
    if (!s->seen.topic_is_there) {
        put(s, check, SES_SETUP_MISSING, arena_printf(s->arena, "there is no %.*s", STR_ARG(arn)),
            NULL);
        struct ses_setup_action *a =
            act(s, check, "Make the topic", AWS_SNS, "CreateTopic", "create-topic");
        with(a, "Name", "--name", name);
        with(a, "Attributes.entry.1.key", NULL, STR("SignatureVersion"));
        with(a, "Attributes.entry.1.value", NULL, STR("2"));
        with(a, NULL, "--attributes", STR("SignatureVersion=2"));
    } else if (str_eq(s->seen.topic_key, STR("alias/aws/sns"))) {
        put(s, check, SES_SETUP_WAITING, "is encrypted with the key of SNS, which SES may not use",
            "Encrypt the topic with a key of your own that lets ses.amazonaws.com use it, or not "
            "at all.");
    } else if (s->seen.topic_key.n > 0) {
        put(s, check, SES_SETUP_NOTE,
            arena_printf(s->arena, "%.*s; its key %.*s has to let ses.amazonaws.com use it",
                         STR_ARG(arn), STR_ARG(s->seen.topic_key)),
            NULL);
    } else {
        put(s, check, SES_SETUP_OK, arena_printf(s->arena, "%.*s", STR_ARG(arn)), NULL);
    }
}

static void plan_notice(struct ses_setup *s, enum ses_notice notice)
{
    static const struct {
        const char *type, *what, *headers;
    } words[SES_NOTICES] = {
        [SES_NOTICE_BOUNCE] = {"Bounce", "bounces", "Repeat messages' headers with bounces"},
        [SES_NOTICE_COMPLAINT] = {"Complaint", "complaints",
                                  "Repeat messages' headers with complaints"},
        [SES_NOTICE_DELIVERY] = {"Delivery", "deliveries",
                                 "Repeat messages' headers with deliveries"},
    };
    enum ses_setup_check check = (enum ses_setup_check)(SES_CHECK_BOUNCES + (int)notice);
    struct str topic = s->seen.notice_topics[notice], type = str_of(words[notice].type);
    bool there = str_eq(topic, s->seen.topic_arn), headers = s->seen.notice_headers[notice];
    struct ses_setup_action *a;

    if (!there) {
        a = act(s, check,
                topic.n == 0 ? arena_printf(s->arena, "Send %s to the topic", words[notice].what)
                             : arena_printf(s->arena, "Send %s to the topic in place of %.*s",
                                            words[notice].what, STR_ARG(topic)),
                AWS_SES, "SetIdentityNotificationTopic", "set-identity-notification-topic");
        with(a, "Identity", "--identity", s->want.identity);
        with(a, "NotificationType", "--notification-type", type);
        with(a, "SnsTopic", "--sns-topic", s->seen.topic_arn);
    }
    if (!headers) {
        a = act(s, check, words[notice].headers, AWS_SES,
                "SetIdentityHeadersInNotificationsEnabled",
                "set-identity-headers-in-notifications-enabled");
        with(a, "Identity", "--identity", s->want.identity);
        with(a, "NotificationType", "--notification-type", type);
        with(a, "Enabled", NULL, STR("true"));
        with(a, NULL, "--enabled", STR(""));
    }
    if (topic.n == 0)
        put(s, check, SES_SETUP_MISSING, "go to no topic", NULL);
    else if (!there)
        put(s, check, SES_SETUP_MISSING,
            arena_printf(s->arena, "go to another topic, %.*s", STR_ARG(topic)), NULL);
    else
        put(s, check, headers ? SES_SETUP_OK : SES_SETUP_MISSING,
            headers ? "go to the topic" : "go to the topic, without the messages' headers", NULL);
}

static bool is_accepted(const struct ses_setup *s)
{
    for (size_t i = 0; i < s->want.accepted_count; i++)
        if (str_eq(s->want.accepted[i], s->seen.topic_arn))
            return true;
    return false;
}

static void plan_setting(struct ses_setup *s)
{
    if (is_accepted(s))
        put(s, SES_CHECK_SETTING, SES_SETUP_OK, "SNS_TOPIC_ARNS names the topic", NULL);
    else
        put(s, SES_CHECK_SETTING, SES_SETUP_WAITING, "SNS_TOPIC_ARNS does not name the topic",
            arena_printf(
                s->arena,
                "Set SNS_TOPIC_ARNS=%.*s for the server%s, restart it, and run this again with "
                "--yes: the endpoint is subscribed once the server listens to the topic.",
                STR_ARG(s->seen.topic_arn),
                s->want.accepted_count > 0 ? " (beside what it names already)" : ""));
}

static void subscribe(struct ses_setup *s, const char *what)
{
    struct str endpoint = s->want.endpoint;
    struct ses_setup_action *a =
        act(s, SES_CHECK_SUBSCRIPTION, what, AWS_SNS, "Subscribe", "subscribe");

    with(a, "TopicArn", "--topic-arn", s->seen.topic_arn);
    with(a, "Protocol", "--protocol",
         str_has_prefix(endpoint, STR("https:")) ? STR("https") : STR("http"));
    with(a, "Endpoint", "--notification-endpoint", endpoint);
}

/* A server that does not listen to the topic refuses to confirm, and SNS asks but once. */
static void plan_subscription(struct ses_setup *s)
{
    enum ses_setup_check check = SES_CHECK_SUBSCRIPTION;
    struct str endpoint = s->want.endpoint;
    bool pending = s->seen.subscription == SES_SUBSCRIPTION_PENDING, ready = is_accepted(s);

    if (s->seen.subscription == SES_SUBSCRIBED && s->seen.raw) {
        put(s, check, SES_SETUP_MISSING, "messages come raw, without the signature to verify",
            NULL);
        struct ses_setup_action *a =
            act(s, check, "Have messages come with their signature", AWS_SNS,
                "SetSubscriptionAttributes", "set-subscription-attributes");
        with(a, "SubscriptionArn", "--subscription-arn", s->seen.subscription_arn);
        with(a, "AttributeName", "--attribute-name", STR("RawMessageDelivery"));
        with(a, "AttributeValue", "--attribute-value", STR("false"));
        return;
    }
    if (s->seen.subscription == SES_SUBSCRIBED) {
        put(s, check, SES_SETUP_OK, arena_printf(s->arena, "%.*s is subscribed", STR_ARG(endpoint)),
            NULL);
        return;
    }
    put(s, check, ready ? SES_SETUP_MISSING : SES_SETUP_WAITING,
        arena_printf(s->arena, pending ? "%.*s has not confirmed yet" : "%.*s is not subscribed",
                     STR_ARG(endpoint)),
        ready && pending ? "See that the server runs and that SNS reaches it there, and run this "
                           "again: SNS then asks it anew to confirm."
                         : NULL);
    if (ready)
        subscribe(s, pending ? "Have SNS ask the endpoint anew to confirm"
                             : "Subscribe the endpoint to the topic");
}

int ses_setup_plan(struct ses_setup *s)
{
    memset(s->rows, 0, sizeof s->rows);
    s->action_count = 0;
    plan_sending(s);
    plan_identity(s);
    plan_dkim(s);
    plan_sender(s);
    plan_topic(s);
    for (int notice = 0; notice < SES_NOTICES; notice++)
        plan_notice(s, (enum ses_notice)notice);
    plan_setting(s);
    plan_subscription(s);
    for (size_t i = 0; i < SES_CHECKS; i++)
        if (s->rows[i].state != SES_SETUP_ABSENT && !s->rows[i].found)
            return FAULT_MEMORY;
    for (size_t i = 0; i < s->action_count; i++)
        if (!s->actions[i].what)
            return FAULT_MEMORY;
    return 0;
}
