#include "mail/ses_answer.h"

#include "mail/strict_json.h"

static bool is_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

int ses_answer_message_id(struct str answer, char *ret, size_t size)
{
    _cleanup_json_ json_t *tree = NULL;
    struct str id = {0};

    if (strict_json_load(answer, &tree) || strict_json_text(tree, "MessageId", size - 1, &id) ||
        !id.p || !is_id(id))
        return 1;
    memcpy(ret, id.p, id.n);
    ret[id.n] = '\0';
    return 0;
}

int ses_answer_account(struct str answer, struct ses_account *ret)
{
    _cleanup_json_ json_t *tree = NULL;
    struct str enforcement = {0};

    if (strict_json_load(answer, &tree))
        return 1;
    const json_t *production = json_object_get(tree, "ProductionAccessEnabled");
    const json_t *sending = json_object_get(tree, "SendingEnabled");
    const json_t *quota = json_object_get(tree, "SendQuota");
    if (!json_is_boolean(production) || !json_is_boolean(sending) ||
        strict_json_text(tree, "EnforcementStatus", sizeof ret->enforcement - 1, &enforcement))
        return 1;
    *ret = (struct ses_account){
        .production = json_is_true(production),
        .sending = json_is_true(sending),
        .per_day = json_number_value(json_object_get(quota, "Max24HourSend")),
        .per_second = json_number_value(json_object_get(quota, "MaxSendRate")),
        .sent_today = json_number_value(json_object_get(quota, "SentLast24Hours")),
    };
    if (enforcement.n > 0)
        memcpy(ret->enforcement, enforcement.p, enforcement.n);
    return 0;
}
