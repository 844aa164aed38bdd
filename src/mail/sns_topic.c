#include "mail/sns_topic.h"

#include "mail/sns.h"

static const struct {
    struct str name, domain;
} partitions[] = {
    {STR_INIT("aws"), STR_INIT("amazonaws.com")},
    {STR_INIT("aws-us-gov"), STR_INIT("amazonaws.com")},
    {STR_INIT("aws-cn"), STR_INIT("amazonaws.com.cn")},
};

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Such as "us-gov-west-1": a label of a host, without anything that could end it. */
static bool region_valid(struct str s)
{
    if (s.n < 4 || s.n > SNS_REGION_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_lower_or_digit(s.p[i]) && s.p[i] != '-')
            return false;
    return true;
}

static bool account_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n == 12;
}

static bool name_valid(struct str s)
{
    if (str_has_suffix(s, STR(".fifo")))
        s.n -= 5;
    for (size_t i = 0; i < s.n; i++)
        if (!is_lower_or_digit(s.p[i]) && !(s.p[i] >= 'A' && s.p[i] <= 'Z') && s.p[i] != '-' &&
            s.p[i] != '_')
            return false;
    return s.n > 0 && s.n <= 256;
}

static int domain_of(struct str partition, struct str *ret_domain)
{
    for (size_t i = 0; i < sizeof partitions / sizeof *partitions; i++) {
        if (!str_eq(partitions[i].name, partition))
            continue;
        *ret_domain = partitions[i].domain;
        return 0;
    }
    return 1;
}

int sns_topic_parse(struct str arn, struct sns_topic *ret_topic)
{
    struct str arn_word, partition, service, region, account, domain, rest = arn;

    if (arn.n > SNS_TOPIC_MAX || !str_next(&rest, ':', &arn_word) ||
        !str_next(&rest, ':', &partition) || !str_next(&rest, ':', &service) ||
        !str_next(&rest, ':', &region) || !str_next(&rest, ':', &account) ||
        !str_eq(arn_word, STR("arn")) || !str_eq(service, STR("sns")) ||
        domain_of(partition, &domain) || !region_valid(region) || !account_valid(account) ||
        !name_valid(rest))
        return 1;
    *ret_topic = (struct sns_topic){region, domain};
    return 0;
}

bool sns_topic_valid(struct str arn)
{
    struct sns_topic topic;

    return sns_topic_parse(arn, &topic) == 0;
}

void sns_topic_host(const struct sns_topic *topic, char ret_host[SNS_HOST_SIZE])
{
    snprintf(ret_host, SNS_HOST_SIZE, "sns.%.*s.%.*s", STR_ARG(topic->region),
             STR_ARG(topic->domain));
}

void sns_topic_names(const struct sns_topic *topic, char ret_names[SNS_NAMES][SNS_HOST_SIZE])
{
    /* Both GovCloud regions have the name of the first. */
    struct str own =
        str_has_prefix(topic->region, STR("us-gov-")) ? STR("us-gov-west-1") : topic->region;

    sns_topic_host(topic, ret_names[0]);
    snprintf(ret_names[1], SNS_HOST_SIZE, "sns.%.*s", STR_ARG(topic->domain));
    snprintf(ret_names[2], SNS_HOST_SIZE, "sns-signing.%.*s.%.*s", STR_ARG(topic->region),
             STR_ARG(topic->domain));
    snprintf(ret_names[3], SNS_HOST_SIZE, "sns-%.*s.%.*s", STR_ARG(own), STR_ARG(topic->domain));
}
