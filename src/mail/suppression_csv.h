/*
 * The list of suppressions as CSV, a line for each reason of an address: address, reason,
 * expires_at, note, which an import takes again, and for people scope, source, created_at,
 * created_by.
 *
 * An import is read whole before anything is written, in pieces as they come; one mistake, and
 * nothing is.
 *
 * Rooms: mail and below. Ownership: an import owns what it has read, for suppression_import_free.
 * Threads: one at a time; suppression_import_apply inside a job.
 */
#ifndef HOLDFAST_MAIL_SUPPRESSION_CSV_H
#define HOLDFAST_MAIL_SUPPRESSION_CSV_H

#include "base/buf.h"
#include "mail/suppression.h"

enum {
    SUPPRESSION_IMPORT_MAX = 100000, /* entries of one import */
    SUPPRESSION_MISTAKES_MAX = 20,   /* that are told; the rest are counted */
    SUPPRESSION_NOTE_MAX = 500       /* bytes of a note */
};

struct suppression_import;

/* Returns 0 or FAULT_MEMORY. */
int suppression_import_new(struct suppression_import **ret_import);
void suppression_import_free(struct suppression_import *import);

/*
 * Takes the next piece. The first line may name the columns (any order, unknown ones are passed
 * over); else they are address, reason, expires_at, note. Only the address is needed: reason is
 * "manual", expires_at (RFC 3339) never. Returns 0 or FAULT_MEMORY.
 */
int suppression_import_feed(struct suppression_import *import, struct str piece);

/* After the last piece. Returns 0 or FAULT_MEMORY. */
int suppression_import_finish(struct suppression_import *import);

struct suppression_mistake {
    int64_t line;     /* from 1, where its record begins */
    const char *text; /* static: "not an address", ... */
};

/* The first mistakes; *ret_total is how many there are. */
const struct suppression_mistake *suppression_import_mistakes(const struct suppression_import *i,
                                                              size_t *ret_n, int64_t *ret_total);

struct suppression_import_result {
    int64_t lines;      /* records read */
    int64_t added;      /* new, or in place of one that expires earlier */
    int64_t existing;   /* suppressed at least as long already */
    int64_t duplicates; /* an address and reason named again; what lasts longest counts */
};

/* Whose list it becomes. */
struct suppression_importer {
    struct uuid tenant_id; /* nil: the whole installation's */
    int64_t limit;         /* entries that the tenant may then have of its own; 0: any number */
    struct str created_by;
    int64_t now;
};

/*
 * Writes all of it, in a constant number of statements. Returns 0; SUPPRESSION_FULL, upon which the
 * job must return; FAULT_INTERNAL where there were mistakes; or another fault.
 */
int suppression_import_apply(struct store_txn *t, const struct suppression_import *import,
                             const struct suppression_importer *by,
                             struct suppression_import_result *ret_result);

/* The line of names, and one entry as a line; both end with CR LF. Failure is the buffer's. */
void suppression_csv_head(struct buf *out);
void suppression_csv_line(const struct suppression *s, struct buf *out);

#endif
