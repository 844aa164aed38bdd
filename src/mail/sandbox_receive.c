#include "base/clock.h"
#include "base/log.h"
#include "mail/sandbox_server.h"

enum { LINES_MAX = SMTP_RECIPIENTS_MAX * (SMTP_PATH_MAX + 1) };

enum smtp_verdict sandbox_receive(void *box, const struct smtp_message *m)
{
    const struct sandbox_box *b = box;
    _cleanup_buf_ struct buf to = buf_init(LINES_MAX);

    for (size_t i = 0; i < m->n_to; i++) {
        buf_add_str(&to, m->to[i]);
        buf_add_char(&to, '\n');
    }
    int64_t now = clock_now();
    struct sandbox_message kept = {.id = uuid_at(now),
                                   .at = now,
                                   .helo = m->helo,
                                   .from = m->from,
                                   .to = buf_str(&to),
                                   .data = m->data};
    int r = buf_fault(&to);
    if (r == 0)
        r = sandbox_keep(b->store, &kept, b->keep);
    if (r) {
        log_fault("a message cannot be kept in the sandbox", r);
        return SMTP_TRY_AGAIN;
    }
    return SMTP_KEPT;
}
