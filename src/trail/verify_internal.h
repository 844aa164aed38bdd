/*
 * The second half of a verification: the file of checkpoints against the chain.
 * Rooms: trail only. Threads: the verifying one.
 */
#ifndef HOLDFAST_TRAIL_VERIFY_INTERNAL_H
#define HOLDFAST_TRAIL_VERIFY_INTERNAL_H

#include "trail/verify.h"

struct verify_file;

/* Opens the file as far as it goes now. Returns 0, FAULT_IO or FAULT_MEMORY. */
int verify_file_open(const char *path, struct verify_file **ret_file);
void verify_file_close(struct verify_file *file);

/*
 * Reads the checkpoints and compares them with the records; chain is nil where it is not known.
 * Must follow the reading of the chain. Returns 0 or a fault.
 */
int verify_checkpoints(const struct trail *trail, struct verify_file *file,
                       const struct trail_verify_options *options, const struct uuid *chain,
                       struct trail_report *report);

/* Counts the finding and passes it on. */
void verify_report(const struct trail_verify_options *options, struct trail_report *report,
                   const struct trail_finding *finding);

#endif
