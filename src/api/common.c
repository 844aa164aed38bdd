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

int api_address(struct call *call, const char *field, struct str typed, struct str *ret)
{
    char address[EMAIL_ADDRESS_SIZE];
    size_t n;

    if (email_address_normalise(typed, address, &n))
        return call_problem_field(call, field, "This is not a mail address.");
    *ret = arena_str(call->arena, (struct str){address, n});
    return ret->p ? 0 : FAULT_MEMORY;
}

int api_email(struct call *call, struct str typed, struct str *ret)
{
    return api_address(call, "email", typed, ret);
}

bool api_wants(const struct call *call, const char *media_type)
{
    struct str accept = http_header_find(call->request, STR("Accept"), NULL);

    return str_has_prefix_ci(accept, str_of(media_type));
}

/* Under the lock. Returns whether there was a place. */
static bool take_place(struct api_exports *e, const struct uuid *tenant, size_t most)
{
    size_t own = 0;

    for (size_t i = 0; i < e->n; i++)
        own += uuid_eq(&e->tenants[i], tenant);
    if (e->n >= most || own >= (most + 1) / 2)
        return false;
    e->tenants[e->n++] = *tenant;
    return true;
}

int api_export_begin(struct call *call)
{
    struct api_exports *e = &app_of(call)->exports;
    size_t most = (size_t)(config_current()->worker_threads + 3) / 4;

    pthread_mutex_lock(&e->lock);
    bool taken =
        take_place(e, &call->who.tenant_id, most < API_EXPORTS_MAX ? most : API_EXPORTS_MAX);
    pthread_mutex_unlock(&e->lock);
    if (taken)
        return 0;
    http_reply_header(call->reply, "Retry-After", STR("10"));
    return call_problem(call, PROBLEM_UNAVAILABLE, "Too many exports are under way.");
}

void api_export_end(struct call *call)
{
    struct api_exports *e = &app_of(call)->exports;
    size_t i = 0;

    pthread_mutex_lock(&e->lock);
    while (i < e->n && !uuid_eq(&e->tenants[i], &call->who.tenant_id))
        i++;
    if (i < e->n)
        e->tenants[i] = e->tenants[--e->n];
    pthread_mutex_unlock(&e->lock);
}

int api_export_head(struct call *call, const struct trail_event *event, const char *file,
                    const char *media_type)
{
    char disposition[100];
    int r = event ? trail_append_now(app_of(call)->trail, &call->actor, event) : 0;

    call->trailed = call->trailed || (event && r == 0);
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", file);
    if (r == 0)
        r = http_reply_header(call->reply, "Content-Disposition", str_of(disposition));
    return r ? r : call_stream_begin(call, media_type);
}

int api_export_write(struct call *call, struct buf *out)
{
    int r = buf_fault(out);

    if (r == 0 && out->n)
        r = http_stream_write(call->reply, out->p, out->n);
    buf_reset(out);
    return r;
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
