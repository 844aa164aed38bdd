#include "mail/state.h"

static const struct str names[MAIL_STATES] = {
    [MAIL_QUEUED] = STR_INIT("queued"),         [MAIL_SENT] = STR_INIT("sent"),
    [MAIL_DELAYED] = STR_INIT("delayed"),       [MAIL_DELIVERED] = STR_INIT("delivered"),
    [MAIL_SUPPRESSED] = STR_INIT("suppressed"), [MAIL_REJECTED] = STR_INIT("rejected"),
    [MAIL_BOUNCED] = STR_INIT("bounced"),       [MAIL_COMPLAINED] = STR_INIT("complained"),
};

struct str mail_state_name(enum mail_state state)
{
    return (unsigned)state < MAIL_STATES ? names[state] : STR("");
}

int mail_state_parse(struct str name, enum mail_state *ret_state)
{
    for (int i = 0; i < MAIL_STATES; i++) {
        if (str_eq(names[i], name)) {
            *ret_state = (enum mail_state)i;
            return 0;
        }
    }
    return 1;
}

/* Above 0 where a stands over b. */
static int compare(const struct mail_mark *a, const struct mail_mark *b)
{
    int c = (int)a->state - (int)b->state;

    if (c == 0)
        c = (int)a->counted - (int)b->counted;
    if (c == 0)
        c = (a->at < b->at) - (a->at > b->at);
    if (c == 0)
        c = str_compare(b->code, a->code);
    return c ? c : str_compare(b->detail, a->detail);
}

bool mail_mark_raise(struct mail_mark *mark, const struct mail_mark *by)
{
    if (by->state == MAIL_NO_STATE || compare(by, mark) <= 0)
        return false;
    *mark = *by;
    return true;
}
