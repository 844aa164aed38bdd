#include "api/app.h"
#include "base/fault.h"
#include "crypto/password.h"
#include "identity/email_address.h"

int api_cursor_id(struct call *call, struct str cursor, struct uuid *scratch,
                  const struct uuid **ret)
{
    *ret = NULL;
    if (cursor.n == 0)
        return 0;
    if (uuid_parse(cursor, scratch))
        return call_problem_field(call, "cursor", "This is no cursor of ours.");
    *ret = scratch;
    return 0;
}

int api_cursor_number(struct call *call, struct str cursor, int64_t *ret)
{
    *ret = 0;
    if (cursor.n && str_to_i64(cursor, 1, INT64_MAX, ret))
        return call_problem_field(call, "cursor", "This is no cursor of ours.");
    return 0;
}

int api_limited(struct call *call, const struct limiter_state *state)
{
    int64_t seconds = (state->reset_ms + 999) / 1000;

    buf_printf(&call->reply->headers,
               "Retry-After: %lld\r\nRateLimit-Limit: %lld\r\nRateLimit-Remaining: %lld\r\n"
               "RateLimit-Reset: %lld\r\n",
               (long long)seconds, (long long)state->limit, (long long)state->remaining,
               (long long)seconds);
    return call_problem(call, PROBLEM_RATE_LIMITED, "Too many attempts; try again in %lld s.",
                        (long long)seconds);
}

int api_email(struct call *call, struct str typed, struct str *ret)
{
    char address[EMAIL_ADDRESS_SIZE];
    size_t n;

    if (email_address_normalise(typed, address, &n))
        return call_problem_field(call, "email", "This is not a mail address.");
    *ret = arena_str(call->arena, (struct str){address, n});
    return ret->p ? 0 : FAULT_MEMORY;
}

int api_new_password(struct call *call, const char *field, struct str password)
{
    switch ((enum password_outcome)password_check(password)) {
    case PASSWORD_SHORT:
        return call_problem_field(call, field, "A password has at least %d characters.",
                                  PASSWORD_MIN);
    case PASSWORD_LONG:
        return call_problem_field(call, field, "A password has at most %d characters.",
                                  PASSWORD_MAX);
    case PASSWORD_COMMON:
        return call_problem_field(call, field,
                                  "This password is one of the commonest and would be guessed.");
    case PASSWORD_NOT_UTF8:
        return call_problem_field(call, field, "This is not UTF-8.");
    }
    return 0;
}
