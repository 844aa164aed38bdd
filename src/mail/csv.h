/*
 * Comma-separated values (RFC 4180): read as they come, in pieces, and written for spreadsheets.
 *
 * Rooms: mail and below. Ownership: a reader owns the record it gathers; cells are valid during the
 * callback. Threads: one at a time.
 *
 * Written cells are always quoted; one that begins with = + - @ TAB or CR gets an apostrophe in
 * front, which keeps spreadsheets from taking it for a formula. Reading takes it away again.
 */
#ifndef HOLDFAST_MAIL_CSV_H
#define HOLDFAST_MAIL_CSV_H

#include "base/buf.h"

enum {
    CSV_CELLS_MAX = 16,
    CSV_RECORD_MAX = 4096 /* bytes of a record's cells */
};

enum csv_error {
    CSV_QUOTE = 1, /* a quote where none may be, or one that does not end */
    CSV_TOO_LONG,  /* more than CSV_RECORD_MAX bytes or CSV_CELLS_MAX cells */
    CSV_NOT_TEXT   /* a NUL, or no UTF-8 */
};

/*
 * Takes a record, which began on this line (from 1), or an error in it; a record of one empty cell
 * is not given. Returns 0 to go on; anything else ends the reading and is forwarded.
 */
typedef int csv_each(int64_t line, enum csv_error error, const struct str *cells, size_t n,
                     void *arg);

struct csv_reader {
    csv_each *each;
    void *arg;
    struct buf text; /* the cells so far, each with a NUL behind */
    size_t ends[CSV_CELLS_MAX], n;
    int64_t line, begun; /* where we are, and where the record began */
    enum csv_error error;
    enum { CSV_START, CSV_PLAIN, CSV_QUOTED, CSV_QUOTE_SEEN } at;
    bool cr; /* the last byte was a CR that ended a record */
};

struct csv_reader csv_reader_init(csv_each *each, void *arg);
void csv_reader_release(struct csv_reader *reader);

/* Returns 0, what each returned, or FAULT_MEMORY. */
int csv_reader_feed(struct csv_reader *reader, struct str piece);

/* The last record needs no end of line. Same returns. */
int csv_reader_finish(struct csv_reader *reader);

/* Appends a cell, with a comma in front unless it is a line's first, and the end of a line. */
void csv_add_cell(struct buf *out, struct str cell, bool first);
void csv_add_end(struct buf *out);

#endif
