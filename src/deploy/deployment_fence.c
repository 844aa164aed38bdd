/*
 * Keeps writes out of the product's database, from before its backup until the new release has the
 * traffic: for whom a restore that loses nothing is worth a time in which the product only reads.
 *
 * New sessions of the database begin read-only, and those there are end. A session may lift that
 * for itself, which migrations do, and nobody does by mistake.
 */
#include "deploy/deployment_data.h"

#include "base/fault.h"
#include "deploy/deployment_steps.h"
#include "deploy/pg.h"

bool deployment_is_fenced(const void *context)
{
    const struct deployment *d = context;

    return d->e->database.fence && deploy_on_postgres(d->e) && deployment_migrates(context);
}

static int open_database(struct deployment *d, const char **ret_name, struct pg **ret)
{
    struct backup_place place;
    int result = deployment_place(d, &place);

    if (result)
        return result;
    struct pg_options options = {
        .url = place.url, .name = "holdfast deploy", .through_fence = true};
    result = pg_database_name(d->a, place.url, ret_name);
    return deployment_migrate_outcome(result ? result : pg_open(&options, ret));
}

/* A role's own setting goes before the database's: who has one would write all the same, and a
 * restore would lose what was written. */
static int look_for_exceptions(struct pg *pg)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int result = pg_query(pg,
                          "SELECT string_agg(DISTINCT setrole::regrole::text, ', ')"
                          " FROM pg_db_role_setting, unnest(setconfig) AS setting"
                          " WHERE setrole <> 0 AND setdatabase IN (0, (SELECT oid FROM pg_database"
                          " WHERE datname = current_database()))"
                          " AND setting LIKE 'default\\_transaction\\_read\\_only=%'"
                          " AND NOT split_part(setting, '=', 2)::bool",
                          NULL, 0, &rows);
    if (result || !*pg_text(rows, 0, 0))
        return deployment_migrate_outcome(result);
    fault_keep("writes cannot be kept out: ALTER ROLE ... SET default_transaction_read_only = off "
               "is in force for %.300s",
               pg_text(rows, 0, 0));
    return STEP_FAILED;
}

/* Whether the database has the setting that is the fence. */
static int look_for_fence(struct pg *pg, bool *ret)
{
    struct pg_rows *rows _cleanup_pg_rows_ = NULL;
    int result = pg_query(pg,
                          "SELECT FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase"
                          " WHERE setrole = 0 AND datname = current_database()"
                          " AND 'default_transaction_read_only=on' = ANY (setconfig)",
                          NULL, 0, &rows);

    if (result == 0)
        *ret = pg_rows_count(rows) > 0;
    return deployment_migrate_outcome(result);
}

int deployment_fence_stands(struct deployment *d, bool *ret)
{
    struct pg *pg _cleanup_pg_ = NULL;
    const char *name;

    *ret = false;
    if (!d->e->database.fence || !step_is_done(&d->steps, "fence"))
        return 0;
    int result = open_database(d, &name, &pg);
    return result ? result : look_for_fence(pg, ret);
}

/* Sets or resets it for all who connect from now on, and has them connect anew. */
static int change(struct deployment *d, struct pg *pg, const char *name, const char *how)
{
    const char *identifier = pg_identifier(d->a, name);
    const char *sql =
        identifier ? arena_printf(d->a, "ALTER DATABASE %s %s", identifier, how) : NULL;
    int result = sql ? pg_run(pg, sql) : FAULT_MEMORY;

    if (result == 0)
        result = pg_run(pg, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                            " datname = current_database() AND pid <> pg_backend_pid()"
                            " AND backend_type = 'client backend'");
    return deployment_migrate_outcome(result);
}

int step_fence(struct steps *s, void *context)
{
    struct pg *pg _cleanup_pg_ = NULL;
    struct deployment *d = context;
    const char *name;
    int result = open_database(d, &name, &pg);

    if (result == 0)
        result = look_for_exceptions(pg);
    return result ? result : change(d, pg, name, "SET default_transaction_read_only = on");
}

/* Where it does not stand nobody's session is ended, and no right is needed: it could not be set,
 * or was lifted before. */
int step_unfence(struct steps *s, void *context)
{
    struct pg *pg _cleanup_pg_ = NULL;
    struct deployment *d = context;
    const char *name;
    bool stands = false;
    int result = open_database(d, &name, &pg);

    if (result == 0)
        result = look_for_fence(pg, &stands);
    return result || !stands ? result : change(d, pg, name, "RESET default_transaction_read_only");
}
