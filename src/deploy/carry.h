/*
 * The carry-over: what Holdfast ended, forbade or recorded since a backup is in the restored
 * database before it serves.
 * Rooms: deploy, cli. Ownership: a struct carry is the caller's plain memory. Threads: one that may
 * wait.
 *
 * Where Holdfast's own tables are in the product's database, a restore would put them back too:
 * who was signed out would be signed in again. So everything that only makes things safer is taken
 * over from the live database, by the rules of deploy/carry_rules.h: sessions that were ended,
 * accounts that were disabled, addresses that are not written to, the trail. What makes nothing
 * safer stays as the backup has it: the restored database is not the live one.
 *
 * Which schemas are Holdfast's is seen by their tables, whatever the settings say. All is done in
 * one transaction of the restored database, in statements over sets of rows; what passes through
 * this process is streamed. Doing it again changes nothing more: it is done once while the live
 * database still serves, so that what takes long, or cannot be, does not hold up the product, and
 * once behind the fence for what came meanwhile.
 */
#ifndef HOLDFAST_DEPLOY_CARRY_H
#define HOLDFAST_DEPLOY_CARRY_H

#include "base/json.h"
#include "deploy/backup.h"
#include "deploy/carry_rules.h"
#include "deploy/pg.h"

enum { CARRY_SINCE_SIZE = 128 };

/* How the restored trail stood to the live one. */
enum carry_trail {
    CARRY_TRAIL_NONE,     /* neither has records */
    CARRY_TRAIL_SAME,     /* both end with the same record */
    CARRY_TRAIL_EXTENDED, /* it was the beginning of the live one, which it is now */
    CARRY_TRAIL_SHORT,    /* the live one is the beginning of it: records were cut off there */
    CARRY_TRAIL_PARTED,   /* neither is the beginning of the other */
    CARRY_TRAIL_UNKNOWN   /* the live one could not be read */
};

struct carry_report {
    int64_t installations;         /* Holdfast's schemas in the restored database */
    int64_t alone;                 /* those that are in the live database only */
    int64_t rows[CARRY_RULES_MAX]; /* by rule: changed, or counted */
    enum carry_trail trail;        /* of the last installation */
    int64_t trail_from, trail_to;  /* the numbers of the last records, before and after */
    int64_t trail_breaks; /* of what was appended: records that do not follow the one before */
    bool from_export;     /* the live tables were gone: from an export of the trail */
    int64_t accounts_restricted; /* by what the export tells */
    int64_t ms;
};

/* The hook's context. What comes first is set by the caller, the rest to zeros; a call before the
 * fence begins anew. */
struct carry {
    const struct backup_manifest *manifest; /* of the backup that is restored */
    /* Where the live trail is not the continuation of the restored one: carries the rest all the
     * same, and leaves the restored trail as it is. */
    bool accept_trail_break;
    /* An export of the trail (JSON Lines) for where the live database has none of Holdfast's
     * tables any more; NULL: that is refused. */
    const char *trail_export;

    struct carry_report report;
    char
        since[CARRY_SINCE_SIZE]; /* a condition of rows that the call before the fence has not seen;
                                    "" where there was none */
};

/*
 * For restore.carry_over (deploy/restore.h); the context is a struct carry, whose report sums up
 * the calls that ended well, but for ms, which is the last one's. Returns 0, also where the
 * restored database has none of Holdfast's tables; BACKUP_FAILED where not all can be carried over
 * (fault_message() says what: tables that are missing, trails that parted, a schema that is too
 * old); BACKUP_UNREACHABLE; a fault. Unless it is 0 the restored database is unchanged.
 */
int carry_over(void *context, struct pg *live, struct pg *restored, bool fenced);

/* The same of two SQLite files that nobody else has open. */
int carry_over_sqlite(void *context, const char *live, const char *restored);

/* Lines for people; none where nothing of Holdfast's was there. */
void carry_print(const struct carry_report *report, struct buf *out);

/* The value of a member: an object, null where nothing of Holdfast's was there. */
void carry_json(const struct carry_report *report, struct json_writer *w);

#endif
