/* The links by which recipients end mail (RFC 8058): without an account, and without a sign-in. */
#include "api/app.h"
#include "mail/optout.h"

struct link_query {
    uint64_t given;
    struct str token;
};

static const struct field link_fields[] = {
    {"token", FIELD_STR, FIELD_REQUIRED, offsetof(struct link_query, token), 1,
     UNSUBSCRIBE_TEXT_MAX, NULL, NULL, "From the message's List-Unsubscribe field."},
};
static const struct shape link_shape = SHAPE("UnsubscribeQuery", struct link_query, link_fields);

/* Nothing of it comes from elsewhere, nor runs; its form leads back here. */
#define PAGE_POLICY                                                                                \
    "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

static void add_escaped(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '&')
            buf_add_str(out, STR("&amp;"));
        else if (s.p[i] == '<')
            buf_add_str(out, STR("&lt;"));
        else if (s.p[i] == '>')
            buf_add_str(out, STR("&gt;"));
        else if (s.p[i] == '"')
            buf_add_str(out, STR("&quot;"));
        else if (s.p[i] == '\'')
            buf_add_str(out, STR("&#39;"));
        else
            buf_add_char(out, s.p[i]);
    }
}

static const struct str what[] = {
    [UNSUBSCRIBE_PRODUCT] = STR_INIT("messages"),
    [UNSUBSCRIBE_SECURITY] = STR_INIT("notices about the safety of your account"),
    [UNSUBSCRIBE_ALL] = STR_INIT("messages and notices"),
};

static void begin_page(struct buf *out, struct str title)
{
    buf_add_str(out, STR("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                         "<meta name=\"viewport\" content=\"width=device-width\">\n"
                         "<meta name=\"robots\" content=\"noindex\">\n<title>"));
    buf_add_str(out, title);
    buf_add_str(out, STR("</title>\n</head>\n<body>\n<h1>"));
    buf_add_str(out, title);
    buf_add_str(out, STR("</h1>\n"));
}

static int reply_page(struct call *call)
{
    buf_add_str(&call->reply->body, STR("</body>\n</html>\n"));
    int r = http_reply_header(call->reply, "Content-Security-Policy", STR(PAGE_POLICY));
    return r ? r : call_reply_written(call, "text/html; charset=utf-8");
}

static int read_token(struct call *call, struct unsubscribe *ret)
{
    const struct link_query *query = call->query;
    int r = unsubscribe_check(&app_of(call)->mail->unsubscribe, query->token, ret);

    return r == UNSUBSCRIBE_INVALID
               ? call_problem_field(call, "token",
                                    "This link is not whole; open it as it stands in the message.")
               : r;
}

/* Changes nothing: links are opened by programs that look for dangers, too. */
static int get_page(struct call *call)
{
    struct buf *out = &call->reply->body;
    struct unsubscribe token;
    int r = read_token(call, &token);

    if (r)
        return r;
    begin_page(out, STR("Unsubscribe"));
    buf_add_str(out, STR("<p>No more "));
    buf_add_str(out, what[token.purpose]);
    buf_add_str(out, STR(" by mail to <strong>"));
    add_escaped(out, str_of(token.address));
    buf_add_str(out, STR("</strong>?</p>\n<form method=\"post\">\n<button name=\"List-Unsubscribe\""
                         " value=\"One-Click\">Unsubscribe</button>\n</form>\n"));
    return reply_page(call);
}

static bool holds(struct str text, struct str part)
{
    return text.p && text.n >= part.n && memmem(text.p, text.n, part.p, part.n) != NULL;
}

/*
 * RFC 8058, section 3.1: as a form of either encoding. The token is what permits it; this only
 * tells a wish from an accident.
 */
static bool is_one_click(struct str body)
{
    return str_eq(str_trim(body), STR("List-Unsubscribe=One-Click")) ||
           (holds(body, STR("name=\"List-Unsubscribe\"")) &&
            holds(body, STR("\r\n\r\nOne-Click\r\n")));
}

struct leaving {
    struct call *call;
    struct unsubscribe token;
    bool changed;
};

static int leave_job(struct store_txn *t, void *arg)
{
    struct leaving *l = arg;
    struct trail_actor actor = l->call->actor;

    actor.tenant_id = l->token.tenant_id;
    actor.label = STR("recipient");
    return optout_apply(t, app_of(l->call)->trail, &actor, &l->token, l->call->now, &l->changed);
}

static int post_leave(struct call *call)
{
    struct buf *out = &call->reply->body;
    struct leaving l = {.call = call};
    int r = read_token(call, &l.token);

    if (r)
        return r;
    if (!is_one_click(call->request->body))
        return call_problem(call, PROBLEM_BAD_REQUEST,
                            "The body is List-Unsubscribe=One-Click (RFC 8058).");
    r = store_write(app_of(call)->store, leave_job, &l);
    if (r)
        return r;
    begin_page(out, STR("Unsubscribed"));
    buf_add_str(out, STR("<p><strong>"));
    add_escaped(out, str_of(l.token.address));
    buf_add_str(out, STR("</strong> gets no more "));
    buf_add_str(out, what[l.token.purpose]);
    buf_add_str(out, STR(" by mail.</p>\n"));
    return reply_page(call);
}

/* clang-format off */
static const struct route routes[] = {
    {HTTP_GET, "/v1/emails/unsubscribe", PERMIT_ANYONE, LANE_WORKER, 0, 200, &link_shape, NULL,
     NULL, "A page with a button to unsubscribe; opening it changes nothing", get_page},
    {HTTP_POST, "/v1/emails/unsubscribe", PERMIT_ANYONE, LANE_WORKER, 0, 200, &link_shape, NULL,
     NULL, "Unsubscribe by one click (RFC 8058)", post_leave},
};
/* clang-format on */

const struct route_table api_unsubscribe = ROUTE_TABLE("Mail", routes);
