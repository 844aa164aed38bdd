/*
 * A table of steps, done one after the other and undone in the reverse order, over a journal: what
 * kills the process between any two instructions, the next one finishes or undoes.
 *
 * Rooms: deploy, cli. Ownership: the caller's. Threads: one.
 *
 * What a step's functions promise in return:
 * - run and undo may be called again after a death anywhere inside them, also undo for a run that
 *   had only begun; so they look at what is there, and name what they make by the deployment's id.
 * - Before run makes something that undo cannot find by that name, it says so by step_note.
 * - Secrets never go into notes or texts.
 */
#ifndef HOLDFAST_DEPLOY_STEPS_H
#define HOLDFAST_DEPLOY_STEPS_H

#include "deploy/journal.h"

#include <stdatomic.h>

struct steps;

/* Outcomes of run and undo; fault_message() says why. A fault counts as a failure. */
enum step_outcome { STEP_FAILED = 1, STEP_UNREACHABLE, STEP_CANCELLED };

struct step {
    const char *name;    /* "backup" */
    const char *title;   /* "Back the database up" */
    const char *by_hand; /* what a person has to do where undo fails; NULL where undo is */
    bool (*wanted)(const void *context); /* NULL: always */
    int (*run)(struct steps *s, void *context);
    int (*undo)(struct steps *s, void *context); /* NULL: it changes nothing that stays */
    bool alone; /* undo concerns no other step's: it is tried also where one before it failed */
    bool proof; /* once it is done the deployment is finished, no longer undone */
};

/* What the caller hears, after it was journaled. text may be "". */
struct steps_event {
    const struct step *step;
    enum journal_phase phase;
    const char *text; /* why it failed */
    int64_t ms;       /* how long it took; 0 at its begin */
};

enum { CANCEL_NOT, CANCEL_ROLL_BACK, CANCEL_AT_ONCE };

struct steps {
    const struct step *table;
    size_t n;
    struct journal *journal;
    void *context;
    void (*hear)(void *context, const struct steps_event *event); /* NULL: nobody */
    /* CANCEL_ROLL_BACK: what is under way ends, and all is undone, which only CANCEL_AT_ONCE
     * interrupts. */
    const atomic_int *cancel;
    /* Asked before each run and undo: whether it may still be done, such as by a lock that may have
     * been lost. Returns as they do. NULL: always. */
    int (*guard)(void *context);
    const struct step *current; /* set by the functions below */
};

enum steps_result {
    STEPS_DONE = 0,
    STEPS_FAILED,      /* before anything was changed */
    STEPS_UNREACHABLE, /* likewise, because something could not be reached */
    STEPS_ROLLED_BACK, /* everything was undone */
    STEPS_INCOMPLETE   /* something could not be undone: what is left is in the journal */
};

/*
 * Does the steps from the first on; where one fails, undoes all that were begun. Returns a
 * steps_result, or a fault where the journal cannot be written: then nothing more was done.
 */
int steps_run(struct steps *s);

/*
 * Goes on with a journal that has not ended and whose process is dead: finishes behind a step that
 * is a proof, undoes otherwise. Same returns.
 */
int steps_resume(struct steps *s);

/* Undoes the steps of a journal that has ended well. Same returns, but STEPS_DONE. */
int steps_undo(struct steps *s);

/* For run and undo: journals what the current step is about to make. Takes data over. */
int step_note(struct steps *s, json_t *data);

/* All that was noted of a step, later members over earlier; NULL without memory. A new reference.
 */
json_t *step_data(const struct steps *s, const char *name);

/* A member of it that is a text, copied to ret; "" where there is none. Returns 0 or FAULT_LIMIT.
 */
int step_text(const struct steps *s, const char *name, const char *member, char *ret, size_t size);

/* Whether the step was done, and not undone since. */
bool step_is_done(const struct steps *s, const char *name);

#endif
