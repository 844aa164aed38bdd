/*
 * Settings: one table of options, read from the environment and a file, checked as a whole.
 *
 * Rooms: any below base. Ownership: a struct config owns its strings; what config_current gives is
 * valid until the process ends, because a reload keeps the old one. Threads: loading, one; reading,
 * any.
 */
#ifndef HOLDFAST_CONFIG_H
#define HOLDFAST_CONFIG_H

#include "base/buf.h"
#include "base/uuid.h"

#include <netinet/in.h>

/* Who bears the token acts for the tenant. */
struct config_service_token {
    struct uuid tenant_id;
    struct str token;
};

enum email_transport { EMAIL_SANDBOX, EMAIL_SMTP, EMAIL_SES, EMAIL_NONE };
enum config_env { ENV_DEVELOPMENT, ENV_STAGING, ENV_PRODUCTION };

/* An address range; IPv4 as mapped addresses. */
struct config_range {
    struct in6_addr address;
    int bits;
};

enum { CONFIG_LIST_MAX = 64 };

struct config {
    int64_t env; /* enum config_env */
    char *database_url, *product_database_url;
    int64_t deployment_health_check_timeout, deployment_max_retries; /* seconds; probes */
    int64_t database_pool_size;
    char *listen_address;
    int64_t port;
    int64_t worker_threads, password_threads, password_queue;
    char *data_dir, *logs_dir;

    char *jwt_secret, *jwt_retired_secrets, *jwt_issuer, *jwt_audience;
    int64_t jwt_algorithm; /* enum jwt_algorithm */
    char *encryption_key, *encryption_retired_keys;
    char *metrics_token, *oauth_client_id, *oauth_client_secret;

    char *frontend_url, *trusted_proxies, *security_contact, *mfa_issuer;
    bool registration_enabled, admin_role_required, admin_mfa_required;
    bool session_revocation_enabled;

    int64_t email_transport; /* enum email_transport */
    char *email_from, *public_url, *email_service_tokens;
    int64_t email_senders;
    char *smtp_url, *smtp_ca_file;
    char *aws_region, *aws_access_key_id, *aws_secret_access_key, *aws_session_token;
    char *aws_role_arn, *aws_identity_file, *aws_role_session;
    char *aws_container_relative, *aws_container_full;
    char *aws_container_token, *aws_container_token_file;
    char *aws_metadata;
    bool aws_metadata_off;
    char *aws_endpoint_url, *ses_configuration_set;
    bool email_monitoring;
    char *ses_webhook_secret, *ses_webhook_retired_secrets, *sns_topic_arns;
    int64_t webhook_refusals_per_minute;
    int64_t notices_per_minute;
    int64_t email_waiting_limit, suppression_limit;
    int64_t email_retention_days, soft_bounce_limit, soft_bounce_days;
    char *dkim_selectors, *dns_server;
    char *sandbox_address;
    int64_t sandbox_smtp_port, sandbox_http_port, sandbox_keep;

    int64_t login_per_minute, login_per_hour, login_lock_after;
    int64_t access_ttl_s, refresh_grace_s, refresh_ttl_days, refresh_idle_days;
    int64_t rate_limit_per_minute;
    int64_t max_connections, max_connections_per_address, max_body_bytes, max_header_bytes;
    int64_t head_timeout_s, body_timeout_s, idle_timeout_s, drain_s, drain_notice_s;
    char *run_as_user;
    int64_t log_level, log_format;

    /* Derived from the above. */
    struct str origins[CONFIG_LIST_MAX];
    size_t origin_count;
    struct config_range proxies[CONFIG_LIST_MAX];
    size_t proxy_count;
    struct str topics[CONFIG_LIST_MAX], selectors[CONFIG_LIST_MAX];
    size_t topic_count, selector_count;
    struct config_service_token service_tokens[CONFIG_LIST_MAX];
    size_t service_token_count;
    struct config *previous; /* what a reload superseded; readers may hold it still */
};

/* Outcome of config_load: *problems holds one line a reason. */
enum { CONFIG_INVALID = 1 };

struct config_source {
    const char *file;         /* --config; NULL: ".env" in development where there is one */
    char *const *environment; /* NULL-terminated KEY=VALUE, as environ */
    bool for_server;          /* check what only a server needs (secrets, production rules) */
    bool without_secrets;     /* for a command that needs none: development makes none either */
};

/*
 * Reads all options, makes missing secrets in development, checks everything and lists every
 * problem at once. The environment wins over the file. Returns 0, CONFIG_INVALID or a fault.
 */
int config_load(const struct config_source *source, struct buf *problems, struct config **ret);

/* Overwrites the secrets and frees. */
void config_free(struct config *c);

/* Makes c the process's configuration (taking ownership), and gives it. */
void config_publish(struct config *c);
const struct config *config_current(void);

/*
 * Loads anew and publishes the reloadable options of it; *ret_changed counts them. The names of
 * changed options that need a restart are added to *problems. Returns as config_load.
 */
int config_reload(const struct config_source *source, struct buf *problems, int *ret_changed);

/* Whether a peer is one of the trusted proxies. */
bool config_trusts(const struct config *c, const struct in6_addr *peer);

/* Reads "192.0.2.1", "10.0.0.0/8", "2001:db8::/32". Returns 0, or 1 where s is not a range. */
int config_parse_range(struct str s, struct config_range *ret);

/* Prints the table of options (name, default, help), for --help, docs and the sample file. */
int config_describe(struct buf *out);

#endif
