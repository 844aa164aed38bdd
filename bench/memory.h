/*
 * The memory of a process and all its descendants.
 * Used by: the benchmark's programs. Threads: any.
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

struct memory {
    uint64_t rss; /* bytes; pages shared between processes count in each */
    uint64_t pss; /* bytes; they count once */
    unsigned processes;
};

/* Sums /proc/<pid>/smaps_rollup over the tree below root. Returns 0 or FAULT_IO. */
int memory_of(pid_t root, struct memory *ret);

#endif
