#include "net/aws_credentials.h"

#include "base/fault.h"
#include "crypto/init.h"

#include <pthread.h>

struct aws_credentials {
    const struct aws_options *options;
    pthread_mutex_t lock;
    pthread_cond_t fetched;
    bool fetching, have;
    unsigned turn; /* how often they were fetched */
    struct aws_keys keys;
    int64_t next_at; /* no fetch before it, ms since 1970 */
    /* Of the last fetch. */
    int result;
    char reason[AWS_TEXT_SIZE];
};

int aws_credentials_new(const struct aws_options *options, struct aws_credentials **ret)
{
    struct aws_credentials *c = calloc(1, sizeof *c);

    if (!c)
        return fault_set(FAULT_MEMORY, "no memory for credentials");
    c->options = options;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->fetched, NULL);
    *ret = c;
    return 0;
}

void aws_credentials_free(struct aws_credentials *c)
{
    if (!c)
        return;
    pthread_cond_destroy(&c->fetched);
    pthread_mutex_destroy(&c->lock);
    crypto_wipe(c, sizeof *c);
    free(c);
}

/* Whether what we have will still be good for so long. */
static bool good_for(const struct aws_credentials *c, int64_t ms)
{
    return c->have && (c->keys.expires == 0 || c->keys.expires - clock_now() > ms);
}

/* The lock is held, but not while the fetch is under way. */
static void fetch(struct aws_credentials *c)
{
    struct aws_keys keys = {0};
    char reason[AWS_TEXT_SIZE] = "";

    c->fetching = true;
    pthread_mutex_unlock(&c->lock);
    int r = aws_sources_fetch(c->options, &keys, reason);
    if (r < 0)
        aws_error_text(str_of(fault_message()), reason);
    pthread_mutex_lock(&c->lock);
    if (r == 0) {
        c->keys = keys;
        c->have = true;
        c->turn++;
    }
    c->result = r;
    memcpy(c->reason, reason, sizeof c->reason);
    c->next_at = clock_now() + (good_for(c, 0) ? AWS_AGAIN_MS : AWS_FAILED_MS);
    c->fetching = false;
    pthread_cond_broadcast(&c->fetched);
    crypto_wipe(&keys, sizeof keys);
}

static int give(const struct aws_credentials *c, struct aws_keys *ret_keys, unsigned *ret_turn,
                char ret_reason[AWS_TEXT_SIZE])
{
    if (!good_for(c, 0)) {
        memcpy(ret_reason, c->reason, AWS_TEXT_SIZE);
        if (c->result < 0)
            return fault_set((enum fault)c->result, "%s", c->reason);
        if (c->result == 0)
            snprintf(ret_reason, AWS_TEXT_SIZE, "the credentials that are given have expired");
        return AWS_SOURCES_NONE;
    }
    *ret_keys = c->keys;
    *ret_turn = c->turn;
    return 0;
}

int aws_credentials_get(struct aws_credentials *c, struct aws_keys *ret_keys, unsigned *ret_turn,
                        char ret_reason[AWS_TEXT_SIZE])
{
    pthread_mutex_lock(&c->lock);
    while (c->fetching && !good_for(c, AWS_WAIT_MS))
        pthread_cond_wait(&c->fetched, &c->lock);
    if (!c->fetching && !good_for(c, AWS_RENEW_MS) && clock_now() >= c->next_at)
        fetch(c);
    int r = give(c, ret_keys, ret_turn, ret_reason);
    pthread_mutex_unlock(&c->lock);
    return r;
}

bool aws_credentials_drop(struct aws_credentials *c, unsigned turn)
{
    pthread_mutex_lock(&c->lock);
    bool others = c->options->sources.key_id.n == 0;
    if (others && c->have && c->turn == turn) {
        c->have = false;
        c->next_at = 0;
    }
    pthread_mutex_unlock(&c->lock);
    return others;
}
