/*
 * Deployments that were made on this machine, by their journals under LOGS_DIR/deployments, and on
 * others, by the store; and how they are printed. What is here needs no store.
 * Rooms: cli. Ownership: texts live in the source's arena. Threads: the main thread.
 */
#ifndef HOLDFAST_CLI_DEPLOYMENTS_H
#define HOLDFAST_CLI_DEPLOYMENTS_H

#include "cli/cli.h"
#include "deploy/record.h"

enum { DEPLOYMENTS_PATH = 4096, DEPLOYMENTS_MAX = 1000 /* that are listed */ };

struct deployments {
    struct arena arena;
    char root[DEPLOYMENTS_PATH]; /* LOGS_DIR/deployments */
    struct store *store;         /* NULL: it is not there, or out of reach, which was said */
    int64_t now;
};

struct deployments_item {
    struct record record;
    bool here;    /* its journal is on this machine */
    bool damaged; /* and cannot be read; nothing but the id is known */
};

/* Loads the configuration, and opens the store where there is one. Returns 0 or an exit code after
 * saying why. */
int deployments_open(struct cli *cli, struct deployments *ret);
void deployments_close(struct deployments *d);

/*
 * Those of the environment (empty: any), newest first, at most limit (1 to DEPLOYMENTS_MAX).
 * Returns 0 or a fault.
 */
int deployments_list(struct deployments *d, struct str environment, size_t limit,
                     struct deployments_item **ret, size_t *ret_n);

enum deployments_outcome {
    DEPLOYMENTS_UNKNOWN = 1,
    DEPLOYMENTS_AMBIGUOUS,
    DEPLOYMENTS_DAMAGED, /* fault_message() says how */
    DEPLOYMENTS_NO_ID    /* neither an id nor the beginning of one, of 4 characters at least */
};

/* The one whose id begins so. path gets its directory, "" where it is not here. Returns 0, an
 * outcome or a fault. */
int deployments_find(struct deployments *d, const char *beginning, struct report *ret,
                     char path[DEPLOYMENTS_PATH]);

/* For people; colour: with terminal's colours. Failure is the buffer's. */
void deployments_print_list(const struct deployments_item *items, size_t n, int64_t now,
                            bool colour, struct buf *out);
void deployments_print(const struct report *r, const char *path, bool colour, struct buf *out);

/* The same without the steps, for whoever has just seen them. */
void deployments_print_end(const struct report *r, const char *path, bool colour, struct buf *out);

#endif
