/*
 * Records as text: JSON Lines, exact; or CSV (RFC 4180) for spreadsheets.
 * Rooms: api, cli. Threads: any worker thread.
 *
 * CSV cells are always quoted. A cell that begins with = + - @ TAB or CR gets an apostrophe in
 * front, because spreadsheets would run it as a formula; NL inside a cell stays. Where that matters
 * take JSON Lines.
 */
#ifndef HOLDFAST_TRAIL_EXPORT_H
#define HOLDFAST_TRAIL_EXPORT_H

#include "base/buf.h"
#include "base/json.h"
#include "trail/trail.h"

enum trail_format { TRAIL_JSONL, TRAIL_CSV };

/* Returns 0, or 1 where text is neither "jsonl" nor "csv". */
int trail_format_parse(struct str text, enum trail_format *ret_format);

/* Takes the next bytes of an export; returns 0 or a fault, which ends it. */
typedef int trail_sink(struct str bytes, void *arg);

/* A sink whose argument is a FILE *. */
int trail_sink_file(struct str bytes, void *arg);

/*
 * Writes what the filter selects, oldest first, in bounded memory; CSV begins with a line of names.
 * Records appended meanwhile may be included. *ret_count (may be NULL) gets the number of records.
 */
int trail_export(const struct trail *trail, enum trail_format format,
                 const struct trail_filter *filter, trail_sink *sink, void *arg,
                 int64_t *ret_count);

/*
 * One record as a JSON object, as exports and the audit log's route give it: seq, at, tenantId,
 * actorId, actor, action, subjectId, subject, ip, requestId, detail.
 */
void trail_record_json(struct json_writer *w, const struct trail_record *record);

/* One record as a line of CSV, and the line of names; both end with CR LF. */
int trail_record_csv(const struct trail_record *record, struct buf *out);
int trail_csv_head(struct buf *out);

#endif
