#include "base/encode.h"
#include "trail/verify.h"

static const char *const names[FINDING_KINDS] = {
    [FINDING_EDITED] = "edited",
    [FINDING_REMOVED] = "removed",
    [FINDING_INSERTED] = "inserted",
    [FINDING_UNLINKED] = "unlinked",
    [FINDING_UNKNOWN_KEY] = "unknown-key",
    [FINDING_TRUNCATED] = "truncated",
    [FINDING_HEAD] = "head",
    [FINDING_CHECKPOINT_FORGED] = "checkpoint-forged",
    [FINDING_CHECKPOINT_UNKNOWN_KEY] = "checkpoint-unknown-key",
    [FINDING_CHECKPOINT_UNREADABLE] = "checkpoint-unreadable",
    [FINDING_CHECKPOINT_DIFFERS] = "checkpoint-differs",
};

static const char *const sentences[FINDING_KINDS] = {
    [FINDING_EDITED] = "was edited or forged",
    [FINDING_REMOVED] = "removed",
    [FINDING_INSERTED] = "was inserted: the number is taken or not one of the chain",
    [FINDING_UNLINKED] = "does not continue the record before it",
    [FINDING_UNKNOWN_KEY] = "is under an encryption key that is not configured",
    [FINDING_TRUNCATED] = "cut off the end",
    [FINDING_HEAD] = "the head row is missing, forged or does not match the last record, near",
    [FINDING_CHECKPOINT_FORGED] = "the signature is wrong",
    [FINDING_CHECKPOINT_UNKNOWN_KEY] = "signed by a key that is not ours",
    [FINDING_CHECKPOINT_UNREADABLE] = "not a checkpoint",
    [FINDING_CHECKPOINT_DIFFERS] = "another record stood there when this was signed: record",
};

const char *trail_finding_name(enum trail_finding_kind kind)
{
    return (unsigned)kind < FINDING_KINDS ? names[kind] : NULL;
}

static int format_range(const struct trail_finding *f, struct buf *out)
{
    if (f->seq == f->last)
        return buf_printf(out, "record %lld was %s", (long long)f->seq, sentences[f->kind]);
    return buf_printf(out, "records %lld to %lld were %s", (long long)f->seq, (long long)f->last,
                      sentences[f->kind]);
}

int trail_finding_format(const struct trail_finding *finding, struct buf *ret_text)
{
    const char *sentence = sentences[finding->kind];

    if (finding->line)
        buf_printf(ret_text, "checkpoint in line %lld: ", (long long)finding->line);
    switch (finding->kind) {
    case FINDING_REMOVED:
    case FINDING_TRUNCATED:
        return format_range(finding, ret_text);
    case FINDING_HEAD:
        return buf_printf(ret_text, "%s record %lld", sentence, (long long)finding->seq);
    case FINDING_CHECKPOINT_DIFFERS:
        return buf_printf(ret_text, "%s %lld", sentence, (long long)finding->seq);
    case FINDING_CHECKPOINT_FORGED:
    case FINDING_CHECKPOINT_UNKNOWN_KEY:
    case FINDING_CHECKPOINT_UNREADABLE:
        return buf_add_str(ret_text, str_of(sentence));
    case FINDING_EDITED:
    case FINDING_INSERTED:
    case FINDING_UNLINKED:
    case FINDING_UNKNOWN_KEY:
    case FINDING_KINDS:
    default:
        return buf_printf(ret_text, "record %lld %s", (long long)finding->seq, sentence);
    }
}

static void format_extent(const struct trail_report *r, struct buf *out)
{
    char mac[HEX_LENGTH(MAC_SIZE) + 1];

    hex_encode(r->head_mac, MAC_SIZE, mac);
    if (r->head == 0)
        buf_printf(out, "The trail is empty.\n");
    else
        buf_printf(out, "%lld records read, up to %lld, head %s.\n", (long long)r->records,
                   (long long)r->head, mac);
    if (r->last_checkpoint)
        buf_printf(out, "%lld checkpoint%s, the last of them with record %lld.\n",
                   (long long)r->checkpoints, r->checkpoints == 1 ? " agrees" : "s agree",
                   (long long)r->last_checkpoint);
    if (r->unfinished_line)
        buf_printf(out, "The checkpoints end in an unfinished line, which was left out.\n");
}

int trail_report_format(const struct trail_report *report, struct buf *ret_text)
{
    format_extent(report, ret_text);
    if (report->intact)
        return buf_printf(ret_text, "The trail is intact.\n");
    buf_printf(ret_text, "THE TRAIL WAS TAMPERED WITH.\n");
    for (int i = 0; i < FINDING_KINDS; i++)
        if (report->findings[i])
            buf_printf(ret_text, "%8lld %s\n", (long long)report->findings[i], names[i]);
    buf_printf(ret_text, "First: ");
    trail_finding_format(&report->first, ret_text);
    return buf_printf(ret_text, ".\n");
}
