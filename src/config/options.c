#include "config/options.h"

#include "base/fault.h"

static const char *const environments[] = {"development", "staging", "production", NULL};
static const char *const algorithms[] = {"HS256", "EdDSA", "ES256", NULL};
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

const struct option *option_find(struct str key)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (str_eq(key, str_of(config_options[i].key)))
            return &config_options[i];
    return NULL;
}

static void *field(const struct option *o, struct config *c)
{
    return (char *)c + o->offset;
}

char **option_text(const struct option *o, struct config *c)
{
    return field(o, c);
}

int64_t *option_int(const struct option *o, struct config *c)
{
    return field(o, c);
}

bool *option_bool(const struct option *o, struct config *c)
{
    return field(o, c);
}

static int set_text(const struct option *o, struct config *c, struct str value,
                    struct buf *problems)
{
    char **text = option_text(o, c);

    if (memchr(value.p, '\0', value.n)) {
        buf_printf(problems, "%s: holds a NUL character\n", o->key);
        return 1;
    }
    char *copy = malloc(value.n + 1); /* a view is no string, as strndup takes */
    if (!copy)
        return fault_set(FAULT_MEMORY, "no memory for option %s", o->key);
    memcpy(copy, value.p, value.n);
    copy[value.n] = '\0';
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = copy;
    return 0;
}

static int set_number(const struct option *o, struct config *c, struct str value,
                      struct buf *problems)
{
    if (str_to_i64(value, o->min, o->max, option_int(o, c)) == 0)
        return 0;
    buf_printf(problems, "%s: \"%.*s\" is not a whole number from %lld to %lld\n", o->key,
               STR_ARG(value), (long long)o->min, (long long)o->max);
    return 1;
}

static int set_bool(const struct option *o, struct config *c, struct str value,
                    struct buf *problems)
{
    bool yes = str_eq_ci(value, STR("true")) || str_eq(value, STR("1"));

    if (!yes && !str_eq_ci(value, STR("false")) && !str_eq(value, STR("0"))) {
        buf_printf(problems, "%s: \"%.*s\" is neither true nor false\n", o->key, STR_ARG(value));
        return 1;
    }
    *option_bool(o, c) = yes;
    return 0;
}

static int set_choice(const struct option *o, struct config *c, struct str value,
                      struct buf *problems)
{
    for (int i = 0; o->choices[i]; i++) {
        if (str_eq(value, str_of(o->choices[i]))) {
            *option_int(o, c) = i;
            return 0;
        }
    }
    buf_printf(problems, "%s: \"%.*s\" is none of", o->key, STR_ARG(value));
    for (int i = 0; o->choices[i]; i++)
        buf_printf(problems, "%s %s", i ? "," : "", o->choices[i]);
    buf_add_char(problems, '\n');
    return 1;
}

int option_set(const struct option *o, struct config *c, struct str value, struct buf *problems)
{
    switch (o->type) {
    case OPTION_TEXT:
        return set_text(o, c, value, problems);
    case OPTION_INT:
        return set_number(o, c, value, problems);
    case OPTION_BOOL:
        return set_bool(o, c, value, problems);
    case OPTION_CHOICE:
        return set_choice(o, c, value, problems);
    }
    return fault_set(FAULT_INTERNAL, "option %s has no type", o->key);
}

int config_describe(struct buf *out)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *o = &config_options[i];
        buf_printf(out, "%s\n    %s\n", o->key, o->help);
        if (o->by_default && *o->by_default)
            buf_printf(out, "    Default: %s", o->by_default);
        if (o->production)
            buf_printf(out, "; in production: %s", o->production);
        if (o->type == OPTION_INT)
            buf_printf(out, "; %lld to %lld", (long long)o->min, (long long)o->max);
        for (int j = 0; o->type == OPTION_CHOICE && o->choices[j]; j++)
            buf_printf(out, "%s %s", j ? "," : "; one of", o->choices[j]);
        if ((o->by_default && *o->by_default) || o->type == OPTION_INT)
            buf_add_char(out, '\n');
        if (o->flags & OPTION_RELOAD)
            buf_printf(out, "    Taken over by SIGHUP.\n");
    }
    return buf_fault(out);
}
