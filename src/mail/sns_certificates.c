#include "mail/sns_certificates.h"

#include "base/fault.h"
#include "base/log.h"

#include <pthread.h>

enum { REFUSALS = 64 };

struct known {
    char url[SNS_CERT_URL_SIZE]; /* "" where the entry is free */
    struct certificate *certificate;
    int64_t checked_at, used_at;
};

struct refusal {
    char url[SNS_CERT_URL_SIZE];
    int outcome;
    int64_t at;
};

/* A fetch under way; the waiters of the last one may still be leaving. */
struct flight {
    char url[SNS_CERT_URL_SIZE]; /* "" where there is none */
    int waiters;
};

struct sns_certificates {
    struct sns_settings settings;
    pthread_mutex_t lock;
    pthread_cond_t landed;
    struct known known[SNS_CERTIFICATES_MAX];
    struct refusal refusals[REFUSALS];
    struct flight flights[SNS_FETCHES_AT_ONCE];
    int64_t minute; /* the one in which `fetches` were begun */
    int fetches;
};

int sns_certificates_new(const struct sns_settings *settings, struct sns_certificates **ret)
{
    struct sns_certificates *c = calloc(1, sizeof *c);

    if (!c)
        return fault_set(FAULT_MEMORY, "no memory for certificates");
    c->settings = *settings;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->landed, NULL);
    *ret = c;
    return 0;
}

void sns_certificates_free(struct sns_certificates *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < SNS_CERTIFICATES_MAX; i++)
        certificate_release(c->known[i].certificate);
    pthread_cond_destroy(&c->landed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Whether what was noted at `at` still holds; a clock that went far back ends it, too. */
static bool fresh(int64_t at, int64_t now_ms, int64_t age_ms)
{
    return now_ms - at < age_ms && at - now_ms < CLOCK_MINUTE;
}

static struct known *find_known(struct sns_certificates *c, const char *url)
{
    for (size_t i = 0; i < SNS_CERTIFICATES_MAX; i++)
        if (strcmp(c->known[i].url, url) == 0)
            return &c->known[i];
    return NULL;
}

static bool refusal_holds(const struct refusal *r, int64_t now_ms)
{
    return *r->url && fresh(r->at, now_ms,
                            r->outcome == SNS_CERTIFICATE_REFUSED ? SNS_REFUSED_AGE_MS
                                                                  : SNS_UNREACHABLE_AGE_MS);
}

static const struct refusal *find_refusal(const struct sns_certificates *c, const char *url,
                                          int64_t now_ms)
{
    for (size_t i = 0; i < REFUSALS; i++)
        if (refusal_holds(&c->refusals[i], now_ms) && strcmp(c->refusals[i].url, url) == 0)
            return &c->refusals[i];
    return NULL;
}

static struct flight *find_flight(struct sns_certificates *c, const char *url)
{
    for (size_t i = 0; i < SNS_FETCHES_AT_ONCE; i++)
        if (strcmp(c->flights[i].url, url) == 0)
            return &c->flights[i];
    return NULL;
}

static void forget(struct known *k)
{
    certificate_release(k->certificate);
    *k = (struct known){0};
}

/* Notes the certificate in the place of the one that was unused for longest. */
static void keep(struct sns_certificates *c, const char *url, struct certificate *certificate,
                 int64_t now_ms)
{
    struct known *k = find_known(c, url);

    if (!k)
        k = find_known(c, "");
    for (size_t i = 0; !k && i < SNS_CERTIFICATES_MAX; i++) {
        struct known *oldest = &c->known[i];
        for (size_t j = i + 1; j < SNS_CERTIFICATES_MAX; j++)
            if (c->known[j].used_at < oldest->used_at)
                oldest = &c->known[j];
        k = oldest;
    }
    forget(k);
    snprintf(k->url, sizeof k->url, "%s", url);
    k->certificate = certificate_hold(certificate);
    k->checked_at = k->used_at = now_ms;
}

static void refuse(struct sns_certificates *c, const char *url, int outcome, int64_t now_ms)
{
    struct refusal *place = &c->refusals[0];

    for (size_t i = 0; i < REFUSALS; i++) {
        struct refusal *r = &c->refusals[i];
        if (!refusal_holds(r, now_ms) || strcmp(r->url, url) == 0) {
            place = r;
            break;
        }
        if (r->at < place->at)
            place = r;
    }
    snprintf(place->url, sizeof place->url, "%s", url);
    place->outcome = outcome;
    place->at = now_ms;
}

static const char *reason_of(int outcome)
{
    static const char *const reasons[] = {
        [CERTIFICATE_MALFORMED] = "it is not a certificate",
        [CERTIFICATE_WEAK] = "its key is not an RSA key of a fit size",
        [CERTIFICATE_NAME] = "it is not made out to SNS",
        [CERTIFICATE_DATES] = "it is not valid now",
        [CERTIFICATE_CHAIN] = "no trusted root vouches for it",
    };

    return reasons[outcome];
}

/* Fetches and checks, without the lock. */
static int obtain(const struct sns_certificates *c, const char *url, const struct sns_topic *topic,
                  int64_t now_ms, struct certificate **ret_certificate)
{
    _cleanup_buf_ struct buf pem = buf_init(CERTIFICATE_PEM_MAX);
    char texts[SNS_NAMES][SNS_HOST_SIZE];
    struct str names[SNS_NAMES];
    int e = c->settings.fetch(c->settings.context, url, &pem);

    if (e > 0) {
        log_warn("the signing certificate %s was not to be had", url);
        return e == SNS_FETCH_REFUSED ? SNS_CERTIFICATE_REFUSED : SNS_CERTIFICATE_UNREACHABLE;
    }
    if (e < 0)
        return e;
    sns_topic_names(topic, texts);
    for (size_t i = 0; i < SNS_NAMES; i++)
        names[i] = str_of(texts[i]);
    e = certificate_check(c->settings.trust, buf_str(&pem), names, SNS_NAMES, now_ms,
                          ret_certificate);
    if (e > 0) {
        log_warn("the signing certificate %s was refused: %s", url, reason_of(e));
        return SNS_CERTIFICATE_REFUSED;
    }
    return e;
}

/*
 * Notes what a fetch gave. Where it gave no answer and the certificate is known, that one serves
 * on: a URL names its content. Returns the outcome that holds then.
 */
static int note(struct sns_certificates *c, const char *url, int e, int64_t now_ms,
                struct certificate **certificate)
{
    struct known *k = find_known(c, url);

    if (e == 0) {
        keep(c, url, *certificate, now_ms);
    } else if (e == SNS_CERTIFICATE_UNREACHABLE && k) {
        k->checked_at = now_ms - SNS_CERTIFICATE_AGE_MS + SNS_UNREACHABLE_AGE_MS;
        *certificate = certificate_hold(k->certificate);
        e = 0;
    } else if (e > 0) {
        if (k)
            forget(k);
        refuse(c, url, e, now_ms);
    }
    return e;
}

/* Whether one more URL that never gave a certificate may be fetched in this minute. */
static bool spend(struct sns_certificates *c, int64_t now_ms)
{
    if (c->minute != now_ms / CLOCK_MINUTE) {
        c->minute = now_ms / CLOCK_MINUTE;
        c->fetches = 0;
    }
    return c->fetches < SNS_FETCHES_PER_MINUTE && ++c->fetches > 0;
}

/* Under the lock, which is given back while the fetch lasts. */
static int fly(struct sns_certificates *c, const char *url, const struct sns_topic *topic,
               int64_t now_ms, struct sns_errand *errand, struct certificate **ret_certificate)
{
    struct flight *flight = find_flight(c, "");
    struct certificate *certificate = NULL;
    bool unknown = !find_known(c, url);
    int e;

    if (!flight || (unknown && (errand->forbidden || !spend(c, now_ms))))
        return SNS_CERTIFICATE_UNREACHABLE;
    snprintf(flight->url, sizeof flight->url, "%s", url);
    pthread_mutex_unlock(&c->lock);
    e = obtain(c, url, topic, now_ms, &certificate);
    pthread_mutex_lock(&c->lock);
    e = note(c, url, e, now_ms, &certificate);
    errand->in_vain = unknown && e == SNS_CERTIFICATE_REFUSED;
    *flight->url = 0;
    pthread_cond_broadcast(&c->landed);
    if (!e)
        *ret_certificate = certificate;
    return e;
}

/* Under the lock. What is known of the URL; *ret_answered is false where that is nothing. */
static int look_up(struct sns_certificates *c, const char *url, int64_t now_ms,
                   struct certificate **ret_certificate, bool *ret_answered)
{
    struct known *k = find_known(c, url);
    const struct refusal *r = find_refusal(c, url, now_ms);

    *ret_answered = true;
    if (k && fresh(k->checked_at, now_ms, SNS_CERTIFICATE_AGE_MS)) {
        k->used_at = now_ms;
        *ret_certificate = certificate_hold(k->certificate);
        return 0;
    }
    if (r)
        return r->outcome;
    *ret_answered = false;
    return 0;
}

static int get(struct sns_certificates *c, const char *url, const struct sns_topic *topic,
               int64_t now_ms, struct sns_errand *errand, struct certificate **ret_certificate)
{
    for (;;) {
        struct flight *flight;
        bool answered;
        int e = look_up(c, url, now_ms, ret_certificate, &answered);
        if (answered)
            return e;
        flight = find_flight(c, url);
        if (!flight)
            return fly(c, url, topic, now_ms, errand, ret_certificate);
        if (flight->waiters == SNS_WAITERS_MAX)
            return SNS_CERTIFICATE_UNREACHABLE;
        flight->waiters++;
        pthread_cond_wait(&c->landed, &c->lock);
        flight->waiters--;
    }
}

int sns_certificates_get(struct sns_certificates *c, struct str url, const struct sns_topic *topic,
                         int64_t now_ms, struct sns_errand *errand,
                         struct certificate **ret_certificate)
{
    struct certificate *certificate = NULL;
    char text[SNS_CERT_URL_SIZE];
    int e;

    if (url.n == 0 || url.n >= sizeof text)
        return SNS_CERTIFICATE_REFUSED;
    snprintf(text, sizeof text, "%.*s", STR_ARG(url));
    pthread_mutex_lock(&c->lock);
    e = get(c, text, topic, now_ms, errand, &certificate);
    pthread_mutex_unlock(&c->lock);
    if (!e && !certificate_valid_at(certificate, now_ms)) {
        certificate_release(certificate);
        return SNS_CERTIFICATE_REFUSED;
    }
    if (!e)
        *ret_certificate = certificate;
    return e;
}
