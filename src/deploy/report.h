/*
 * What a deployment did, for people and programs: made of its journal, written as report.json and
 * report.html beside it, kept in the store, shown by commands and the API.
 *
 * Rooms: deploy, api, cli. Ownership: all texts of a report live in the arena that it was made in.
 * Threads: one at a time.
 *
 * What a journal says for a report, beside what deploy/steps.h writes:
 * - Its first record is of the step "deployment", phase begin. Members of its data: environment,
 *   release, who, version (texts), previousRelease (text or null), steps (report_table: titles and
 *   what is to be done by hand, so that a report of an older version's journal is whole). Any other
 *   member that is a text, number or flag, also within an object "options", is shown as an option.
 *   Without steps those that have begun are shown by their names.
 * - A note of any step may hold previousRelease, once it is known; verification (report_answers);
 *   and show, an object of texts, numbers and flags for people: {"show": {"Backup": "x.dump"}}.
 *   Nothing else of a note is shown.
 * What is too long is cut, and controls become spaces: a report is bounded, whatever was journaled.
 */
#ifndef HOLDFAST_DEPLOY_REPORT_H
#define HOLDFAST_DEPLOY_REPORT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/uuid.h"
#include "deploy/journal.h"
#include "deploy/steps.h"
#include "deploy/verify.h"

enum {
    REPORT_STEPS_MAX = 32,
    REPORT_FACTS_MAX = 128, /* of a whole report */
    REPORT_ANSWERS_MAX = 16,
    REPORT_NAME_MAX = 100,  /* bytes of a name, title or label */
    REPORT_LABEL_MAX = 255, /* of a release, an environment, a person */
    REPORT_TEXT_MAX = 400,  /* of any other text */
    REPORT_JSON_MAX = 512 * 1024,
    REPORT_HTML_MAX = 2 * 1024 * 1024,
    REPORT_ARENA = 64 << 20 /* an arena of this cap holds a report of any journal that is ours */
};

enum report_result {
    REPORT_RUNNING,
    REPORT_DIED, /* its process is gone in between; the next deployment takes it up */
    REPORT_DONE,
    REPORT_FAILED, /* before anything was changed */
    REPORT_ROLLED_BACK,
    REPORT_INCOMPLETE /* something could not be undone: a person is needed */
};
enum { REPORT_RESULTS = 6 };

enum report_state {
    REPORT_STEP_WAITING, /* of an undo: none was begun */
    REPORT_STEP_RUNNING,
    REPORT_STEP_DONE,
    REPORT_STEP_SKIPPED,
    REPORT_STEP_FAILED,
    REPORT_STEP_INTERRUPTED /* by the death of its process */
};
enum { REPORT_STATES = 6 };

/* The latest run of a step, or of its undo. */
struct report_run {
    enum report_state state;
    int64_t began_at, ms; /* ms since 1970, 0: it has not; how long it took, or has run so far */
    struct str why;       /* why it failed */
};

struct report_fact {
    struct str label, text;
};

struct report_step {
    struct str name, title, by_hand; /* by_hand empty: there is nothing to undo */
    struct report_run run, undo;
    struct report_fact *facts;
    size_t n_facts;
};

struct report_answer {
    struct str name, title, why;
    enum verify_verdict verdict;
};

/* What a person has to see to. */
struct report_left {
    struct str step, title; /* step empty: it is of the deployment as a whole */
    struct str why, by_hand;
};

struct report {
    struct uuid id;
    struct str environment, release, previous, who, version; /* previous, version: may be empty */
    enum report_result result;
    struct str why; /* what went wrong first; empty: nothing */
    int64_t began_at;
    int64_t ended_at; /* 0: running. Of one that died, or is incomplete: its last record */
    int64_t ms;       /* between the two, or until now */
    int64_t records;  /* of the journal so far: who has more knows more */
    struct report_fact *options;
    size_t n_options;
    struct report_step *steps;
    size_t n_steps;
    struct report_answer *answers;
    size_t n_answers;
    struct report_left *left; /* in the order in which it is to be done */
    size_t n_left;
};

/* For the first record's member steps, and for the note of the verification (the whole of its
 * data). NULL without memory. */
json_t *report_table(const struct step *table, size_t n);
json_t *report_answers(const struct verify_report *verified);

/* Outcomes. */
enum {
    REPORT_NONE = 1, /* the journal does not begin as above, or there is none */
    REPORT_DAMAGED,  /* the journal is; fault_message() says how */
    REPORT_INVALID   /* report_parse: not the JSON of a report */
};

/*
 * Makes one of a journal. alive: a process works on it, and what has not ended is running; who has
 * just got STEPS_INCOMPLETE says false. now: ms since 1970. Returns 0, REPORT_NONE or FAULT_MEMORY.
 */
int report_make(struct arena *a, const struct journal *j, const struct uuid *id, bool alive,
                int64_t now, struct report *ret);

/* The same of the journal in a directory that the id names. Also REPORT_DAMAGED, FAULT_IO. */
int report_read(struct arena *a, const char *directory, int64_t now, struct report *ret);

/* As JSON, which OPERATIONS documents, of at most REPORT_JSON_MAX bytes; and read from it. Times
 * are RFC 3339, what is empty is null. Return 0 or a fault; REPORT_INVALID. */
int report_write_json(const struct report *r, struct buf *out);
int report_parse(struct arena *a, struct str json, struct report *ret);

/* As one HTML file: no script, nothing from elsewhere, everything escaped. */
int report_write_html(const struct report *r, struct buf *out);

/* Writes report.json and report.html into the directory, each whole or not at all, and on disk when
 * this returns. Returns 0 or a fault. */
int report_keep(const struct report *r, const char *directory);

/* "rolled_back", for programs, and "rolled back"; "running", ... */
const char *report_result_name(enum report_result result);
const char *report_result_words(enum report_result result);
int report_result_parse(struct str name, enum report_result *ret); /* 0, or 1 for another name */
const char *report_state_name(enum report_state state);
const char *report_verdict_name(enum verify_verdict verdict);

/* "0.3 s", "12 s", "4 min 12 s", "1 h 02 min" */
enum { REPORT_DURATION_SIZE = 32 };
void report_duration(int64_t ms, char ret[REPORT_DURATION_SIZE]);

#endif
