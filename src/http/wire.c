#include "http/wire.h"

#include "base/clock.h"

void wire_date_set(struct wire_date *d, int64_t now_ms)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t second = (time_t)(now_ms / CLOCK_SECOND);
    struct tm tm;

    if (d->second == second && d->line[0])
        return;
    d->second = second;
    gmtime_r(&second, &tm);
    snprintf(d->line, sizeof d->line, "Date: %.3s, %02u %.3s %04u %02u:%02u:%02u GMT\r\n",
             days + tm.tm_wday * 3, (unsigned)tm.tm_mday % 100, months + tm.tm_mon * 3,
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
             (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

bool wire_is_bodiless(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static void put_status(struct buf *out, int status)
{
    char line[] = "HTTP/1.1 000 ";

    line[9] = (char)('0' + status / 100 % 10);
    line[10] = (char)('0' + status / 10 % 10);
    line[11] = (char)('0' + status % 10);
    buf_add(out, line, sizeof line - 1);
    buf_add_str(out, str_of(http_reason(status)));
    buf_add(out, "\r\n", 2);
}

static void put_length(struct buf *out, uint64_t n)
{
    char line[] = "Content-Length: 00000000000000000000\r\n";
    enum { NAME = sizeof "Content-Length: " - 1, DIGITS = 20 };
    size_t i = NAME + DIGITS;

    do {
        line[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    buf_add(out, line, NAME);
    buf_add(out, line + i, NAME + DIGITS - i + 2);
}

int wire_reply(struct buf *out, const struct http_reply *reply, const struct wire_form *form,
               const struct wire_date *date)
{
    enum { FIXED_MAX = 256 };
    bool bodiless = wire_is_bodiless(reply->status);
    bool with_body = form->framing == WIRE_LENGTH && !form->head_only && !bodiless;

    int r = buf_reserve(out, FIXED_MAX + reply->headers.n + (with_body ? reply->body.n : 0));
    if (r)
        return r;
    put_status(out, reply->status);
    buf_add_str(out, buf_str(&reply->headers));
    buf_add_str(out, str_of(date->line));
    if (!bodiless && form->framing == WIRE_LENGTH)
        put_length(out, reply->body.n);
    if (!bodiless && form->framing == WIRE_CHUNKED)
        buf_add_str(out, STR("Transfer-Encoding: chunked\r\n"));
    if (form->close)
        buf_add_str(out, STR("Connection: close\r\n"));
    else if (form->minor == 0)
        buf_add_str(out, STR("Connection: keep-alive\r\n"));
    buf_add(out, "\r\n", 2);
    if (with_body)
        buf_add_str(out, buf_str(&reply->body));
    return buf_fault(out);
}
