/* What was carried over, for people and as JSON. */
#include "deploy/carry.h"

#include "base/fault.h"

static const char *const trails[] = {"none", "same", "extended", "short", "parted", "unknown"};

static void print_trail(const struct carry_report *r, struct buf *out)
{
    long long from = (long long)r->trail_from, to = (long long)r->trail_to;

    if (r->trail == CARRY_TRAIL_EXTENDED)
        buf_printf(out, "the trail goes on: records %lld to %lld\n", from + 1, to);
    if (r->trail_breaks)
        buf_printf(out,
                   "records that do not follow the one before, as in the live database: %lld\n",
                   (long long)r->trail_breaks);
    if (r->trail == CARRY_TRAIL_SHORT)
        buf_printf(out,
                   "the live trail ended before the backup's, which ends at record %lld: records "
                   "were cut off there\n",
                   from);
    if (r->trail == CARRY_TRAIL_PARTED)
        buf_printf(out,
                   "the trail ends at record %lld, as in the backup: the live one is of another "
                   "history\n",
                   from);
    if (r->trail == CARRY_TRAIL_UNKNOWN)
        buf_printf(out,
                   "the trail ends at record %lld, as in the backup: an export holds no proof\n",
                   from);
}

void carry_print(const struct carry_report *report, struct buf *out)
{
    if (report->alone)
        buf_printf(out,
                   "Holdfast's tables are in the live database alone: nothing of them is here\n");
    if (report->installations == 0)
        return;
    if (report->from_export)
        buf_printf(out, "the live tables were gone: this is what an export of the trail tells\n");
    for (size_t i = 0; i < carry_rules_count; i++)
        if (carry_rules[i].name && report->rows[i])
            buf_printf(out, "%s: %lld\n", carry_rules[i].says, (long long)report->rows[i]);
    if (report->accounts_restricted)
        buf_printf(out, "accounts disabled or locked: %lld\n",
                   (long long)report->accounts_restricted);
    print_trail(report, out);
}

void carry_json(const struct carry_report *report, struct json_writer *w)
{
    if (report->installations == 0) {
        json_nil(w);
        return;
    }
    json_object_begin(w);
    json_key(w, "installations");
    json_int(w, report->installations);
    json_key(w, "fromExport");
    json_bool(w, report->from_export);
    json_key(w, "trail");
    json_str(w, str_of(trails[report->trail]));
    json_key(w, "trailFrom");
    json_int(w, report->trail_from);
    json_key(w, "trailTo");
    json_int(w, report->trail_to);
    json_key(w, "trailBreaks");
    json_int(w, report->trail_breaks);
    for (size_t i = 0; i < carry_rules_count; i++) {
        if (!carry_rules[i].name)
            continue;
        json_key(w, carry_rules[i].name);
        json_int(w, report->rows[i]);
    }
    json_key(w, "accountsRestricted");
    json_int(w, report->accounts_restricted);
    json_key(w, "ms");
    json_int(w, report->ms);
    json_object_end(w);
}
