#include "mail/outbox_content.h"

#include "base/fault.h"

enum { VERSION = 1, HEAD = 2 /* version, flags */, LENGTH = 4, AUTOMATIC = 1 };

static const struct str context_table = STR_INIT("email_outbox");
static const struct str context_column = STR_INIT("body");

/* What a body is bound to. */
static void make_context(const struct uuid *message_id, const char *purpose,
                         struct str ret_context[4])
{
    ret_context[0] = context_table;
    ret_context[1] = context_column;
    ret_context[2] = (struct str){(const char *)message_id->b, sizeof message_id->b};
    ret_context[3] = (struct str){purpose, 1};
}

static void add_text(struct buf *out, struct str s)
{
    char length[LENGTH] = {(char)(s.n >> 24), (char)(s.n >> 16), (char)(s.n >> 8), (char)s.n};

    buf_add(out, length, sizeof length);
    buf_add_str(out, s);
}

int outbox_content_seal(const struct seal_keys *keys, const struct uuid *message_id,
                        const struct outbox_content *content, struct buf *ret_body)
{
    struct buf plain _cleanup_buf_ = buf_secret(OUTBOX_BODY_MAX);
    char purpose = (char)content->purpose;
    struct str context[4];

    buf_add_char(&plain, VERSION);
    buf_add_char(&plain, content->automatic ? AUTOMATIC : 0);
    add_text(&plain, content->subject);
    add_text(&plain, content->text);
    add_text(&plain, content->html);
    if (buf_fault(&plain))
        return buf_fault(&plain);
    make_context(message_id, &purpose, context);
    buf_add_char(ret_body, purpose);
    return seal(keys, context, 4, buf_str(&plain), ret_body);
}

enum unsubscribe_purpose outbox_content_purpose(struct str body)
{
    return body.n > 0 && body.p[0] == UNSUBSCRIBE_SECURITY ? UNSUBSCRIBE_SECURITY
                                                           : UNSUBSCRIBE_PRODUCT;
}

static bool take_text(struct str *rest, struct str *ret)
{
    const unsigned char *p = (const unsigned char *)rest->p;
    size_t n;

    if (rest->n < LENGTH)
        return false;
    n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n > rest->n - LENGTH)
        return false;
    *ret = (struct str){rest->p + LENGTH, n};
    *rest = (struct str){rest->p + LENGTH + n, rest->n - LENGTH - n};
    return true;
}

int outbox_content_open(const struct seal_keys *keys, const struct uuid *message_id,
                        struct str body, struct buf *ret_plain, struct outbox_content *ret_content)
{
    struct outbox_content content = {.purpose = UNSUBSCRIBE_PRODUCT};
    struct str context[4], rest;

    if (body.n < 1)
        return SEAL_REFUSED;
    make_context(message_id, body.p, context);
    buf_reset(ret_plain);
    int r = unseal(keys, context, 4, (struct str){body.p + 1, body.n - 1}, ret_plain);
    if (r)
        return r;
    rest = buf_str(ret_plain);
    if (rest.n < HEAD || rest.p[0] != VERSION)
        return SEAL_REFUSED;
    content.purpose = (enum unsubscribe_purpose)body.p[0];
    content.automatic = rest.p[1] & AUTOMATIC;
    rest = (struct str){rest.p + HEAD, rest.n - HEAD};
    if (!take_text(&rest, &content.subject) || !take_text(&rest, &content.text) ||
        !take_text(&rest, &content.html))
        return SEAL_REFUSED;
    *ret_content = content;
    return 0;
}

int outbox_content_url(const struct mail *m, const struct uuid *tenant_id,
                       enum unsubscribe_purpose purpose, struct str to,
                       char ret_url[MIME_URL_MAX + 1])
{
    char token[UNSUBSCRIBE_TEXT_SIZE];
    int r = unsubscribe_make(&m->unsubscribe, tenant_id, purpose, to, token);

    if (r == 0)
        snprintf(ret_url, MIME_URL_MAX + 1, "%s/v1/emails/unsubscribe?token=%s", m->public_url,
                 token);
    return r;
}

/*
 * Product mail can always be ended. Of what is about an account's safety only notices of our own
 * can, by the preference of their user: a product's may go to who has no account here.
 */
static int write_url(const struct mail *m, const struct outbox_copy *copy,
                     char ret_url[MIME_URL_MAX + 1])
{
    const struct outbox_content *c = copy->content;

    *ret_url = '\0';
    if (c->purpose == UNSUBSCRIBE_SECURITY && !c->automatic)
        return 0;
    int r = outbox_content_url(m, &copy->tenant_id, c->purpose, copy->to, ret_url);
    return r < 0 ? r : 0; /* what is no address is refused by mime_write */
}

int outbox_content_write(const struct mail *m, const struct outbox_copy *copy, struct buf *ret_mime,
                         char ret_message_id[OUTBOX_MESSAGE_ID_SIZE],
                         struct mime_problem *ret_problem)
{
    char url[MIME_URL_MAX + 1], id[UUID_TEXT_SIZE];
    struct mime_address to = {.address = copy->to};
    int r = write_url(m, copy, url);

    if (r)
        return r;
    uuid_format(&copy->log_id, id);
    snprintf(ret_message_id, OUTBOX_MESSAGE_ID_SIZE, "%s@%.*s", id,
             STR_ARG(sender_domain(&m->sender)));
    struct mime_message message = {
        .from = {str_of(m->sender.name), str_of(m->sender.address)},
        .to = &to,
        .n_to = 1,
        .subject = copy->content->subject,
        .text = copy->content->text,
        .html = copy->content->html,
        .date = copy->accepted_at,
        .message_id = str_of(ret_message_id),
        .unsubscribe_url = str_of(url),
        .automatic = copy->content->automatic,
    };
    return mime_write(&message, ret_mime, ret_problem);
}
