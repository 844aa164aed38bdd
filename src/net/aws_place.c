#include "net/aws_place.h"

#include "base/fault.h"

#include <arpa/inet.h>
#include <stdio.h>

static const struct {
    struct str name;  /* in signatures */
    const char *host; /* in host names */
} services[] = {
    [AWS_SES] = {STR_INIT("ses"), "email"},
    [AWS_SNS] = {STR_INIT("sns"), "sns"},
    [AWS_STS] = {STR_INIT("sts"), "sts"},
    [AWS_ECS] = {STR_INIT("ecs"), "ecs"},
};

struct str aws_service_name(enum aws_service service)
{
    return services[service].name;
}

int aws_origin(const struct aws_options *options, enum aws_service service,
               char ret[AWS_ORIGIN_SIZE])
{
    struct str e = options->endpoint;
    bool china = str_has_prefix(options->region, STR("cn-"));
    char text[AWS_ORIGIN_SIZE];
    int n;

    if (str_has_suffix(e, STR("/")))
        e.n--;
    if (e.n > 0)
        n = snprintf(text, sizeof text, "%.*s", STR_ARG(e));
    else
        n = snprintf(text, sizeof text, "https://%s.%.*s.amazonaws.com%s", services[service].host,
                     STR_ARG(options->region), china ? ".cn" : "");
    if (n < 0 || (size_t)n >= sizeof text)
        return fault_set(FAULT_LIMIT, "the region or the endpoint of AWS is too long");
    memcpy(ret, text, (size_t)n + 1);
    return 0;
}

/* The host of what follows a URL's "//": without userinfo, which nobody has here, and port. */
static struct str host_of(struct str rest)
{
    if (rest.n > 0 && rest.p[0] == '[') {
        size_t end = str_find(rest, ']');
        return end == rest.n ? (struct str){rest.p, 0} : (struct str){rest.p + 1, end - 1};
    }
    size_t n = 0;
    while (n < rest.n && !strchr("/:?#@", rest.p[n]))
        n++;
    return (struct str){rest.p, n};
}

static bool is_loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;

    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool aws_container_url_is_near(struct str url)
{
    static const struct str known[] = {STR_INIT("localhost"), STR_INIT("169.254.170.2"),
                                       STR_INIT("169.254.170.23"), STR_INIT("fd00:ec2::23")};
    struct str scheme = STR("http://");
    char text[INET6_ADDRSTRLEN];

    if (str_has_prefix(url, STR("https://")))
        return true;
    if (!str_has_prefix(url, scheme))
        return false;
    struct str host = host_of((struct str){url.p + scheme.n, url.n - scheme.n});
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_eq_ci(known[i], host))
            return true;
    if (host.n == 0 || host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return is_loopback(text);
}
