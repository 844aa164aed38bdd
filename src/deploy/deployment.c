#include "deploy/deployment.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/uuid.h"
#include "deploy/report.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int set_directory(struct deployment *d, const char *root)
{
    if ((size_t)snprintf(d->directory, sizeof d->directory, "%s/%s", root, d->id) <
        sizeof d->directory)
        return 0;
    return fault_set(FAULT_LIMIT, "the path of the deployment is too long");
}

/* The lock is lost with its connection. Where it cannot be had again somebody else may be at work.
 */
static int ask_lock(void *context)
{
    struct deployment *d = context;
    int outcome = d->lock ? deploy_lock_check(d->lock) : 0;

    return outcome == DEPLOY_LOCK_UNREACHABLE ? STEP_UNREACHABLE
           : outcome > 0                      ? STEP_FAILED
                                              : outcome;
}

static void set_steps(struct deployment *d, struct journal *j)
{
    d->target = target_kind(d->e);
    d->steps.table = deployment_steps;
    d->steps.n = deployment_steps_count;
    d->steps.journal = j;
    d->steps.context = d;
    d->steps.cancel = d->cancel;
    d->steps.guard = ask_lock;
}

/* What the deployment is to be, without secrets: the next run takes it up from this. */
static json_t *first_data(const struct deployment *d)
{
    const struct deployment_options *o = &d->options;
    const struct passwd *entry = getpwuid(getuid());
    char host[65] = "", who[160];

    gethostname(host, sizeof host - 1);
    snprintf(who, sizeof who, "%.64s@%s", entry ? entry->pw_name : "nobody", host);
    json_t *options =
        json_pack("{s:s, s:b, s:b, s:b, s:b, s:I, s:I}", "target",
                  target_id_name((enum target_id)d->e->target.kind), "skipMigrations",
                  o->skip_migrations, "acceptDataLoss", o->accept_data_loss, "destructive",
                  o->destructive, "fromUnhealthy", o->from_unhealthy, "healthTimeoutSeconds",
                  (json_int_t)(o->health_ms / CLOCK_SECOND), "maxRetries", (json_int_t)o->tries);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "environment", d->e->name, "release",
                     o->release, "who", who, "version", d->version, "steps",
                     report_table(deployment_steps, deployment_steps_count), "options", options);
}

int deployment_begin(struct deployment *d, const char *root)
{
    struct uuid id = uuid_new();
    struct journal *j;
    int result;

    uuid_format(&id, d->id);
    result = set_directory(d, root);
    if (result == 0)
        result = journal_create(d->directory, &j);
    if (result == JOURNAL_EXISTS)
        result = fault_set(FAULT_INTERNAL, "two deployments have one id");
    if (result)
        return result;
    set_steps(d, j);
    json_t *data = first_data(d);
    return data ? journal_write(j, "deployment", JOURNAL_BEGIN, data)
                : fault_set(FAULT_MEMORY, "no memory for the first record, or it is no UTF-8");
}

/* The first record's data, NULL where it is another one. */
static const json_t *first_of(const struct journal *j)
{
    const struct journal_record *r = journal_count(j) ? journal_at(j, 0) : NULL;

    return r && strcmp(r->step, "deployment") == 0 && r->phase == JOURNAL_BEGIN ? r->data : NULL;
}

static const char *text_of(const json_t *data, const char *key)
{
    const char *text = json_string_value(json_object_get(data, key));

    return text ? text : "";
}

/* Options of the dead run; what was accepted now counts too. */
static int take_options(struct deployment *d, const json_t *data)
{
    struct deployment_options *o = &d->options;
    struct str release = arena_str(d->a, str_of(text_of(data, "release")));
    const json_t *options = json_object_get(data, "options");

    if (!release.p)
        return FAULT_MEMORY;
    o->release = release.p;
    o->skip_migrations = json_is_true(json_object_get(options, "skipMigrations"));
    o->accept_data_loss =
        o->accept_data_loss || json_is_true(json_object_get(options, "acceptDataLoss"));
    o->destructive = json_is_true(json_object_get(options, "destructive"));
    o->from_unhealthy = json_is_true(json_object_get(options, "fromUnhealthy"));
    o->health_ms =
        json_integer_value(json_object_get(options, "healthTimeoutSeconds")) * CLOCK_SECOND;
    o->tries = json_integer_value(json_object_get(options, "maxRetries"));
    return 0;
}

int deployment_take_up(struct deployment *d, const char *root, const char *id)
{
    struct journal *j;
    int result;

    snprintf(d->id, sizeof d->id, "%s", id);
    result = set_directory(d, root);
    if (result == 0)
        result = journal_open(d->directory, &j);
    if (result)
        return result;
    set_steps(d, j);
    const json_t *first = first_of(j);
    if (!first) /* it died before its first record: nothing was begun */
        return journal_count(j) ? JOURNAL_DAMAGED : 0;
    return take_options(d, first);
}

void deployment_close(struct deployment *d)
{
    journal_close(d->steps.journal);
    d->steps.journal = NULL;
}

static int by_id_descending(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

static int is_id(const struct dirent *entry)
{
    struct uuid id;

    return uuid_parse(str_of(entry->d_name), &id) == 0;
}

/* Whether its last end says that it went well, and nobody went back since. */
static bool went_well(const struct journal *j)
{
    const struct journal_record *last = journal_at(j, journal_count(j) - 1);

    return journal_ended(j) && strcmp(text_of(last->data, "result"), "done") == 0;
}

/* Reads one. Returns 1 where it is of this environment, 0 where it is not, or a fault. */
static int read_entry(const char *root, const char *environment, struct deployment_entry *e)
{
    char path[DEPLOYMENT_PATH_SIZE];
    struct journal *j;
    int result;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", root, e->id) >= sizeof path)
        return fault_set(FAULT_LIMIT, "the path of the deployment is too long");
    result = journal_look(path, &j);
    if (result == JOURNAL_DAMAGED) {
        e->damaged = true;
        return 1;
    }
    if (result)
        return result == JOURNAL_NONE ? 0 : result;
    const json_t *first = first_of(j);
    bool ours = first && strcmp(text_of(first, "environment"), environment) == 0;
    if (ours) {
        snprintf(e->release, sizeof e->release, "%.255s", text_of(first, "release"));
        e->ended = journal_ended(j);
        e->done = went_well(j);
    }
    journal_close(j);
    return ours;
}

int deployment_scan(const char *root, struct dirent ***ret)
{
    int n = scandir(root, ret, is_id, by_id_descending);

    if (n >= 0)
        return n;
    *ret = NULL;
    return errno == ENOENT ? 0 : fault_errno(FAULT_IO, errno, "cannot read %s", root);
}

int deployment_list(const char *root, const char *environment, struct deployment_entry *ret,
                    size_t max, size_t *ret_n)
{
    struct dirent **entries;
    int n = deployment_scan(root, &entries), result = 0;

    *ret_n = 0;
    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        if (result >= 0 && *ret_n < max) {
            struct deployment_entry e = {.release = ""};
            snprintf(e.id, sizeof e.id, "%.36s", entries[i]->d_name);
            result = read_entry(root, environment, &e);
            if (result == 1)
                ret[(*ret_n)++] = e;
        }
        free(entries[i]);
    }
    free(entries);
    return result < 0 ? result : 0;
}
