#include "base/fault.h"
#include "http/route.h"

#include <stdarg.h>

static int describe(struct call *call, int problem, struct str field, const char *format,
                    va_list args) __attribute__((format(printf, 4, 0)));

static int describe(struct call *call, int problem, struct str field, const char *format,
                    va_list args)
{
    char text[512];
    int n = vsnprintf(text, sizeof text, format, args);

    if (n >= (int)sizeof text)
        n = (int)sizeof text - 1;
    call->problem_detail = arena_str(call->arena, (struct str){text, n > 0 ? (size_t)n : 0});
    call->problem_field = field;
    return problem;
}

int call_problem(struct call *call, enum problem problem, const char *format, ...)
{
    va_list args;

    if (!format)
        return problem;
    va_start(args, format);
    describe(call, problem, STR(""), format, args);
    va_end(args);
    return problem;
}

int call_problem_field(struct call *call, const char *field, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int r = describe(call, PROBLEM_INVALID_FIELD, str_of(field), format, args);
    va_end(args);
    return r;
}

int call_param_id(struct call *call, size_t index, struct uuid *ret)
{
    return uuid_parse(call->params[index], ret) ? PROBLEM_NOT_FOUND : 0;
}

int call_reply_written(struct call *call, const char *media_type)
{
    call->reply->status = call->route->status;
    int r = buf_fault(&call->reply->body);
    return r ? r : http_reply_header(call->reply, "Content-Type", str_of(media_type));
}

int call_reply(struct call *call, const void *object)
{
    struct json_writer w = json_writer(&call->reply->body);

    shape_write(&w, call->route->reply, object);
    return call_reply_written(call, "application/json");
}

int call_reply_list(struct call *call, const void *items, size_t n, struct str cursor)
{
    struct json_writer w = json_writer(&call->reply->body);
    const char *item = items;

    json_object_begin(&w);
    json_key(&w, "items");
    json_array_begin(&w);
    for (size_t i = 0; i < n; i++)
        shape_write(&w, call->route->reply, item + i * call->route->reply->size);
    json_array_end(&w);
    json_key(&w, "nextCursor");
    if (cursor.n)
        json_str(&w, cursor);
    else
        json_nil(&w);
    json_object_end(&w);
    return call_reply_written(call, "application/json");
}

int call_reply_empty(struct call *call)
{
    call->reply->status = call->route->status;
    return 0;
}
