#include "crypto/wiped_json.h"

#include "crypto/init.h"

#include <jansson.h>
#include <malloc.h>
#include <pthread.h>

static void free_wiped(void *p)
{
    if (p)
        crypto_wipe(p, malloc_usable_size(p));
    free(p);
}

static void set_up(void)
{
    json_set_alloc_funcs(malloc, free_wiped);
}

void wiped_json(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, set_up);
}
