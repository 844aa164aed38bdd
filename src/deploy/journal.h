/*
 * What a deployment has done, written before and after each step, so that whoever comes after its
 * death knows where it was.
 *
 * Rooms: deploy, api, cli. Ownership: a journal is its opener's until journal_close. Threads: one
 * at a time.
 *
 * A file journal.jsonl in a directory of the deployment's own: one JSON object a line, in the order
 * of seq. A record is on disk when journal_write returns. A last line that was not written to its
 * end is as if it had not been begun. The file is locked while a process writes it; the lock dies
 * with the process.
 */
#ifndef HOLDFAST_DEPLOY_JOURNAL_H
#define HOLDFAST_DEPLOY_JOURNAL_H

#include "base/str.h"

#include <jansson.h>

enum journal_phase {
    JOURNAL_BEGIN,
    JOURNAL_NOTE, /* what the step is about to make, so that it can be undone */
    JOURNAL_DONE,
    JOURNAL_SKIPPED,
    JOURNAL_FAILED,
    JOURNAL_UNDOING,
    JOURNAL_UNDONE,
    JOURNAL_UNDO_FAILED,
    JOURNAL_END /* of the deployment; nothing follows */
};

struct journal_record {
    int64_t seq, at; /* from 1; ms since 1970 by the writer's clock, which may jump */
    const char *step;
    enum journal_phase phase;
    json_t *data; /* an object; never NULL */
};

struct journal;

/* Outcomes. */
enum {
    JOURNAL_HELD = 1, /* another process writes it */
    JOURNAL_NONE,     /* the directory holds none */
    JOURNAL_DAMAGED,  /* a line before the last is no record; fault_message() names it */
    JOURNAL_EXISTS
};

enum { JOURNAL_LINE_MAX = 1 << 20, JOURNAL_RECORDS_MAX = 100000 };

/*
 * Makes the directory (0700; its parents must exist) and an empty journal in it, locked and on
 * disk. Returns 0, JOURNAL_EXISTS, FAULT_IO or FAULT_MEMORY.
 */
int journal_create(const char *directory, struct journal **ret);

/*
 * Opens what is there, locked, to go on with it. Returns 0, JOURNAL_HELD, JOURNAL_NONE,
 * JOURNAL_DAMAGED or a fault.
 */
int journal_open(const char *directory, struct journal **ret);

/* The same to look at: no lock is needed, and nothing can be written. Never JOURNAL_HELD. */
int journal_look(const char *directory, struct journal **ret);

/*
 * Whether a process, this one included, has it open to write. Locks it for an instant, which
 * journal_open waits out. Returns 0, JOURNAL_HELD, JOURNAL_NONE or FAULT_IO.
 */
int journal_is_held(const char *directory);

/* Unlocks and frees; NULL is allowed. */
void journal_close(struct journal *j);

/*
 * Adds a record and waits until it is on disk. Takes data over (also where it fails); NULL stands
 * for {}. Returns 0, FAULT_IO (after which nothing more can be written), FAULT_LIMIT, FAULT_MEMORY.
 */
int journal_write(struct journal *j, const char *step, enum journal_phase phase, json_t *data);

size_t journal_count(const struct journal *j);
const struct journal_record *journal_at(const struct journal *j, size_t i);

/* Whether the deployment has ended. */
bool journal_ended(const struct journal *j);

/* "begin", "note", ... */
const char *journal_phase_name(enum journal_phase phase);

#endif
