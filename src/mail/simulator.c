#include "mail/simulator.h"

#include "base/encode.h"
#include "base/fault.h"
#include "base/json.h"
#include "crypto/sha256.h"

enum { FEEDBACK_DIGEST = 20, FEEDBACK_SIZE = HEX_LENGTH(FEEDBACK_DIGEST) + 1 };

enum event { EVENT_DELIVERY, EVENT_BOUNCE, EVENT_COMPLAINT };

struct fate {
    struct str local;
    size_t n;
    enum event events[SIMULATOR_EVENTS_MAX];
    const char *bounce_type, *bounce_subtype, *status, *diagnostic;
};

static const struct fate fates[] = {
    [SIMULATOR_NONE] = {.n = 0},
    [SIMULATOR_SUCCESS] = {.local = STR_INIT("success"), .n = 1, .events = {EVENT_DELIVERY}},
    [SIMULATOR_BOUNCE] = {.local = STR_INIT("bounce"),
                          .n = 1,
                          .events = {EVENT_BOUNCE},
                          .bounce_type = "Permanent",
                          .bounce_subtype = "General",
                          .status = "5.1.1",
                          .diagnostic = "smtp; 550 5.1.1 user unknown"},
    [SIMULATOR_COMPLAINT] = {.local = STR_INIT("complaint"),
                             .n = 2,
                             .events = {EVENT_DELIVERY, EVENT_COMPLAINT}},
    [SIMULATOR_OOTO] = {.local = STR_INIT("ooto"),
                        .n = 2,
                        .events = {EVENT_DELIVERY, EVENT_BOUNCE},
                        .bounce_type = "Transient",
                        .bounce_subtype = "General"},
    [SIMULATOR_SUPPRESSION] = {.local = STR_INIT("suppressionlist"),
                               .n = 1,
                               .events = {EVENT_BOUNCE},
                               .bounce_type = "Permanent",
                               .bounce_subtype = "Suppressed",
                               .status = "5.1.1",
                               .diagnostic = "Amazon SES has suppressed sending to this address"},
};

enum simulator_fate simulator_classify(struct str address)
{
    size_t at = str_find(address, '@');
    struct str local = {address.p, at};

    if (at == address.n ||
        !str_eq_ci((struct str){address.p + at, address.n - at}, STR("@simulator.amazonses.com")))
        return SIMULATOR_NONE;
    local.n = str_find(local, '+');
    for (size_t i = SIMULATOR_SUCCESS; i < sizeof fates / sizeof *fates; i++)
        if (str_eq_ci(fates[i].local, local))
            return (enum simulator_fate)i;
    return SIMULATOR_NONE;
}

size_t simulator_count(enum simulator_fate fate)
{
    return fates[fate].n;
}

static void field(struct json_writer *w, const char *key, struct str value)
{
    json_key(w, key);
    json_str(w, value);
}

static void field_time(struct json_writer *w, const char *key, int64_t ms)
{
    json_key(w, key);
    json_time(w, ms);
}

static void field_list(struct json_writer *w, const char *key, struct str value)
{
    json_key(w, key);
    json_array_begin(w);
    json_str(w, value);
    json_array_end(w);
}

static void header(struct json_writer *w, const char *name, struct str value)
{
    json_object_begin(w);
    field(w, "name", str_of(name));
    field(w, "value", value);
    json_object_end(w);
}

static void write_mail(struct json_writer *w, const struct simulator_mail *m)
{
    json_key(w, "mail");
    json_object_begin(w);
    field_time(w, "timestamp", m->sent_at);
    field(w, "messageId", m->provider_id);
    field(w, "source", m->from);
    field_list(w, "destination", m->to);
    json_key(w, "headersTruncated");
    json_bool(w, false);
    json_key(w, "headers");
    json_array_begin(w);
    header(w, "From", m->from);
    header(w, "To", m->to);
    header(w, "Subject", m->subject);
    json_array_end(w);
    json_key(w, "commonHeaders");
    json_object_begin(w);
    field_list(w, "from", m->from);
    field_list(w, "to", m->to);
    field(w, "messageId", m->provider_id);
    field(w, "subject", m->subject);
    json_object_end(w);
    json_object_end(w);
}

static void write_delivery(struct json_writer *w, const struct simulator_mail *m)
{
    int64_t took = m->now > m->sent_at ? m->now - m->sent_at : 0;

    json_key(w, "delivery");
    json_object_begin(w);
    field_time(w, "timestamp", m->now);
    json_key(w, "processingTimeMillis");
    json_int(w, took);
    field_list(w, "recipients", m->to);
    field(w, "smtpResponse", STR("250 2.6.0 Message received"));
    field(w, "reportingMTA", STR("sandbox.holdfast"));
    json_object_end(w);
}

static void write_bounced(struct json_writer *w, const struct fate *f,
                          const struct simulator_mail *m)
{
    json_key(w, "bouncedRecipients");
    json_array_begin(w);
    json_object_begin(w);
    field(w, "emailAddress", m->to);
    if (f->status) {
        field(w, "action", STR("failed"));
        field(w, "status", str_of(f->status));
        field(w, "diagnosticCode", str_of(f->diagnostic));
    }
    json_object_end(w);
    json_array_end(w);
}

static void write_bounce(struct json_writer *w, const struct fate *f,
                         const struct simulator_mail *m, struct str feedback_id)
{
    json_key(w, "bounce");
    json_object_begin(w);
    field(w, "bounceType", str_of(f->bounce_type));
    field(w, "bounceSubType", str_of(f->bounce_subtype));
    write_bounced(w, f, m);
    field_time(w, "timestamp", m->now);
    field(w, "feedbackId", feedback_id);
    if (f->status)
        field(w, "reportingMTA", STR("dsn; sandbox.holdfast"));
    json_object_end(w);
}

static void write_complaint(struct json_writer *w, const struct simulator_mail *m,
                            struct str feedback_id)
{
    json_key(w, "complaint");
    json_object_begin(w);
    json_key(w, "complainedRecipients");
    json_array_begin(w);
    json_object_begin(w);
    field(w, "emailAddress", m->to);
    json_object_end(w);
    json_array_end(w);
    field_time(w, "timestamp", m->now);
    field(w, "feedbackId", feedback_id);
    json_key(w, "complaintSubType");
    json_nil(w);
    field(w, "userAgent", STR("Holdfast sandbox"));
    field(w, "complaintFeedbackType", STR("abuse"));
    field_time(w, "arrivalDate", m->now);
    json_object_end(w);
}

/* SES's own is opaque; this one follows from the message, the recipient and the event. */
static int make_feedback_id(const struct simulator_mail *m, enum event event,
                            char ret_id[FEEDBACK_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    const char kind = (char)('0' + (int)event);
    const struct str parts[] = {{&kind, 1}, m->provider_id, STR_INIT("\0"), m->to};
    int r = sha256_parts(STR("sandbox feedback 1"), parts, 4, digest);

    if (r == 0)
        hex_encode(digest, FEEDBACK_DIGEST, ret_id);
    return r;
}

int simulator_write(enum simulator_fate fate, size_t i, const struct simulator_mail *mail,
                    struct buf *ret_json)
{
    static const char *const names[] = {"Delivery", "Bounce", "Complaint"};
    const struct fate *f = &fates[fate];
    char feedback_id[FEEDBACK_SIZE];

    if (i >= f->n)
        return fault_set(FAULT_INTERNAL, "fate %d has no event %zu", (int)fate, i);
    enum event event = f->events[i];
    int r = make_feedback_id(mail, event, feedback_id);
    if (r)
        return r;
    struct json_writer w = json_writer(ret_json);
    json_object_begin(&w);
    field(&w, "notificationType", str_of(names[event]));
    write_mail(&w, mail);
    if (event == EVENT_DELIVERY)
        write_delivery(&w, mail);
    else if (event == EVENT_BOUNCE)
        write_bounce(&w, f, mail, str_of(feedback_id));
    else
        write_complaint(&w, mail, str_of(feedback_id));
    json_object_end(&w);
    return buf_fault(ret_json);
}
