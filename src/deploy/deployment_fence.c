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

/* Sets or resets it for all who connect from now on, and has them connect anew. */
static int change(struct deployment *d, const char *how)
{
    struct pg *pg _cleanup_pg_ = NULL;
    struct backup_place place;
    const char *name;
    int result = deployment_place(d, &place);

    if (result)
        return result;
    struct pg_options options = {
        .url = place.url, .name = "holdfast deploy", .through_fence = true};
    result = pg_open(&options, &pg);
    if (result == 0)
        result = pg_database_name(d->a, place.url, &name);
    if (result == 0) {
        const char *identifier = pg_identifier(d->a, name);
        const char *sql =
            identifier ? arena_printf(d->a, "ALTER DATABASE %s %s", identifier, how) : NULL;
        result = sql ? pg_run(pg, sql) : FAULT_MEMORY;
    }
    if (result == 0)
        result = pg_run(pg, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                            " datname = current_database() AND pid <> pg_backend_pid()"
                            " AND backend_type = 'client backend'");
    return deployment_migrate_outcome(result);
}

int step_fence(struct steps *s, void *context)
{
    return change(context, "SET default_transaction_read_only = on");
}

int step_unfence(struct steps *s, void *context)
{
    return change(context, "RESET default_transaction_read_only");
}
