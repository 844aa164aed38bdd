/*
 * Whatever is read as an event of SES keeps its bounds: addresses in the one form that we store,
 * texts that are UTF-8 and not too long, entries that are used or counted; and one bad entry more
 * among the recipients changes nothing but that count, unless whom it is about is known anyway.
 */
#include "mail/ses_event.h"
#include "mail/ses_rules.h"

#include "base/buf.h"
#include "identity/email_address.h"

#include "fuzz.h"

static void check_text(struct str s, size_t max)
{
    FUZZ_CHECK(s.p && s.n <= max && str_is_utf8(s));
    FUZZ_CHECK(s.n == 0 || !memchr(s.p, 0, s.n));
}

static void check_recipient(const struct ses_recipient *r)
{
    char again[EMAIL_ADDRESS_SIZE];
    size_t n;

    FUZZ_CHECK(email_address_normalise(r->address, again, &n) == 0);
    FUZZ_CHECK(str_eq(r->address, (struct str){again, n}));
    check_text(r->status, 9);
    check_text(r->action, SES_WORD_MAX);
    check_text(r->diagnostic, SES_DETAIL_MAX);
    FUZZ_CHECK(!str_has_control(r->diagnostic));
}

static void check_event(const struct ses_event *event)
{
    check_text(event->kind_text, SES_WORD_MAX);
    check_text(event->type_text, SES_WORD_MAX);
    check_text(event->subtype_text, SES_WORD_MAX);
    check_text(event->feedback_text, SES_WORD_MAX);
    check_text(event->message_id, SES_ID_MAX);
    check_text(event->feedback_id, SES_ID_MAX);
    check_text(event->template_name, SES_TAG_MAX);
    check_text(event->tenant, SES_TAG_MAX);
    check_text(event->detail, SES_DETAIL_MAX);
    FUZZ_CHECK(event->at >= 0);
    FUZZ_CHECK(!str_has_control(event->detail) && !str_has_control(event->feedback_text));
    FUZZ_CHECK(event->foreign_count <= event->recipient_count);
    FUZZ_CHECK(event->recipient_count + event->bad_count <= SES_RECIPIENTS_MAX);
    for (size_t i = 0; i < event->recipient_count; i++)
        check_recipient(&event->recipients[i]);
    const struct ses_rule *rule = ses_rule_of_event(event);
    FUZZ_CHECK(!rule->counted || event->kind == SES_BOUNCE || event->kind == SES_COMPLAINT);
    FUZZ_CHECK(event->feedback != SES_FEEDBACK_NOT_SPAM || rule->action == SES_ACTION_NONE);
}

/* The body with an entry that names nobody put into its first list, where it is a bounce's. */
static void check_one_more(struct str body, const struct ses_event *event)
{
    _cleanup_arena_ struct arena arena = arena_init(SES_ARENA_MAX);
    _cleanup_buf_ struct buf more = buf_init(SES_BODY_MAX);
    static const char list[] = "\"bouncedRecipients\":[{";
    const char *at = memmem(body.p, body.n, list, sizeof list - 1);
    struct ses_event other;

    if (!at || event->kind != SES_BOUNCE ||
        event->recipient_count + event->bad_count == SES_RECIPIENTS_MAX)
        return;
    at += sizeof list - 2;
    buf_add(&more, body.p, (size_t)(at - body.p));
    buf_add_str(&more, STR("{},"));
    buf_add(&more, at, body.n - (size_t)(at - body.p));
    if (buf_fault(&more) || ses_event_parse(buf_str(&more), &arena, &other))
        return;
    /* Of a message to one address, whatever befell it is that one's. */
    if (other.recipient_count != event->recipient_count) {
        FUZZ_CHECK(other.recipient_count == event->recipient_count + 1);
        FUZZ_CHECK(other.bad_count == event->bad_count && other.foreign_count == 0);
        for (size_t i = 1; i < other.recipient_count; i++)
            FUZZ_CHECK(str_eq(other.recipients[i].address, other.recipients[0].address));
    }
    FUZZ_CHECK(other.bad_count == event->bad_count || other.bad_count == event->bad_count + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = arena_init(SES_ARENA_MAX);
    struct str body = {(const char *)data, size};
    struct ses_event event;
    int e = ses_event_parse(body, &arena, &event);

    FUZZ_CHECK(e >= 0 && e < SES_EVENT_OUTCOMES);
    if (e == 0) {
        check_event(&event);
        check_one_more(body, &event);
    }
    return 0;
}
