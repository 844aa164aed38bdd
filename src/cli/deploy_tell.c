/* Who is told of a deployment beside the terminal: the store with its trail, and the routes. */
#include "base/fault.h"
#include "cli/deploy_run.h"
#include "deploy/announce.h"
#include "deploy/record.h"

static bool mails(const struct deploy_run *r)
{
    for (size_t i = 0; i < r->d.e->notify.n; i++) {
        const struct conf_route *route = conf_route(&r->conf, r->d.e->notify.items[i]);
        if (route && route->email.n)
            return true;
    }
    return false;
}

/* Puts it into the store. The mail of routes goes by it too, where *ret_mail is not NULL. */
static void record(struct deploy_run *r, struct cli_session *session, const struct report *report,
                   struct mail **ret_mail)
{
    int result = record_put_now(session->store, session->trail, &session->actor, report);

    if (result == 0 && mails(r))
        result = mail_new(config_current(), session->store, session->trail, ret_mail);
    if (result)
        fprintf(stderr, "holdfast: the deployment is not in the store: %s\n", fault_message());
}

void deploy_tell(struct deploy_run *r, const struct report *report)
{
    struct cli_session session = {0};
    struct mail *mail = NULL;
    bool open = cli_has_store(config_current()) && cli_open_store(&session) == 0;

    if (open)
        record(r, &session, report, &mail);
    struct announce_options options = {.conf = &r->conf,
                                       .environment = r->d.e,
                                       .mail = mail,
                                       .progress = r->json ? NULL : &r->print.progress};
    if (r->d.e->notify.n)
        announce(&options, report, NULL);
    mail_free(mail);
    if (open)
        cli_close(&session);
}
