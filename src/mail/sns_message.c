/* Envelopes: reading one, what of it is signed, and the answer to a confirmation. */
#include "mail/sns.h"

#include "base/fault.h"
#include "mail/sns_topic.h"
#include "mail/strict_json.h"

enum {
    WORD_MAX = 64,
    SUBJECT_MAX = 512, /* SNS allows 100 characters */
    SIGNATURE_MAX = 2048,
    TOKEN_MAX = 1024,
    DIGITS = 32 /* of a certificate's URL */
};

static const struct str path = STR_INIT("/SimpleNotificationService-");

static const struct str types[] = {
    [SNS_NOTIFICATION] = STR_INIT("Notification"),
    [SNS_SUBSCRIPTION_CONFIRMATION] = STR_INIT("SubscriptionConfirmation"),
    [SNS_UNSUBSCRIBE_CONFIRMATION] = STR_INIT("UnsubscribeConfirmation"),
};

/* A line break in a value could make two messages of one string to sign; only Message may. */
static bool one_line(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F)
            return false;
    return true;
}

/* A member that lives in the arena; p is NULL where it is absent. */
static int take(const json_t *tree, const char *key, size_t max, struct arena *arena,
                struct str *ret_text)
{
    struct str text;

    if (strict_json_text(tree, key, max, &text))
        return SNS_MALFORMED;
    if (text.p) {
        text = arena_str(arena, text);
        if (!text.p)
            return FAULT_MEMORY;
    }
    *ret_text = text;
    return 0;
}

/* A member of one line that must be there and say something. */
static int take_line(const json_t *tree, const char *key, size_t max, struct arena *arena,
                     struct str *ret_text)
{
    struct str text;
    int e = take(tree, key, max, arena, &text);

    if (e)
        return e;
    if (text.n == 0 || !one_line(text))
        return SNS_MALFORMED;
    *ret_text = text;
    return 0;
}

static int read_type(struct sns_message *m)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!str_eq(types[i], m->type_text))
            continue;
        m->type = (enum sns_type)i;
        return 0;
    }
    return SNS_MALFORMED;
}

static int read_version(struct str text, int *ret_version)
{
    uint64_t version;

    if (str_to_u64(text, 2, &version) || version == 0 || text.n != 1)
        return SNS_MALFORMED;
    *ret_version = (int)version;
    return 0;
}

static bool id_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-'))
            return false;
    }
    return true;
}

static int take_confirmation(const json_t *tree, struct arena *arena, struct sns_message *m)
{
    int e;

    if (m->type == SNS_NOTIFICATION)
        return 0;
    if ((e = take_line(tree, "Token", TOKEN_MAX, arena, &m->token)))
        return e;
    return take_line(tree, "SubscribeURL", SNS_URL_MAX, arena, &m->subscribe_url);
}

static int take_members(const json_t *tree, struct arena *arena, struct sns_message *m)
{
    struct str version;
    int e;

    if ((e = take_line(tree, "Type", WORD_MAX, arena, &m->type_text)) || (e = read_type(m)) ||
        (e = take(tree, "Message", SNS_MESSAGE_MAX, arena, &m->message)) ||
        (e = take(tree, "Subject", SUBJECT_MAX, arena, &m->subject)) ||
        (e = take_line(tree, "MessageId", WORD_MAX, arena, &m->message_id)) ||
        (e = take_line(tree, "TopicArn", SNS_TOPIC_MAX, arena, &m->topic_arn)) ||
        (e = take_line(tree, "Timestamp", WORD_MAX, arena, &m->timestamp)) ||
        (e = take_line(tree, "Signature", SIGNATURE_MAX, arena, &m->signature)) ||
        (e = take_line(tree, "SigningCertURL", SNS_URL_MAX, arena, &m->signing_cert_url)) ||
        (e = take_line(tree, "SignatureVersion", WORD_MAX, arena, &version)) ||
        (e = read_version(version, &m->signature_version)) ||
        (e = take_confirmation(tree, arena, m)))
        return e;
    if (!m->message.p || !one_line(m->subject) || !id_valid(m->message_id) ||
        !sns_topic_valid(m->topic_arn) || clock_parse(m->timestamp, &m->at))
        return SNS_MALFORMED;
    return 0;
}

int sns_parse(struct str body, struct arena *arena, struct sns_message *ret_message)
{
    _cleanup_json_ json_t *tree = NULL;
    struct sns_message m = {0};
    int e;

    if (body.n > SNS_BODY_MAX)
        return SNS_MALFORMED;
    e = strict_json_load(body, &tree);
    if (e)
        return e < 0 ? e : SNS_MALFORMED;
    e = take_members(tree, arena, &m);
    if (!e)
        *ret_message = m;
    return e;
}

static void add_line(struct buf *out, struct str key, struct str value)
{
    buf_add_str(out, key);
    buf_add_char(out, '\n');
    buf_add_str(out, value);
    buf_add_char(out, '\n');
}

int sns_string_to_sign(const struct sns_message *message, struct buf *ret_text)
{
    bool notification = message->type == SNS_NOTIFICATION;

    add_line(ret_text, STR("Message"), message->message);
    add_line(ret_text, STR("MessageId"), message->message_id);
    if (notification && message->subject.p)
        add_line(ret_text, STR("Subject"), message->subject);
    if (!notification)
        add_line(ret_text, STR("SubscribeURL"), message->subscribe_url);
    add_line(ret_text, STR("Timestamp"), message->timestamp);
    if (!notification)
        add_line(ret_text, STR("Token"), message->token);
    add_line(ret_text, STR("TopicArn"), message->topic_arn);
    add_line(ret_text, STR("Type"), message->type_text);
    return buf_fault(ret_text);
}

bool sns_cert_url_valid(struct str url, struct str topic_arn)
{
    char host[SNS_HOST_SIZE], front[SNS_HOST_SIZE + 64];
    struct sns_topic topic;
    size_t n;

    if (sns_topic_parse(topic_arn, &topic))
        return false;
    sns_topic_host(&topic, host);
    n = (size_t)snprintf(front, sizeof front, "https://%s%s", host, path.p);
    if (url.n != n + DIGITS + 4 || !str_has_prefix(url, (struct str){front, n}) ||
        !str_has_suffix(url, STR(".pem")))
        return false;
    for (size_t i = n; i < n + DIGITS; i++)
        if (!((url.p[i] >= '0' && url.p[i] <= '9') || (url.p[i] >= 'a' && url.p[i] <= 'f')))
            return false;
    return true;
}

/* Percent-encoding of all but unreserved characters (RFC 3986, section 2.3). */
static void add_escaped(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '.' || c == '_' || c == '~')
            buf_add_char(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}

int sns_confirm_url(const struct sns_message *message, struct buf *ret_url)
{
    char host[SNS_HOST_SIZE];
    struct sns_topic topic;

    if (message->type != SNS_SUBSCRIPTION_CONFIRMATION ||
        sns_topic_parse(message->topic_arn, &topic))
        return SNS_MALFORMED;
    sns_topic_host(&topic, host);
    buf_printf(ret_url, "https://%s/?Action=ConfirmSubscription&TopicArn=", host);
    add_escaped(ret_url, message->topic_arn);
    buf_add_str(ret_url, STR("&Token="));
    add_escaped(ret_url, message->token);
    return buf_fault(ret_url);
}
