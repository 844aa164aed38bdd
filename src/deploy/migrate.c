#include "deploy/migrate.h"

#include "base/fault.h"
#include "deploy/migrate_session.h"

#include <stdlib.h>

enum { LOCK_MS = 5000, TURN_MS = 10000, RETRIES = 5, BACKOFF_MS = 1000, CLERK_MS = 5000 };

static const struct {
    int outcome;
    const char *code;
} codes[] = {
    {MIGRATE_LOCKED, "P1002"},       {MIGRATE_NOT_EMPTY, "P3005"}, {MIGRATE_ALREADY, "P3008"},
    {MIGRATE_BROKEN, "P3009"},       {MIGRATE_NEVER, "P3011"},     {MIGRATE_NOT_FAILED, "P3012"},
    {MIGRATE_NO_FILE, "P3017"},      {MIGRATE_FAILED, "P3018"},    {MIGRATIONS_PROVIDER, "P3019"},
    {MIGRATIONS_NO_SCRIPT, "P3015"},
};

const char *migrate_code(int outcome)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].outcome == outcome)
            return codes[i].code;
    return NULL;
}

static void set_defaults(struct migrate_options *o)
{
    o->schema = o->schema ? o->schema : "public";
    o->name = o->name ? o->name : "holdfast migrate";
    o->lock_ms = o->lock_ms ? o->lock_ms : LOCK_MS;
    o->turn_ms = o->turn_ms ? o->turn_ms : TURN_MS;
    o->retries = o->retries ? o->retries : RETRIES;
    o->backoff_ms = o->backoff_ms ? o->backoff_ms : BACKOFF_MS;
}

/* What a session needs, however a migration has left it. */
static const char *settings_of(struct migrate *m)
{
    const char *check =
        pg_server_version(m->pg) >= 140000 ? "SET client_connection_check_interval = 1000; " : "";

    return arena_printf(m->a,
                        "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; %s"
                        "SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; "
                        "SET idle_in_transaction_session_timeout = 0; SET search_path = %s; "
                        "SET statement_timeout = %lld; SET lock_timeout = %lld%s",
                        check, pg_identifier(m->a, m->schema), (long long)m->options.statement_ms,
                        (long long)m->options.lock_ms,
                        m->options.through_fence ? "; SET default_transaction_read_only = off"
                                                 : "");
}

static int connect_session(struct migrate *m)
{
    struct pg_options o = {.url = m->options.url,
                           .database = m->options.database,
                           .name = m->options.name,
                           .through_fence = m->options.through_fence,
                           .cancel = m->options.cancel,
                           .wait = migrate_watch,
                           .wait_context = m};
    int result = pg_open(&o, &m->pg);

    if (result)
        return result;
    m->backend = pg_backend(m->pg);
    m->settings = settings_of(m);
    return m->settings ? pg_run(m->pg, m->settings) : FAULT_MEMORY;
}

int migrate_open(struct arena *a, const struct migrate_options *options, struct migrate **ret)
{
    struct migrate *m = calloc(1, sizeof *m);
    int result;

    if (!m)
        return fault_set(FAULT_MEMORY, "no memory for a session");
    m->options = *options;
    set_defaults(&m->options);
    m->a = a;
    m->schema = m->options.schema;
    const char *schema = pg_identifier(a, m->schema);
    m->table = schema ? arena_printf(a, "%s.\"_prisma_migrations\"", schema) : NULL;
    result = m->table ? connect_session(m) : FAULT_MEMORY;
    if (result) {
        migrate_close(m);
        return result;
    }
    *ret = m;
    return 0;
}

void migrate_close(struct migrate *m)
{
    if (!m)
        return;
    pg_close(m->pg);
    pg_close(m->clerk);
    free(m);
}

void migrate_cleanup(struct migrate **m)
{
    migrate_close(*m);
}

int migrate_clerk(struct migrate *m, struct pg **ret)
{
    struct pg_options o = {.url = m->options.url,
                           .database = m->options.database,
                           .name = "holdfast migrate clerk",
                           .through_fence = m->options.through_fence,
                           .statement_ms = CLERK_MS};

    if (m->clerk && pg_run(m->clerk, "SELECT 1") == PG_UNREACHABLE) {
        pg_close(m->clerk);
        m->clerk = NULL;
    }
    int result = m->clerk ? 0 : pg_open(&o, &m->clerk);
    if (result)
        return result;
    *ret = m->clerk;
    return 0;
}

int migrate_lock(struct migrate *m)
{
    char sql[200], holder[MIGRATE_TEXT_MAX];

    migrate_forget(m);
    snprintf(sql, sizeof sql, "SET statement_timeout = 0; SET lock_timeout = %lld",
             (long long)m->options.turn_ms);
    int result = pg_run(m->pg, sql);
    if (result == 0)
        result = pg_run(m->pg, "SELECT pg_advisory_lock(72707369)");
    if (result == PG_REFUSED && strcmp(pg_error(m->pg).sqlstate, "55P03") == 0) {
        migrate_holder(m, holder);
        fault_keep("another migration of this database runs, and %lld s passed: %.300s",
                   (long long)(m->options.turn_ms / 1000), *holder ? holder : m->blockers);
        return MIGRATE_LOCKED;
    }
    return result ? result : pg_run(m->pg, m->settings);
}
