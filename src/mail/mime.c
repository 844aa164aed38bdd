#include "mail/mime.h"

#include "base/clock.h"
#include "base/fault.h"
#include "crypto/sha256.h"
#include "identity/email_address.h"
#include "mail/mime_parts.h"

#include <stdarg.h>

enum { BOUNDARY_DIGEST = 16, BOUNDARY_SIZE = 2 + 2 * BOUNDARY_DIGEST + 1 };

/* The years 1970 to 9999, which the four digits of a date can hold. */
static const int64_t date_end = INT64_C(253402300800) * CLOCK_SECOND;

const char *mime_outcome_text(int outcome)
{
    static const char *const texts[] = {
        [MIME_CONTROL] = "holds a line break or another control character",
        [MIME_NOT_UTF8] = "is not UTF-8",
        [MIME_EMPTY] = "is empty",
        [MIME_LONG] = "is too long",
        [MIME_MALFORMED] = "is malformed",
    };

    return outcome > 0 && outcome <= MIME_MALFORMED ? texts[outcome] : "is wrong";
}

__attribute__((format(printf, 3, 4))) static int
refuse(struct mime_problem *problem, enum mime_outcome outcome, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem->field, sizeof problem->field, format, arguments);
    va_end(arguments);
    return (int)outcome;
}

/* The bytes that end a line or a C string are named before anything else is said of a field. */
static bool has_line_break(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return true;
    return false;
}

/* 0, or what is wrong with a field's text. */
static int check_text(struct str s, size_t max)
{
    if (has_line_break(s))
        return MIME_CONTROL;
    if (s.n > max)
        return MIME_LONG;
    if (!str_is_utf8(s))
        return MIME_NOT_UTF8;
    return str_has_control(s) ? MIME_CONTROL : 0;
}

/* index: of a list, or -1. */
static int check_address(const struct mime_address *a, const char *field, int index,
                         struct mime_problem *problem)
{
    char place[16] = "", normal[EMAIL_ADDRESS_SIZE];
    size_t n;

    if (index >= 0)
        snprintf(place, sizeof place, "[%d]", index);
    int r = check_text(a->name, MIME_NAME_MAX);
    if (r)
        return refuse(problem, (enum mime_outcome)r, "%s%s.name", field, place);
    r = a->address.n == 0 ? MIME_EMPTY : check_text(a->address, EMAIL_ADDRESS_MAX);
    if (r == 0 && email_address_normalise(a->address, normal, &n))
        r = MIME_MALFORMED;
    return r ? refuse(problem, (enum mime_outcome)r, "%s%s.address", field, place) : 0;
}

static int check_recipients(const struct mime_message *m, struct mime_problem *problem)
{
    int r = check_address(&m->from, "from", -1, problem);

    if (r == 0 && m->reply_to.address.n + m->reply_to.name.n > 0)
        r = check_address(&m->reply_to, "replyTo", -1, problem);
    if (r == 0 && m->n_to == 0)
        r = refuse(problem, MIME_EMPTY, "to");
    if (r == 0 && m->n_to > MIME_RECIPIENTS_MAX)
        r = refuse(problem, MIME_LONG, "to");
    for (size_t i = 0; r == 0 && i < m->n_to; i++)
        r = check_address(&m->to[i], "to", (int)i, problem);
    return r;
}

/* What stands in an id's halves: atoms with single dots between them (RFC 5322, section 3.6.4). */
static bool is_dot_atom(struct str s)
{
    if (s.n == 0 || s.p[0] == '.' || s.p[s.n - 1] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool atom = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    strchr("!#$%&'*+-/=?^_`{|}~", c);
        if (c == '.' ? s.p[i - 1] == '.' : !atom)
            return false;
    }
    return true;
}

static int check_id(struct str id)
{
    int r = id.n == 0 ? MIME_EMPTY : check_text(id, MIME_ID_MAX);
    size_t at = str_find(id, '@');

    if (r == 0 && (at == id.n || !is_dot_atom((struct str){id.p, at}) ||
                   !is_dot_atom((struct str){id.p + at + 1, id.n - at - 1})))
        r = MIME_MALFORMED;
    return r;
}

/* An absolute URI of http or https, without what would end it between angle brackets. */
static int check_url(struct str url)
{
    int r = check_text(url, MIME_URL_MAX);

    if (r == 0 && !str_has_prefix(url, STR("https://")) && !str_has_prefix(url, STR("http://")))
        r = MIME_MALFORMED;
    for (size_t i = 0; r == 0 && i < url.n; i++)
        if ((unsigned char)url.p[i] >= 0x80 || strchr(" <>\"\\^`{|},", url.p[i]))
            r = MIME_MALFORMED;
    return r;
}

static int check_header_name(struct str name)
{
    int r = check_text(name, MIME_HEADER_NAME_MAX);

    if (r == 0 && (name.n < 3 || !str_has_prefix_ci(name, STR("X-"))))
        r = MIME_MALFORMED;
    for (size_t i = 0; r == 0 && i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            r = MIME_MALFORMED;
    }
    return r;
}

static int check_headers(const struct mime_message *m, struct mime_problem *problem)
{
    if (m->n_headers > MIME_HEADERS_MAX)
        return refuse(problem, MIME_LONG, "headers");
    for (size_t i = 0; i < m->n_headers; i++) {
        int r = check_header_name(m->headers[i].name);
        if (r)
            return refuse(problem, (enum mime_outcome)r, "headers[%zu].name", i);
        r = check_text(m->headers[i].value, MIME_HEADER_VALUE_MAX);
        if (r == 0 && m->headers[i].value.n == 0)
            r = MIME_EMPTY;
        if (r)
            return refuse(problem, (enum mime_outcome)r, "headers[%zu].value", i);
    }
    return 0;
}

/* A body may hold line ends and other controls: they are encoded. NUL is no text. */
static int check_body(struct str body)
{
    if (body.n > MIME_BODY_MAX)
        return MIME_LONG;
    if (!str_is_utf8(body))
        return MIME_NOT_UTF8;
    return str_find(body, '\0') < body.n ? MIME_CONTROL : 0;
}

static int check(const struct mime_message *m, struct mime_problem *problem)
{
    int r = check_recipients(m, problem);

    if (r == 0 && (r = m->subject.n == 0 ? MIME_EMPTY : check_text(m->subject, MIME_SUBJECT_MAX)))
        return refuse(problem, (enum mime_outcome)r, "subject");
    if (r == 0 && (r = check_id(m->message_id)))
        return refuse(problem, (enum mime_outcome)r, "messageId");
    if (r == 0 && (m->date < 0 || m->date >= date_end))
        return refuse(problem, MIME_MALFORMED, "date");
    if (r == 0 && m->unsubscribe_url.n > 0 && (r = check_url(m->unsubscribe_url)))
        return refuse(problem, (enum mime_outcome)r, "unsubscribeUrl");
    if (r == 0 && (r = check_body(m->text)))
        return refuse(problem, (enum mime_outcome)r, "text");
    if (r == 0 && (r = check_body(m->html)))
        return refuse(problem, (enum mime_outcome)r, "html");
    if (r == 0 && m->text.n + m->html.n == 0)
        return refuse(problem, MIME_EMPTY, "text");
    return r ? r : check_headers(m, problem);
}

static void write_unsubscribe(struct buf *out, struct str url)
{
    buf_add_str(out, STR("List-Unsubscribe: <"));
    buf_add_str(out, url);
    buf_add_str(out, STR(">\r\n"));
    /* Only https may be posted to (RFC 8058, section 3.1). */
    if (str_has_prefix(url, STR("https://")))
        mime_write_plain_field(out, STR("List-Unsubscribe-Post"),
                               STR("List-Unsubscribe=One-Click"));
}

static void write_head(struct buf *out, const struct mime_message *m)
{
    mime_write_date_field(out, m->date);
    mime_write_address_field(out, STR("From"), &m->from, 1);
    if (m->reply_to.address.n > 0)
        mime_write_address_field(out, STR("Reply-To"), &m->reply_to, 1);
    mime_write_address_field(out, STR("To"), m->to, m->n_to);
    mime_write_text_field(out, STR("Subject"), m->subject);
    buf_add_str(out, STR("Message-ID: <"));
    buf_add_str(out, m->message_id);
    buf_add_str(out, STR(">\r\n"));
    if (m->automatic)
        mime_write_plain_field(out, STR("Auto-Submitted"), STR("auto-generated"));
    if (m->unsubscribe_url.n > 0)
        write_unsubscribe(out, m->unsubscribe_url);
    for (size_t i = 0; i < m->n_headers; i++)
        mime_write_text_field(out, m->headers[i].name, m->headers[i].value);
    mime_write_plain_field(out, STR("MIME-Version"), STR("1.0"));
}

static void write_part(struct buf *out, struct str type, struct str body)
{
    buf_add_str(out, STR("Content-Type: "));
    buf_add_str(out, type);
    buf_add_str(out, STR("; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"));
    mime_write_quoted(out, body);
}

/*
 * Its "=_" occurs in no quoted-printable text (RFC 2045, section 6.7), and the digest keeps a
 * message that is quoted within another apart from it.
 */
static int make_boundary(struct str message_id, char ret_boundary[BOUNDARY_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    int r = sha256(message_id, digest);

    if (r)
        return r;
    memcpy(ret_boundary, "=_", 2);
    for (size_t i = 0; i < BOUNDARY_DIGEST; i++)
        snprintf(ret_boundary + 2 + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

/* The last part is the best one (RFC 2046, section 5.1.4). */
static int write_alternatives(struct buf *out, const struct mime_message *m)
{
    char boundary[BOUNDARY_SIZE];
    int r = make_boundary(m->message_id, boundary);

    if (r)
        return r;
    buf_printf(out, "Content-Type: multipart/alternative;\r\n boundary=\"%s\"\r\n\r\n", boundary);
    buf_printf(out, "--%s\r\n", boundary);
    write_part(out, STR("text/plain"), m->text);
    /* The line end before a boundary is the boundary's (RFC 2046, section 5.1.1). */
    buf_printf(out, "\r\n--%s\r\n", boundary);
    write_part(out, STR("text/html"), m->html);
    buf_printf(out, "\r\n--%s--\r\n", boundary);
    return 0;
}

int mime_write(const struct mime_message *m, struct buf *ret_message,
               struct mime_problem *ret_problem)
{
    size_t before = ret_message->n;
    int r = check(m, ret_problem);

    if (r)
        return r;
    write_head(ret_message, m);
    if (m->text.n > 0 && m->html.n > 0)
        r = write_alternatives(ret_message, m);
    else if (m->html.n > 0)
        write_part(ret_message, STR("text/html"), m->html);
    else
        write_part(ret_message, STR("text/plain"), m->text);
    if (r == 0)
        r = buf_fault(ret_message);
    if (r)
        ret_message->n = before;
    return r;
}
