/*
 * What the commands on backups share: how a backup is told of, to people and as JSON.
 * Rooms: cli. Ownership: texts live in the arena that is given. Threads: the main thread.
 */
#ifndef HOLDFAST_CLI_BACKUP_PRINT_H
#define HOLDFAST_CLI_BACKUP_PRINT_H

#include "cli/product.h"

enum { BACKUP_TEXT_MAX = 1 << 20, BACKUP_LIST_MAX = 64 << 20 };
enum { BACKUP_TIME_SHOWN = 19 }; /* of a time's text: whole seconds */

/* To standard output. Returns 0 or an exit code after saying why. */
int backup_print(const struct buf *text);

/* Lines, indented. */
void backup_print_lines(FILE *to, struct str lines);

const char *backup_plural(int64_t n);

/* "12 tables, 3,456 rows" */
const char *backup_holds(struct arena *a, const struct backup_manifest *m);

/* Members of a JSON object; those of a backup are the same in each command. */
void backup_write(struct json_writer *w, const struct backup *b);
void backup_write_lines(struct json_writer *w, const char *key, struct str lines);
void backup_write_str(struct json_writer *w, const char *key, const char *value);
void backup_write_int(struct json_writer *w, const char *key, int64_t value);
void backup_write_bool(struct json_writer *w, const char *key, bool value);

/*
 * Sees to killed restores: their fence might keep us out. Where they cannot be looked for, such as
 * by a role that may not connect to the maintenance database, the command goes on.
 */
void backup_recover(struct product_command *c);

/* Opens the product for the command, and closes it. Returns the exit code. */
int backup_with_product(struct cli *cli, int (*run)(struct product_command *c));

#endif
