/*
 * Verification of the trail: reads the whole chain and names each record that is not as it was
 * written. Rooms: api, cli, deploy, checks. Threads: any worker thread; appends may go on
 * meanwhile.
 */
#ifndef HOLDFAST_TRAIL_VERIFY_H
#define HOLDFAST_TRAIL_VERIFY_H

#include "base/buf.h"
#include "trail/checkpoint.h"

enum trail_finding_kind {
    FINDING_EDITED,      /* the record's MAC is not that of its fields: edited or forged */
    FINDING_REMOVED,     /* records seq to last are missing */
    FINDING_INSERTED,    /* a row whose number is taken already or is no number of the chain */
    FINDING_UNLINKED,    /* authentic, but not written after the record that precedes it now */
    FINDING_UNKNOWN_KEY, /* under an encryption key that is not configured */
    FINDING_TRUNCATED,   /* records seq to last were cut off the end */
    FINDING_HEAD,        /* the head row is missing, forged or does not match the last record */
    FINDING_CHECKPOINT_FORGED,      /* the signature is wrong */
    FINDING_CHECKPOINT_UNKNOWN_KEY, /* signed by a key that is not ours */
    FINDING_CHECKPOINT_UNREADABLE,  /* a line that is no checkpoint */
    FINDING_CHECKPOINT_DIFFERS,     /* record seq was another one when this was signed */
    FINDING_KINDS
};

struct trail_finding {
    enum trail_finding_kind kind;
    int64_t seq, last; /* records concerned; last equals seq for one */
    int64_t line;      /* of the checkpoints' file, from 1; 0 for findings in the store */
};

/* Appends a sentence such as "record 17 was edited". */
int trail_finding_format(const struct trail_finding *finding, struct buf *ret_text);

/* The kind's name, such as "edited". */
const char *trail_finding_name(enum trail_finding_kind kind);

struct trail_verify_options {
    const char *against; /* a file of checkpoints; NULL: the chain alone */
    void (*found)(const struct trail_finding *finding, void *arg); /* may be NULL */
    void (*progress)(int64_t records, void *arg);                  /* may be NULL */
    void *arg;
};

struct trail_report {
    bool intact;     /* no findings */
    int64_t records; /* read */
    int64_t head;    /* number of the last record; 0: an empty trail */
    uint8_t head_mac[MAC_SIZE];
    int64_t checkpoints;     /* that agree with the chain */
    int64_t last_checkpoint; /* the highest number that one of them covers */
    bool unfinished_line;    /* the checkpoints end in a line that was not written to its end */
    int64_t findings[FINDING_KINDS];
    struct trail_finding first; /* the first finding; valid where !intact */
};

/*
 * Verifies in bounded memory. An edited record counts once, whatever follows it. Returns 0 with the
 * report, intact or not; or the fault that kept it from reading (FAULT_IO: the checkpoints' file).
 */
int trail_verify(const struct trail *trail, const struct trail_verify_options *options,
                 struct trail_report *ret_report);

/* Appends the report as lines for people. */
int trail_report_format(const struct trail_report *report, struct buf *ret_text);

#endif
