#include "base/fault.h"
#include "mail/outbox_content.h"
#include "mail/outbox_internal.h"

/* What a provider said goes into the store, which takes text alone. */
static void clean(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

/* A copy that was not even tried: nothing of it is on its way. */
static void report_fault(struct outbox_report *report, const char *code, const char *text)
{
    transport_fates_set(&report->fate, 1, TRANSPORT_TEMPORARY, str_of(code), str_of(text));
    report->fate.general = true;
}

static int hand_over(struct outbox *o, const struct outbox_task *task, struct str mime,
                     struct str message_id, struct outbox_report *report)
{
    struct str to = str_of(task->recipient);
    struct transport_message message = {.id = task->message_id,
                                        .tenant_id = task->tenant_id,
                                        .message_id = message_id,
                                        .template_name = str_of(task->template_name),
                                        .from = str_of(o->m->sender.address),
                                        .recipients = &to,
                                        .n = 1,
                                        .mime = mime};

    return o->transport->kind->send(o->transport, &message, report->provider_id, &report->fate);
}

/* Returns 0 with the report, or a fault: then nothing was handed over. */
static int send_copy(struct outbox *o, struct outbox_slot *slot, struct outbox_report *report)
{
    struct buf plain _cleanup_buf_ = buf_secret(OUTBOX_BODY_MAX);
    struct buf mime _cleanup_buf_ = buf_secret(MIME_MESSAGE_MAX);
    const struct outbox_task *task = &slot->task;
    char message_id[OUTBOX_MESSAGE_ID_SIZE];
    struct outbox_content content;
    struct mime_problem problem;
    int r =
        outbox_content_open(&o->m->seal, &task->message_id, buf_str(&slot->body), &plain, &content);

    if (r > 0) {
        transport_fates_set(&report->fate, 1, TRANSPORT_TEMPORARY, STR("sealed"),
                            STR("sealed under a key that is not among ENCRYPTION_RETIRED_KEYS"));
        return 0;
    }
    struct outbox_copy copy = {.tenant_id = task->tenant_id,
                               .log_id = task->log_id,
                               .to = str_of(task->recipient),
                               .accepted_at = task->accepted_at,
                               .content = &content};
    if (r == 0)
        r = outbox_content_write(o->m, &copy, &mime, message_id, &problem);
    if (r > 0) {
        transport_fates_set(&report->fate, 1, TRANSPORT_PERMANENT, STR("malformed"),
                            str_of(problem.field));
        return 0;
    }
    return r ? r : hand_over(o, task, buf_str(&mime), str_of(message_id), report);
}

static void count_fate(struct outbox *o, const struct transport_fate *fate)
{
    static const enum outbox_result results[] = {
        [TRANSPORT_ACCEPTED] = OUTBOX_ACCEPTED,
        [TRANSPORT_TEMPORARY] = OUTBOX_TEMPORARY,
        [TRANSPORT_PERMANENT] = OUTBOX_PERMANENT,
        [TRANSPORT_UNCERTAIN] = OUTBOX_UNCERTAIN,
    };

    metric_add(&o->handovers[results[fate->result]], 1);
}

static void work_on(struct outbox *o, struct outbox_slot *slot)
{
    struct outbox_report report = {{0}};

    if (slot->task.lost) {
        transport_fates_set(&report.fate, 1, TRANSPORT_UNCERTAIN, STR(OUTBOX_CODE_UNCERTAIN),
                            STR("the server ended in the middle of the handover"));
    } else {
        int r = send_copy(o, slot, &report);
        if (r)
            report_fault(&report, fault_name(r), fault_message());
    }
    clean(report.fate.code);
    clean(report.fate.text);
    clean(report.provider_id);
    report.at = clock_now();
    count_fate(o, &report.fate);
    slot->report = report;
}

void *outbox_send_main(void *arg)
{
    struct worker *s = arg;
    struct outbox *o = s->o;

    pthread_mutex_lock(&o->lock);
    for (;;) {
        while (s->state != OUTBOX_SLOT_WORKING && !o->over)
            pthread_cond_wait(&o->work, &o->lock);
        if (s->state != OUTBOX_SLOT_WORKING)
            break;
        pthread_mutex_unlock(&o->lock);
        work_on(o, &s->slot);
        pthread_mutex_lock(&o->lock);
        s->state = OUTBOX_SLOT_REPORTED;
        atomic_fetch_sub(&o->in_flight, 1);
        pthread_cond_signal(&o->news);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}
