/* How many messages of SNS one thread verifies a second, once it knows the certificate. */
#include "base/clock.h"
#include "mail/sns_scene.h"

#include <stdio.h>

/* A delivery as bench/events.c tells of it is about as long. */
enum { MESSAGE_SIZE = 800 };

static struct buf envelope(void)
{
    struct sns_fixture_envelope e = sns_scene_notification();
    struct buf signature = buf_init(4096), json = buf_init(SNS_BODY_MAX);
    char message[MESSAGE_SIZE + 1];

    memset(message, 'x', MESSAGE_SIZE);
    message[MESSAGE_SIZE] = '\0';
    e.message = message;
    e.version = "2";
    sns_fixture_sign(&e, sns_scene.key, 0, &signature);
    sns_fixture_json(&e, buf_str(&signature), &json);
    buf_free(&signature);
    return json;
}

/* Returns how many were verified, or 0 where one was not. */
static uint64_t verify(struct str json, int64_t until_us)
{
    uint64_t n = 0;

    for (; clock_mono_us() < until_us; n++) {
        struct arena arena _cleanup_arena_ = arena_init(SNS_ARENA_MAX);
        struct sns_message m;
        if (sns_verify(sns_scene.verifier, json, SNS_SCENE_NOW, &arena, &m))
            return 0;
    }
    return n;
}

int main(int argc, char **argv)
{
    uint64_t seconds;
    if (argc != 2 || str_to_u64(str_of(argv[1]), 3600, &seconds) || seconds == 0) {
        fputs("usage: sns SECONDS\n", stderr);
        return 2;
    }
    if (sns_scene_open(NULL) || sns_scene_set_up(NULL))
        return 1;
    struct buf json = envelope();
    uint64_t n = verify(buf_str(&json), clock_mono_us() + (int64_t)seconds * 1000000);
    printf("{\"perSecond\":%.1f}\n", (double)n / (double)seconds);
    buf_free(&json);
    sns_scene_tear_down(NULL);
    sns_scene_close(NULL);
    return n ? 0 : 1;
}
