#include "config/validate.h"

enum {
    WEBHOOK_SECRET_MIN = 32,
    WEBHOOK_RETIRED_MAX = 8,
    TOKEN_MIN = 32,
    REGION_MAX = 32,
    ORIGIN_MAX = 8 + 253 + 6 /* "https://", a name of the DNS, ":65535" */
};

static void check_secret(const char *key, struct str value, struct buf *problems)
{
    if (value.n && value.n < WEBHOOK_SECRET_MIN)
        buf_printf(problems, "%s: is shorter than %d characters\n", key, WEBHOOK_SECRET_MIN);
}

/* Outside development a guessable secret would let anyone end the mail of anyone. */
static void check_webhooks(const struct config *c, struct buf *problems)
{
    struct str rest = str_of(c->ses_webhook_retired_secrets), part;
    bool strict = c->env != ENV_DEVELOPMENT;
    size_t n = 0;

    if (c->ses_webhook_secret && strict)
        check_secret("SES_WEBHOOK_SECRET", str_of(c->ses_webhook_secret), problems);
    while (str_next(&rest, ',', &part)) {
        if (strict)
            check_secret("SES_WEBHOOK_RETIRED_SECRETS", str_trim(part), problems);
        n += str_trim(part).n > 0;
    }
    if (n > WEBHOOK_RETIRED_MAX)
        buf_printf(problems, "SES_WEBHOOK_RETIRED_SECRETS: holds more than %d secrets\n",
                   WEBHOOK_RETIRED_MAX);
}

static void check_smtp(const struct config *c, struct buf *problems)
{
    struct str url = str_of(c->smtp_url);

    if (url.n == 0 && c->email_transport == EMAIL_SMTP)
        buf_printf(problems, "SMTP_URL: is not set, but EMAIL_TRANSPORT is smtp\n");
    if (url.n && !str_has_prefix(url, STR("smtp://")) && !str_has_prefix(url, STR("smtps://")))
        buf_printf(problems, "SMTP_URL: begins with neither smtp:// nor smtps://\n");
}

static bool is_region(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-')
            return false;
    return s.n > 0 && s.n <= REGION_MAX;
}

static void check_aws(const struct config *c, struct buf *problems)
{
    if (*c->aws_region && !is_region(str_of(c->aws_region)))
        buf_printf(problems, "AWS_REGION: is not a region such as eu-west-1\n");
    if (!*c->aws_region && c->email_transport == EMAIL_SES)
        buf_printf(problems, "AWS_REGION: is not set, but EMAIL_TRANSPORT is ses\n");
    if (*c->aws_access_key_id && !*c->aws_secret_access_key)
        buf_printf(problems, "AWS_SECRET_ACCESS_KEY: is not set, but AWS_ACCESS_KEY_ID is\n");
    if (*c->aws_role_arn && !*c->aws_identity_file)
        buf_printf(problems, "AWS_WEB_IDENTITY_TOKEN_FILE: is not set, but AWS_ROLE_ARN is\n");
    if (*c->aws_container_relative && *c->aws_container_relative != '/')
        buf_printf(problems, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: does not begin with /\n");
    if (!validate_origin(str_of(c->aws_metadata)))
        buf_printf(problems, "AWS_EC2_METADATA_SERVICE_ENDPOINT: is not an origin such as "
                             "http://169.254.169.254\n");
    if (*c->aws_endpoint_url && c->env == ENV_PRODUCTION)
        buf_printf(problems, "AWS_ENDPOINT_URL: is for tests, not for production\n");
    if (*c->aws_endpoint_url && !validate_origin(str_of(c->aws_endpoint_url)))
        buf_printf(problems, "AWS_ENDPOINT_URL: is not an origin such as http://127.0.0.1:5000\n");
}

/* Links in messages lead there, so in production they have to be of the outside, and over TLS. */
static void check_public_url(const struct config *c, struct buf *problems)
{
    struct str url = str_of(c->public_url);
    bool sends = c->email_transport == EMAIL_SMTP || c->email_transport == EMAIL_SES;

    if (url.n > ORIGIN_MAX)
        buf_printf(problems, "PUBLIC_URL: is longer than a host's name may be\n");
    else if (url.n && !validate_origin(url))
        buf_printf(problems, "PUBLIC_URL: is not an origin such as https://holdfast.example.com\n");
    else if (url.n && c->env == ENV_PRODUCTION && !str_has_prefix(url, STR("https://")))
        buf_printf(problems, "PUBLIC_URL: does not begin with https://\n");
    if (url.n == 0 && sends && c->env != ENV_DEVELOPMENT)
        buf_printf(problems, "PUBLIC_URL: is not set, but messages are sent\n");
}

static void check_from(const struct config *c, struct buf *problems)
{
    struct str from = str_of(c->email_from);
    bool sends = c->email_transport == EMAIL_SMTP || c->email_transport == EMAIL_SES;

    if (str_find(from, '@') == from.n)
        buf_printf(problems, "EMAIL_FROM: holds no address\n");
    else if (sends && (str_has_suffix(str_trim(from), STR("@localhost>")) ||
                       str_has_suffix(str_trim(from), STR("@localhost"))))
        buf_printf(problems, "EMAIL_FROM: is not set to an address of yours\n");
}

static void check_service_tokens(const struct config *c, struct buf *problems)
{
    for (size_t i = 0; i < c->service_token_count; i++) {
        struct str token = c->service_tokens[i].token;
        if (token.n < TOKEN_MIN && c->env != ENV_DEVELOPMENT)
            buf_printf(problems, "EMAIL_SERVICE_TOKENS: a token is shorter than %d characters\n",
                       TOKEN_MIN);
        for (size_t j = 0; j < i; j++)
            if (str_eq(c->service_tokens[j].token, token))
                buf_printf(problems, "EMAIL_SERVICE_TOKENS: two entries have the same token\n");
    }
}

void validate_mail(const struct config *c, struct buf *problems)
{
    check_service_tokens(c, problems);
    check_webhooks(c, problems);
    check_smtp(c, problems);
    check_aws(c, problems);
    check_public_url(c, problems);
    check_from(c, problems);
    if (c->email_transport == EMAIL_SANDBOX && c->env == ENV_PRODUCTION)
        buf_printf(problems, "EMAIL_TRANSPORT: sandbox delivers nothing, so it is not for "
                             "production; use smtp, ses or none\n");
}

static size_t derive_list(const char *key, const char *text, struct str out[CONFIG_LIST_MAX],
                          struct buf *problems)
{
    struct str rest = str_of(text), part;
    size_t n = 0;

    while (str_next(&rest, ',', &part)) {
        part = str_trim(part);
        if (part.n == 0)
            buf_printf(problems, "%s: an entry is empty\n", key);
        else if (n == CONFIG_LIST_MAX)
            buf_printf(problems, "%s: holds more than %d entries\n", key, CONFIG_LIST_MAX);
        else
            out[n++] = part;
    }
    return n;
}

/* No text of an entry stands in a problem: it may be the token. */
static void derive_service_tokens(struct config *c, struct buf *problems)
{
    struct str entries[CONFIG_LIST_MAX];
    size_t n = derive_list("EMAIL_SERVICE_TOKENS", c->email_service_tokens, entries, problems);

    c->service_token_count = 0;
    for (size_t i = 0; i < n; i++) {
        struct config_service_token *t = &c->service_tokens[c->service_token_count];
        size_t colon = str_find(entries[i], ':');
        if (colon >= entries[i].n - 1 ||
            uuid_parse((struct str){entries[i].p, colon}, &t->tenant_id)) {
            buf_printf(problems, "EMAIL_SERVICE_TOKENS: an entry is not TENANT_ID:TOKEN\n");
            continue;
        }
        t->token = (struct str){entries[i].p + colon + 1, entries[i].n - colon - 1};
        c->service_token_count++;
    }
}

void validate_derive_mail(struct config *c, struct buf *problems)
{
    derive_service_tokens(c, problems);
    c->topic_count = derive_list("SNS_TOPIC_ARNS", c->sns_topic_arns, c->topics, problems);
    c->selector_count =
        derive_list("EMAIL_DKIM_SELECTORS", c->dkim_selectors, c->selectors, problems);
}
