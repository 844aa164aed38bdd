/*
 * Databases that stand beside the product's for a while: scratch copies, and what a restore fills.
 * Rooms: deploy. Ownership: a connection is the caller's. Threads: one that may wait.
 *
 * Each name ends in eight hexadecimal digits, and who makes one holds the advisory lock of that
 * number from before it is there until after it is gone, on a connection to the server. A killed
 * process loses its locks with its connection, on whatever machine it ran; so a database of such a
 * name without a holder is nobody's.
 */
#ifndef HOLDFAST_DEPLOY_TWIN_H
#define HOLDFAST_DEPLOY_TWIN_H

#include "deploy/backup_internal.h"

enum { TWIN_NAME_MAX = 63, TWIN_NAME_SIZE = TWIN_NAME_MAX + 1 };
#define TWIN_SCRATCH "holdfast_scratch_"
#define TWIN_RESTORE "holdfast_restore_"

/* All return 0, BACKUP_FAILED, BACKUP_UNREACHABLE, BACKUP_CANCELLED or a fault unless they say
 * otherwise. */

/* Connects to the server's maintenance database. Without cancel it is not cancelled. */
int twin_open_server(const struct backup_place *place, const char *name, const atomic_int *cancel,
                     struct pg **ret);

/* Connects to another database of that server. */
int twin_open(const struct backup_place *place, const char *database, const char *name,
              const atomic_int *cancel, struct pg **ret);

/* Takes the lock of the digits. Returns BACKUP_LOCKED where somebody holds it: fault_message()
 * names the connection. */
int twin_lock(struct pg *server, const char *id8);
int twin_unlock(struct pg *server, const char *id8);

/*
 * Makes an empty database like the live one: its owner, encoding, locale, tablespace; like the
 * manifest where there is no live one. Nobody but its owner may connect.
 */
int twin_create(struct pg *server, const char *live, const struct backup_manifest *m,
                const char *name);

/*
 * Gives it what else the live one has: owner, rights, settings of the database and of roles in it,
 * limit of connections. Again: the same.
 */
int twin_dress(struct pg *server, const char *live, const char *name);

/* Drops it, ending whoever is connected; nothing where there is none. */
int twin_drop(struct pg *server, const char *name);

/* Drops scratch databases whose makers are dead. *ret_n counts them. */
int twin_sweep(struct pg *server, size_t *ret_n);

/* Statements with names put in by PostgreSQL's format(): %1$I, %2$L. Several are one transaction.
 */
int twin_run(struct pg *server, const char *doing, const char *format, const char *const *names,
             int n);

/* NAME_failed_id8, the name cut so that it fits. */
void twin_failed_name(const char *database, const char *id8, char ret[TWIN_NAME_SIZE]);

#endif
