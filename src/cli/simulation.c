#include "cli/simulation.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"

#include <stdarg.h>

enum { ARENA_MAX = 1 << 20, EVENTS_MAX = 20, TEXT_MAX = 2000 };

static const struct simulation_fate fates[] = {
    {"success", "delivery", {MAIL_DELIVERED, MAIL_DELIVERED}, false},
    {"bounce", "bounce", {MAIL_BOUNCED, MAIL_BOUNCED}, true},
    {"complaint", "complaint", {MAIL_COMPLAINED, MAIL_COMPLAINED}, true},
    {"ooto", "bounce", {MAIL_DELIVERED, MAIL_SENT}, false},
    {"suppressionlist", "bounce", {MAIL_BOUNCED, MAIL_SUPPRESSED}, true},
};

const struct simulation_fate *simulation_fate_find(struct str name)
{
    for (size_t i = 0; i < sizeof fates / sizeof *fates; i++)
        if (str_eq(name, str_of(fates[i].name)))
            return &fates[i];
    return NULL;
}

static int look_job(struct store_txn *t, void *arg)
{
    struct simulation *s = arg;
    size_t n = 0;
    int r;

    arena_free(&s->arena);
    s->arena = arena_init(ARENA_MAX);
    s->entry = NULL;
    s->n_events = 0;
    r = mail_log_find_message(t, &s->arena, NULL, &s->message_id, &s->entry, &n);
    if (r == 0)
        r = mail_event_list(t, &s->arena, &s->entry->id, 0, EVENTS_MAX, &s->events, &s->n_events);
    if (r == 0)
        r = suppression_find(t, &s->request.tenant_id, s->request.to, 1, clock_now(), &s->hit);
    s->answered = false;
    for (size_t i = 0; i < s->n_events; i++)
        s->answered |= str_eq(s->events[i].kind, str_of(s->expected->kind));
    return r > 0 ? fault_set(FAULT_INTERNAL, "the message is not in the log") : r;
}

int simulation_look(struct simulation *s)
{
    return store_read(s->session.store, look_job, s);
}

void simulation_tell(const struct simulation *s, const char *what, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;

    va_start(args, format);
    /* clang-tidy 14 does not see the va_start: NOLINTNEXTLINE(clang-analyzer-valist.*) */
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (cli_has(s->cli, "json"))
        return;
    /* What a server said may hold what a terminal obeys. */
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    printf("%6lld ms  %-11s %s\n", (long long)(clock_mono() - s->began), what, text);
    fflush(stdout);
}

/* Where a person can look at it. */
static void tell_sent(const struct simulation *s)
{
    const struct config *c = config_current();
    bool sandbox = str_eq(s->entry->transport, STR("sandbox"));

    simulation_tell(s, "sent", "by %.*s, which calls it %.*s", STR_ARG(s->entry->transport),
                    STR_ARG(s->entry->provider_id));
    if (sandbox && c->sandbox_http_port > 0)
        simulation_tell(s, "", "see http://localhost:%lld/#%.*s", (long long)c->sandbox_http_port,
                        STR_ARG(s->entry->provider_id));
}

static void tell_event(const struct simulation *s, const struct mail_event_entry *e)
{
    /* SES's own words are the code of some, and then stand there once. */
    struct str code = str_has_suffix(e->subtype, e->code) ? STR("") : e->code;

    simulation_tell(s, "came back", "%.*s%s%.*s%s%.*s%s%.*s", STR_ARG(e->kind),
                    e->subtype.n ? " " : "", STR_ARG(e->subtype), code.n ? " " : "", STR_ARG(code),
                    e->detail.n ? ": " : "", STR_ARG(e->detail));
}

/* What is new since the last look. */
void simulation_tell_news(struct simulation *s)
{
    enum mail_state state = s->entry->mark.state;

    if (s->told_state == MAIL_QUEUED && s->entry->provider_id.n)
        tell_sent(s);
    for (; s->told_events < s->n_events; s->told_events++)
        tell_event(s, &s->events[s->told_events]);
    if (state != s->told_state && state != MAIL_SENT)
        simulation_tell(s, "log", "its state is %.*s now", STR_ARG(mail_state_name(state)));
    s->told_state = state;
}

bool simulation_succeeded(const struct simulation *s)
{
    const struct simulation_fate *e = s->expected;
    enum mail_state state = s->entry->mark.state;

    return s->answered && (state == e->states[0] || state == e->states[1]) &&
           s->hit.found == e->suppresses;
}

void simulation_tell_end(const struct simulation *s)
{
    const char *why = "";

    if (s->hit.found)
        simulation_tell(s, "suppressed", "because of %.*s: the next message to it is not sent",
                        STR_ARG(suppression_reason_name(s->hit.reason)));
    if (simulation_succeeded(s)) {
        simulation_tell(s, "done", "the loop works");
        return;
    }
    if (s->entry->mark.state == MAIL_QUEUED)
        why = "nobody has handed it over; does the server there use this database, and the same "
              "EMAIL_TRANSPORT?";
    else if (!s->answered)
        why = "what became of it did not come back; the log of the server may say why";
    else
        why = "what came back did not have the effect that it should";
    fprintf(stderr, "holdfast: %s\n", why);
}

static void write_event(struct json_writer *w, const struct mail_event_entry *e)
{
    const struct {
        const char *key;
        struct str value;
    } fields[] = {
        {"kind", e->kind}, {"subtype", e->subtype}, {"code", e->code}, {"detail", e->detail}};

    json_object_begin(w);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        json_key(w, fields[i].key);
        json_str(w, fields[i].value);
    }
    json_key(w, "at");
    json_time(w, e->at);
    json_key(w, "receivedAt");
    json_time(w, e->received_at);
    json_object_end(w);
}

void simulation_write(const struct simulation *s, struct buf *ret_json)
{
    struct json_writer writer = json_writer(ret_json), *w = &writer;

    json_object_begin(w);
    json_key(w, "fate");
    json_str(w, str_of(s->expected->name));
    json_key(w, "ok");
    json_bool(w, simulation_succeeded(s));
    json_key(w, "id");
    json_uuid(w, &s->message_id);
    json_key(w, "recipient");
    json_str(w, str_of(s->address));
    json_key(w, "providerId");
    json_str(w, s->entry->provider_id);
    json_key(w, "state");
    json_str(w, mail_state_name(s->entry->mark.state));
    json_key(w, "suppressed");
    json_bool(w, s->hit.found);
    json_key(w, "milliseconds");
    json_int(w, clock_mono() - s->began);
    json_key(w, "events");
    json_array_begin(w);
    for (size_t i = 0; i < s->n_events; i++)
        write_event(w, &s->events[i]);
    json_array_end(w);
    json_object_end(w);
}
