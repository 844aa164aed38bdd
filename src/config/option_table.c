#include "config/options.h"

static const char *const environments[] = {"development", "staging", "production", NULL};
static const char *const algorithms[] = {"HS256", "EdDSA", "ES256", NULL};
static const char *const transports[] = {"sandbox", "smtp", "ses", "none", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const formats[] = {"auto", "json", "human", NULL};

#define AT(field) offsetof(struct config, field)
#define TEXT(key, field, by_default, flags, help)                                                  \
    {                                                                                              \
        key, OPTION_TEXT, flags, AT(field), by_default, NULL, 0, 0, NULL, help                     \
    }
#define NUMBER(key, field, by_default, min, max, flags, help)                                      \
    {                                                                                              \
        key, OPTION_INT, flags, AT(field), by_default, NULL, min, max, NULL, help                  \
    }
#define SWITCH(key, field, by_default, production, flags, help)                                    \
    {                                                                                              \
        key, OPTION_BOOL, flags, AT(field), by_default, production, 0, 0, NULL, help               \
    }
#define CHOICE(key, field, by_default, choices, flags, help)                                       \
    {                                                                                              \
        key, OPTION_CHOICE, flags, AT(field), by_default, NULL, 0, 0, choices, help                \
    }

/* clang-format off */
const struct option config_options[] = {
    CHOICE("HOLDFAST_ENV", env, "development", environments, 0,
           "What this installation is. Production refuses to start insecurely."),
    TEXT("DATABASE_URL", database_url, "sqlite:data/holdfast.db", OPTION_SECRET,
         "sqlite:PATH or postgresql://…; in production with sslmode=verify-full or verify-ca."),
    TEXT("PRODUCT_DATABASE_URL", product_database_url, "", OPTION_SECRET,
         "The product's own database, which is migrated and backed up: postgresql://… or "
         "sqlite:PATH; empty: DATABASE_URL."),
    NUMBER("DEPLOYMENT_HEALTH_CHECK_TIMEOUT", deployment_health_check_timeout, "300", 1, 86400, 0,
           "Seconds that a deployment waits for its release to be well, where neither its option "
           "nor holdfast.yml says."),
    NUMBER("DEPLOYMENT_MAX_RETRIES", deployment_max_retries, "30", 1, 100000, 0,
           "Failed probes in a row that a deployment bears, likewise."),
    NUMBER("DATABASE_POOL_SIZE", database_pool_size, "16", 1, 512, 0,
           "Connections to the database at most."),
    TEXT("LISTEN_ADDRESS", listen_address, "", 0,
         "Address to listen on; empty for all, IPv4 and IPv6."),
    NUMBER("PORT", port, "3000", 0, 65535, 0, "TCP port; 0 takes any free one and logs it."),
    NUMBER("WORKER_THREADS", worker_threads, "64", 1, 512, 0,
           "Threads for requests that use the database."),
    NUMBER("PASSWORD_THREADS", password_threads, "0", 0, 256, 0,
           "Threads for password hashing; 0 takes two a core and two more."),
    NUMBER("PASSWORD_QUEUE", password_queue, "256", 1, 65536, 0,
           "Sign-ins that may wait for a hashing thread; past it the answer is 503."),
    TEXT("DATA_DIR", data_dir, "data", 0,
         "Directory of generated development secrets and the default database."),
    TEXT("LOGS_DIR", logs_dir, "logs", 0, "Directory of trail checkpoints and revocation reports."),

    TEXT("JWT_SECRET", jwt_secret, NULL, OPTION_SECRET,
         "128 hexadecimal digits: signs access tokens, derives refresh tokens."),
    TEXT("JWT_RETIRED_SECRETS", jwt_retired_secrets, "", OPTION_SECRET,
         "Comma-separated former JWT_SECRETs that still verify."),
    CHOICE("JWT_ALGORITHM", jwt_algorithm, "HS256", algorithms, 0,
           "Signature of access tokens; EdDSA and ES256 publish their keys as a JWK Set."),
    TEXT("JWT_ISSUER", jwt_issuer, "holdfast", 0, "The iss claim of access tokens."),
    TEXT("JWT_AUDIENCE", jwt_audience, "holdfast", 0, "The aud claim of access tokens."),
    TEXT("ENCRYPTION_KEY", encryption_key, NULL, OPTION_SECRET,
         "64 hexadecimal digits: seals secrets at rest, keys the audit trail."),
    TEXT("ENCRYPTION_RETIRED_KEYS", encryption_retired_keys, "", OPTION_SECRET,
         "Comma-separated former ENCRYPTION_KEYs that still open what they sealed."),
    TEXT("METRICS_TOKEN", metrics_token, "", OPTION_SECRET,
         "Bearer token for /metrics from elsewhere than loopback; empty: loopback only."),
    TEXT("OAUTH_CLIENT_ID", oauth_client_id, "", 0,
         "Client of /oauth/introspect and /oauth/revoke; empty: both are off."),
    TEXT("OAUTH_CLIENT_SECRET", oauth_client_secret, "", OPTION_SECRET,
         "Its secret, 32 characters or more."),

    TEXT("FRONTEND_URL", frontend_url, "", OPTION_RELOAD,
         "Comma-separated origins that browsers may call from; exact, never *."),
    TEXT("TRUSTED_PROXIES", trusted_proxies, "", OPTION_RELOAD,
         "Comma-separated addresses or ranges whose X-Forwarded-For and -Proto are believed."),
    TEXT("SECURITY_CONTACT", security_contact, "", OPTION_RELOAD,
         "Comma-separated mail addresses or https URLs for /.well-known/security.txt."),
    TEXT("MFA_ISSUER", mfa_issuer, "Holdfast", 0, "Name that authenticator apps show."),
    SWITCH("REGISTRATION_ENABLED", registration_enabled, "true", "false", OPTION_RELOAD,
           "Whether anyone may create a tenant by POST /auth/register."),
    SWITCH("ADMIN_ROLE_REQUIRED", admin_role_required, "true", NULL, 0,
           "false lets every user call administrative routes; development only."),
    SWITCH("ADMIN_MFA_REQUIRED", admin_mfa_required, "false", "true", OPTION_RELOAD,
           "Whether administrative routes demand a session begun with a second factor."),
    SWITCH("SESSION_REVOCATION_ENABLED", session_revocation_enabled, "true", NULL, OPTION_RELOAD,
           "false answers administrative revocation with 403."),

    {"EMAIL_TRANSPORT", OPTION_CHOICE, 0, AT(email_transport), "sandbox", "none", 0, 0, transports,
     "How mail goes out: sandbox (kept and shown, never delivered; the default but in "
     "production), smtp, ses; none (the default in production) sends nothing."},
    TEXT("EMAIL_FROM", email_from, "Holdfast <holdfast@localhost>", 0,
         "Who messages are from; with smtp and ses an address of a domain of yours."),
    NUMBER("EMAIL_SENDERS", email_senders, "16", 1, 64, 0,
           "Messages that are handed over at the same time, each over a connection of its own: no "
           "more than the mail server allows."),
    TEXT("EMAIL_SERVICE_TOKENS", email_service_tokens, "", OPTION_SECRET | OPTION_RELOAD,
         "Comma-separated TENANT_ID:TOKEN, each token 32 characters or more: a program that bears "
         "one sends mail for that tenant by /v1/emails."),
    TEXT("PUBLIC_URL", public_url, "", 0,
         "Where the outside reaches this server, such as https://holdfast.example.com: for links in "
         "messages and SNS's calls; empty: http://localhost:PORT."),
    TEXT("SMTP_URL", smtp_url, "", OPTION_SECRET,
         "smtp://user:password@host:587 (STARTTLS, required in production and where a "
         "password goes to another host) or smtps://…:465."),
    TEXT("SMTP_CA_FILE", smtp_ca_file, "", 0,
         "PEM file of the authorities to trust for SMTP_URL; empty: the system's."),
    TEXT("AWS_REGION", aws_region, "", 0, "Region of SES and SNS, such as eu-west-1."),
    TEXT("AWS_ACCESS_KEY_ID", aws_access_key_id, "", OPTION_SECRET,
         "Access key for SES; empty: the credentials of the container or the machine."),
    TEXT("AWS_SECRET_ACCESS_KEY", aws_secret_access_key, "", OPTION_SECRET, "Its secret."),
    TEXT("AWS_SESSION_TOKEN", aws_session_token, "", OPTION_SECRET,
         "The token of temporary credentials."),
    TEXT("AWS_ROLE_ARN", aws_role_arn, "", 0,
         "Role to take with the token of a web identity, as EKS sets it."),
    TEXT("AWS_WEB_IDENTITY_TOKEN_FILE", aws_identity_file, "", 0,
         "File of that token; EKS sets it."),
    TEXT("AWS_ROLE_SESSION_NAME", aws_role_session, "holdfast", 0,
         "What AWS's records call a session of that role."),
    TEXT("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", aws_container_relative, "", 0,
         "Path at which a container finds its role's credentials; ECS sets it."),
    TEXT("AWS_CONTAINER_CREDENTIALS_FULL_URI", aws_container_full, "", 0,
         "URL of the same; EKS sets it."),
    TEXT("AWS_CONTAINER_AUTHORIZATION_TOKEN", aws_container_token, "", OPTION_SECRET,
         "Token to show at that URL."),
    TEXT("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", aws_container_token_file, "", 0,
         "File of that token, read at each use; EKS sets it."),
    TEXT("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws_metadata, "http://169.254.169.254", 0,
         "Where a machine finds its role's credentials."),
    SWITCH("AWS_EC2_METADATA_DISABLED", aws_metadata_off, "false", NULL, 0,
           "true asks the machine for no credentials."),
    TEXT("AWS_ENDPOINT_URL", aws_endpoint_url, "", 0,
         "Another server that speaks AWS's API, for tests; not in production."),
    TEXT("SES_CONFIGURATION_SET", ses_configuration_set, "", 0,
         "Configuration set that messages are sent under; empty: the identity's."),
    SWITCH("EMAIL_MONITORING_ENABLED", email_monitoring, "true", NULL, 0,
           "false takes no events of mail, and checks no health by the hour."),
    TEXT("SES_WEBHOOK_SECRET", ses_webhook_secret, NULL, OPTION_SECRET,
         "32 characters or more: signs plain bodies of events; empty: none are taken. Development "
         "makes one."),
    TEXT("SES_WEBHOOK_RETIRED_SECRETS", ses_webhook_retired_secrets, "", OPTION_SECRET,
         "Comma-separated former SES_WEBHOOK_SECRETs that still verify."),
    TEXT("SNS_TOPIC_ARNS", sns_topic_arns, "", 0,
         "Comma-separated topics of SNS whose messages are taken; empty: none."),
    NUMBER("EMAIL_WEBHOOK_REFUSALS_PER_MINUTE", webhook_refusals_per_minute, "60", 1, 1000000,
           OPTION_RELOAD, "Refused events of mail an address may send a minute; past it 429."),
    NUMBER("EMAIL_NOTICES_PER_MINUTE", notices_per_minute, "600", 0, 3000, OPTION_RELOAD,
           "Notices of users that are mailed a minute; as many of mass revocations besides; 0: "
           "none."),
    NUMBER("EMAIL_WAITING_LIMIT", email_waiting_limit, "100000", 0, 100000000, OPTION_RELOAD,
           "Messages of a tenant that may wait to be handed over, and as many of security; about "
           "there 429; 0: any number."),
    NUMBER("EMAIL_SUPPRESSION_LIMIT", suppression_limit, "1000000", 0, 1000000000, OPTION_RELOAD,
           "Suppressions of a tenant's own up to which some are added by hand or imported; 0: any "
           "number."),
    NUMBER("EMAIL_RETENTION_DAYS", email_retention_days, "90", 1, 3650, OPTION_RELOAD,
           "How long the log of messages and events is kept; the figures stay two years."),
    NUMBER("EMAIL_SOFT_BOUNCE_LIMIT", soft_bounce_limit, "3", 1, 1000, OPTION_RELOAD,
           "So many messages in a row that bounced softly suppress their address for a time."),
    NUMBER("EMAIL_SOFT_BOUNCE_DAYS", soft_bounce_days, "7", 1, 365, OPTION_RELOAD,
           "For so long."),
    TEXT("EMAIL_DKIM_SELECTORS", dkim_selectors, "", OPTION_RELOAD,
         "Comma-separated DKIM selectors of the domain of EMAIL_FROM, for its check in the DNS."),
    TEXT("DNS_SERVER", dns_server, "", OPTION_RELOAD,
         "Address and port of the DNS server to ask; empty: the system's."),
    TEXT("SANDBOX_ADDRESS", sandbox_address, "", 0,
         "Address on which the sandbox listens, such as 0.0.0.0 in a container; empty: loopback. "
         "Whoever reaches it reads every message."),
    NUMBER("SANDBOX_SMTP_PORT", sandbox_smtp_port, "1025", -1, 65535, 0,
           "Port of the sandbox's SMTP; 0 takes any free one and logs it, -1 none."),
    NUMBER("SANDBOX_HTTP_PORT", sandbox_http_port, "8025", -1, 65535, 0,
           "Port of the sandbox's page and MailHog API; 0 takes any free one, -1 none."),
    NUMBER("SANDBOX_KEEP", sandbox_keep, "500", 1, 100000, OPTION_RELOAD,
           "Messages that the sandbox keeps, the newest."),

    NUMBER("LOGIN_ATTEMPTS_PER_MINUTE", login_per_minute, "5", 1, 1000000, OPTION_RELOAD,
           "Sign-in attempts per account and per address in any minute."),
    NUMBER("LOGIN_ATTEMPTS_PER_HOUR", login_per_hour, "30", 1, 1000000, OPTION_RELOAD,
           "Sign-in attempts per account in any hour."),
    NUMBER("LOGIN_LOCK_AFTER", login_lock_after, "100", 0, 1000000, OPTION_RELOAD,
           "Consecutive failures that lock an account for 15 minutes; 0 never locks."),
    NUMBER("ACCESS_TOKEN_TTL_SECONDS", access_ttl_s, "900", 5, 86400, OPTION_RELOAD,
           "Life of an access token."),
    NUMBER("REFRESH_GRACE_SECONDS", refresh_grace_s, "10", 0, 300, OPTION_RELOAD,
           "How long after a rotation its predecessor gets the same successor again."),
    NUMBER("REFRESH_TTL_DAYS", refresh_ttl_days, "90", 1, 3650, OPTION_RELOAD,
           "Life of a session, however often it is used."),
    NUMBER("REFRESH_IDLE_DAYS", refresh_idle_days, "14", 1, 3650, OPTION_RELOAD,
           "Life of a session that is not used."),
    {"RATE_LIMIT_PER_MINUTE", OPTION_INT, OPTION_RELOAD, AT(rate_limit_per_minute), "0", "6000", 0,
     10000000, NULL, "Requests a minute per address over all routes; 0: no limit."},
    NUMBER("MAX_CONNECTIONS", max_connections, "50000", 1, 10000000, 0, "Open connections."),
    NUMBER("MAX_CONNECTIONS_PER_ADDRESS", max_connections_per_address, "512", 1, 10000000, 0,
           "Open connections of one address (IPv6: of one /64); trusted proxies are exempt."),
    NUMBER("MAX_BODY_BYTES", max_body_bytes, "1048576", 1024, 1073741824, 0,
           "Longest request body; a longer one is answered 413."),
    NUMBER("MAX_HEADER_BYTES", max_header_bytes, "16384", 1024, 1048576, 0,
           "Longest request head; a longer one is answered 431."),
    NUMBER("HEAD_TIMEOUT_SECONDS", head_timeout_s, "10", 1, 3600, 0,
           "Time for a whole request head; past it 408."),
    NUMBER("BODY_TIMEOUT_SECONDS", body_timeout_s, "30", 1, 3600, 0,
           "Time for a whole request body; past it 408."),
    NUMBER("IDLE_TIMEOUT_SECONDS", idle_timeout_s, "75", 1, 86400, 0,
           "Time a connection may be idle between requests."),
    NUMBER("DRAIN_SECONDS", drain_s, "25", 0, 3600, 0,
           "Time for requests in flight to finish after SIGTERM."),
    {"DRAIN_NOTICE_SECONDS", OPTION_INT, 0, AT(drain_notice_s), "0", "5", 0, 3600, NULL,
     "Time that /ready answers 503 after SIGTERM before the server stops accepting."},
    TEXT("RUN_AS_USER", run_as_user, "", 0,
         "User to become when started as root, before anything is opened."),
    CHOICE("LOG_LEVEL", log_level, "info", levels, OPTION_RELOAD, "Least level that is logged."),
    CHOICE("LOG_FORMAT", log_format, "auto", formats, OPTION_RELOAD,
           "Lines for people or JSON; auto: by whether standard error is a terminal."),
};
/* clang-format on */

const size_t config_option_count = sizeof config_options / sizeof *config_options;
