#include "mail/webhook.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "config/config.h"
#include "crypto/init.h"
#include "mail/ses_intake.h"
#include "mail/sns_seen.h"
#include "mail/sns_trust.h"
#include "mail/webhook_signature.h"

/* Kinds of what is counted by address. */
enum { REFUSAL_KIND = 1, ERRAND_KIND };

enum { ADDRESSES_MAX = 100000, QUICK_BODY_MAX = 4096 };

struct webhook {
    struct store *store;
    struct trail *trail;
    struct intake *intake;
    struct mac_key keys[WEBHOOK_SECRETS_MAX];
    size_t n_keys;
    struct certificate_trust *own_trust; /* NULL where the options have one */
    struct sns_verifier *verifier;
    struct sns_caller caller;
    struct limiter *refusals; /* by address */
    struct metric_counter taken, refused[WEBHOOK_REFUSALS], unreadable;
};

const struct webhook_reason webhook_reasons[WEBHOOK_REFUSALS] = {
    [WEBHOOK_REFUSED_OFF] = {"off", WEBHOOK_CLASS_FORBIDDEN, false,
                             "EMAIL_MONITORING_ENABLED is false on this installation."},
    [WEBHOOK_REFUSED_LIMITED] = {"limited", WEBHOOK_CLASS_TOO_MANY, false,
                                 "Too much that was not authentic came from this address."},
    [WEBHOOK_REFUSED_UNSIGNED] = {"unsigned", WEBHOOK_CLASS_UNAUTHENTIC, true,
                                  "There is neither X-Webhook-Signature nor a message of SNS."},
    [WEBHOOK_REFUSED_NO_SECRET] = {"no_secret", WEBHOOK_CLASS_UNAUTHENTIC, true,
                                   "SES_WEBHOOK_SECRET is not set: no plain body is taken."},
    [WEBHOOK_REFUSED_BAD_HEADER] = {"bad_header", WEBHOOK_CLASS_UNAUTHENTIC, true,
                                    "X-Webhook-Signature is not t=<unix>,v1=<hex>."},
    [WEBHOOK_REFUSED_BAD_SIGNATURE] = {"bad_signature", WEBHOOK_CLASS_UNAUTHENTIC, true,
                                       "The signature is not that of the body."},
    [WEBHOOK_REFUSED_STALE] = {"stale", WEBHOOK_CLASS_UNAUTHENTIC, true,
                               "It was signed too long ago, or in the future."},
    [WEBHOOK_REFUSED_SNS_MALFORMED] = {"sns_malformed", WEBHOOK_CLASS_MALFORMED, true,
                                       "The body is not a message of SNS."},
    [WEBHOOK_REFUSED_SNS_TOPIC] = {"sns_topic", WEBHOOK_CLASS_FORBIDDEN, true,
                                   "The topic is not one of SNS_TOPIC_ARNS."},
    [WEBHOOK_REFUSED_SNS_CERTIFICATE] = {"sns_certificate", WEBHOOK_CLASS_UNAUTHENTIC, true,
                                         "The signing certificate is not one of SNS."},
    [WEBHOOK_REFUSED_SNS_UNREACHABLE] = {"sns_unreachable", WEBHOOK_CLASS_LATER, false,
                                         "The signing certificate cannot be fetched just now."},
    [WEBHOOK_REFUSED_BAD_EVENT] = {"bad_event", WEBHOOK_CLASS_MALFORMED, false,
                                   "The body is not an event of SES."},
    [WEBHOOK_REFUSED_OTHER_KIND] = {"other_kind", WEBHOOK_CLASS_MALFORMED, false,
                                    "The event is not of the kind that this path takes."},
    [WEBHOOK_REFUSED_AHEAD] = {"ahead", WEBHOOK_CLASS_MALFORMED, false,
                               "The event's timestamp lies in the future."},
    [WEBHOOK_REFUSED_NO_ADDRESS] = {"no_address", WEBHOOK_CLASS_MALFORMED, false,
                                    "None of the event's recipients is an address."},
    [WEBHOOK_REFUSED_NOT_CONFIRMED] = {"not_confirmed", WEBHOOK_CLASS_MALFORMED, false,
                                       "SNS did not take the confirmation."},
    [WEBHOOK_REFUSED_CONFIRM_LATER] = {"confirm_later", WEBHOOK_CLASS_LATER, false,
                                       "SNS cannot be reached to confirm just now."},
    [WEBHOOK_REFUSED_BUSY] = {"busy", WEBHOOK_CLASS_LATER, false, "Too many events wait already."},
};

static int make_keys(const struct webhook_options *options, struct webhook *w)
{
    int r = 0;

    if (options->n_secrets > WEBHOOK_SECRETS_MAX)
        return fault_set(FAULT_LIMIT, "more than %d secrets of webhooks", WEBHOOK_SECRETS_MAX);
    for (; r == 0 && w->n_keys < options->n_secrets; w->n_keys++)
        r = mac_key_init(options->secrets[w->n_keys], &w->keys[w->n_keys]);
    return r;
}

/* The system's authorities take time and memory to load, so only who needs them does. */
static int make_verifier(const struct webhook_options *options, struct webhook *w)
{
    struct sns_settings settings = {.topics = options->topics,
                                    .topic_count = options->n_topics,
                                    .trust = options->trust,
                                    .fetch = sns_call_fetch,
                                    .context = &w->caller};
    int r = 0;

    if (!options->trust && options->n_topics) {
        r = sns_trust_new(&w->own_trust);
        settings.trust = w->own_trust;
    }
    return r ? r : sns_verifier_new(&settings, &w->verifier);
}

int webhook_new(const struct webhook_options *options, struct webhook **ret)
{
    struct webhook *w = calloc(1, sizeof *w);

    if (!w)
        return fault_set(FAULT_MEMORY, "no memory for webhooks");
    w->store = options->store;
    w->trail = options->trail;
    w->intake = options->intake;
    w->caller = options->caller;
    int r = limiter_new(ADDRESSES_MAX, &w->refusals);
    if (r == 0)
        r = make_keys(options, w);
    if (r == 0)
        r = make_verifier(options, w);
    if (r) {
        webhook_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

void webhook_free(struct webhook *w)
{
    if (!w)
        return;
    sns_verifier_free(w->verifier);
    certificate_trust_free(w->own_trust);
    limiter_free(w->refusals);
    crypto_wipe(w->keys, sizeof w->keys);
    free(w);
}

static struct limiter_rule rule_of(const struct config *config)
{
    return (struct limiter_rule){config->webhook_refusals_per_minute, CLOCK_MINUTE};
}

int webhook_admit(struct webhook *w, const struct in6_addr *address,
                  struct limiter_state *ret_state)
{
    const struct config *config = config_current();
    struct limiter_key key = limiter_key_of_address(REFUSAL_KIND, address);
    int r = 0;

    if (!config->email_monitoring)
        r = WEBHOOK_REFUSED_OFF;
    else if (limiter_look(w->refusals, &key, rule_of(config), clock_mono(), ret_state))
        r = WEBHOOK_REFUSED_LIMITED;
    if (r)
        metric_add(&w->refused[r], 1);
    return r;
}

/* What a message is taken with. */
struct taking {
    struct webhook *w;
    const struct webhook_request *request;
    struct arena *arena;
    int64_t now;
    struct intake_request *events;
    struct intake_result *result;
    const char *detail;
};

static bool fits_path(enum webhook_path path, enum ses_kind kind)
{
    return path == WEBHOOK_EVENTS || (path == WEBHOOK_BOUNCES && kind == SES_BOUNCE) ||
           (path == WEBHOOK_COMPLAINTS && kind == SES_COMPLAINT);
}

/* Such recipients cost the others nothing, but somebody should know. */
static void note_unreadable(struct webhook *w, const struct ses_event *event)
{
    if (event->foreign_count)
        log_warn("an event of the kind %s names %zu addresses that its message did not go to",
                 ses_kind_name(event->kind), event->foreign_count);
    if (event->bad_count == 0)
        return;
    metric_add(&w->unreadable, event->bad_count);
    log_warn("an event of the kind %s names %zu recipients that are no addresses",
             ses_kind_name(event->kind), event->bad_count);
}

/* Reads an event that is authentic. sns_id: empty for a plain body. */
static int take_event(struct taking *t, struct str body, struct str sns_id)
{
    struct intake_request *events = t->events;
    struct ses_event event;
    int r = ses_event_parse(body, t->arena, &event);

    if (r > 0)
        t->detail = ses_event_outcome_text(r);
    if (r)
        return r < 0 ? r : WEBHOOK_REFUSED_BAD_EVENT;
    if (sns_id.n == 0 && !fits_path(t->request->path, event.kind))
        return WEBHOOK_REFUSED_OTHER_KIND;
    note_unreadable(t->w, &event);
    if (event.recipient_count == 0 && event.bad_count)
        return WEBHOOK_REFUSED_NO_ADDRESS;
    events->sns_message_id = sns_id;
    r = ses_intake_events(&event, body, t->now, t->arena, &events->events, &events->n);
    return r > 0 ? WEBHOOK_REFUSED_AHEAD : r;
}

static int take_plain(struct taking *t)
{
    const struct webhook *w = t->w;

    if (w->n_keys == 0)
        return WEBHOOK_REFUSED_NO_SECRET;
    int r = webhook_signature_verify(w->keys, w->n_keys, t->request->signature, t->request->body,
                                     t->now);
    if (r < 0)
        return r;
    switch (r) {
    case 0:
        return take_event(t, t->request->body, STR(""));
    case WEBHOOK_MISMATCH:
        return WEBHOOK_REFUSED_BAD_SIGNATURE;
    case WEBHOOK_STALE:
        return WEBHOOK_REFUSED_STALE;
    default:
        return WEBHOOK_REFUSED_BAD_HEADER;
    }
}

/* A message about a subscription, that is to be on record once. */
struct notice {
    const struct taking *t;
    const struct sns_message *message;
    enum trail_action action;
    bool fresh;
};

static int notice_job(struct store_txn *txn, void *arg)
{
    struct notice *n = arg;
    const struct sns_message *m = n->message;
    struct trail_actor actor = *n->t->request->actor;
    _cleanup_buf_ struct buf detail = buf_init(4096);
    struct json_writer w = json_writer(&detail);

    json_object_begin(&w);
    json_key(&w, "messageId");
    json_str(&w, m->message_id);
    json_object_end(&w);
    actor.label = STR("sns");
    struct trail_event event = {
        .action = n->action, .subject = m->topic_arn, .detail = buf_str(&detail)};
    int r = buf_fault(&detail);
    if (r == 0)
        r = store_lock(txn, STORE_LOCK_MAIL);
    if (r == 0)
        r = sns_seen_mark(txn, &m->message_id, 1, n->t->now, &n->fresh);
    return r || !n->fresh ? r : trail_append(n->t->w->trail, txn, &actor, &event);
}

static int record(const struct taking *t, const struct sns_message *m, enum trail_action action)
{
    struct notice n = {.t = t, .message = m, .action = action};
    struct log_line l;
    int r = store_write(t->w->store, notice_job, &n);

    if (r == 0 && n.fresh) {
        bool end = action == TRAIL_MAIL_TOPIC_END;
        log_begin(&l, end ? LOG_WARN : LOG_INFO,
                  end ? "a topic of SNS sends nothing here any more"
                      : "a topic of SNS was confirmed to send here");
        log_field_str(&l, "topic", m->topic_arn);
        log_end(&l);
    }
    t->result->seen = !n.fresh;
    return r ? r : WEBHOOK_ANSWERED;
}

/* A replayed confirmation must not bring back what was ended meanwhile. */
static int confirm(const struct taking *t, const struct sns_message *m)
{
    int r = sns_seen_find(t->w->store, m->message_id);

    if (r) {
        t->result->seen = r == SNS_SEEN;
        return r == SNS_SEEN ? WEBHOOK_ANSWERED : r;
    }
    r = sns_call_confirm(&t->w->caller, m);
    if (r == SNS_CONFIRM_REFUSED)
        return WEBHOOK_REFUSED_NOT_CONFIRMED;
    if (r == SNS_CONFIRM_UNREACHABLE)
        return WEBHOOK_REFUSED_CONFIRM_LATER;
    return r ? r : record(t, m, TRAIL_MAIL_TOPIC_CONFIRM);
}

static int refusal_of_sns(int outcome)
{
    static const int refusals[SNS_OUTCOMES] = {
        [SNS_MALFORMED] = WEBHOOK_REFUSED_SNS_MALFORMED,
        [SNS_FOREIGN_TOPIC] = WEBHOOK_REFUSED_SNS_TOPIC,
        [SNS_STALE] = WEBHOOK_REFUSED_STALE,
        [SNS_CERTIFICATE_REFUSED] = WEBHOOK_REFUSED_SNS_CERTIFICATE,
        [SNS_CERTIFICATE_UNREACHABLE] = WEBHOOK_REFUSED_SNS_UNREACHABLE,
        [SNS_BAD_SIGNATURE] = WEBHOOK_REFUSED_BAD_SIGNATURE,
    };

    return refusals[outcome];
}

/*
 * Verifies a message. All fetch from one allowance of SNS_FETCHES_PER_MINUTE, which a source with
 * invented URLs must not use up: SNS's own next certificate would be waited for until SNS gives up.
 */
static int verify_sns(const struct taking *t, struct sns_message *ret_message)
{
    static const struct limiter_rule rule = {WEBHOOK_ERRANDS_PER_MINUTE, CLOCK_MINUTE};
    const struct in6_addr *address = t->request->address;
    struct sns_errand errand = {false, false};
    struct limiter_key key = {0};
    struct limiter_state state;

    if (address) {
        key = limiter_key_of_address(ERRAND_KIND, address);
        errand.forbidden = limiter_look(t->w->refusals, &key, rule, clock_mono(), &state) != 0;
    }
    int r =
        sns_verify_for(t->w->verifier, t->request->body, t->now, &errand, t->arena, ret_message);
    if (errand.in_vain && address)
        limiter_take(t->w->refusals, &key, rule, clock_mono(), &state);
    return r;
}

static int take_sns(struct taking *t)
{
    struct sns_message m;
    int r = verify_sns(t, &m);

    if (r)
        return r < 0 ? r : refusal_of_sns(r);
    switch (m.type) {
    case SNS_NOTIFICATION:
        return take_event(t, m.message, m.message_id);
    case SNS_SUBSCRIPTION_CONFIRMATION:
        return confirm(t, &m);
    case SNS_UNSUBSCRIBE_CONFIRMATION:
        break;
    }
    return record(t, &m, TRAIL_MAIL_TOPIC_END);
}

/* A body of SES has no such member; one within a string would have its quotes escaped. */
static bool looks_like_sns(const struct webhook_request *request)
{
    return request->is_sns ||
           (request->body.n && memmem(request->body.p, request->body.n, "\"Type\"", 6));
}

static void count_refusal(struct webhook *w, const struct webhook_request *request, int refusal)
{
    struct limiter_state state;

    metric_add(&w->refused[refusal], 1);
    if (webhook_reasons[refusal].counts && request->address) {
        struct limiter_key key = limiter_key_of_address(REFUSAL_KIND, request->address);
        limiter_take(w->refusals, &key, rule_of(config_current()), clock_mono(), &state);
    }
}

bool webhook_is_quick(const struct webhook_request *request)
{
    return request->signature.p && request->body.n <= QUICK_BODY_MAX;
}

int webhook_verify(struct webhook *w, const struct webhook_request *request, struct arena *arena,
                   int64_t now, struct intake_request *ret_events, struct intake_result *ret_result,
                   const char **ret_detail)
{
    struct intake_request events = {.sns_message_id = STR("")};
    struct intake_result result = {0};
    struct taking t = {.w = w,
                       .request = request,
                       .arena = arena,
                       .now = now,
                       .events = &events,
                       .result = &result};
    int r = WEBHOOK_REFUSED_UNSIGNED;

    if (request->signature.p)
        r = take_plain(&t);
    else if (looks_like_sns(request))
        r = take_sns(&t);
    if (r == 0)
        *ret_events = events;
    else if (r == WEBHOOK_ANSWERED)
        *ret_result = result;
    else if (r > 0)
        count_refusal(w, request, r);
    metric_add(&w->taken, r == WEBHOOK_ANSWERED);
    *ret_detail = t.detail;
    return r;
}

int webhook_settle(struct webhook *w, int intake_outcome)
{
    metric_add(&w->taken, intake_outcome == 0);
    if (intake_outcome != INTAKE_BUSY)
        return intake_outcome;
    metric_add(&w->refused[WEBHOOK_REFUSED_BUSY], 1);
    return WEBHOOK_REFUSED_BUSY;
}

uint64_t webhook_taken(const struct webhook *w)
{
    return metric_value(&w->taken);
}

uint64_t webhook_refused(const struct webhook *w, enum webhook_refusal refusal)
{
    return metric_value(&w->refused[refusal]);
}

uint64_t webhook_unreadable(const struct webhook *w)
{
    return metric_value(&w->unreadable);
}
