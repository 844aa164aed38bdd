#include "net/transfer.h"

#include "base/clock.h"
#include "base/fault.h"
#include "crypto/init.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

/* libcurl keeps copies of passwords and frees them as they are; so its memory is overwritten. */
static void wiping_free(void *p)
{
    if (p)
        crypto_wipe(p, malloc_usable_size(p));
    free(p);
}

static void *wiping_realloc(void *p, size_t n)
{
    void *grown = malloc(n);

    if (!grown || !p)
        return grown;
    size_t held = malloc_usable_size(p);
    memcpy(grown, p, held < n ? held : n);
    wiping_free(p);
    return grown;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode started;

static void start(void)
{
    started = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup,
                                   calloc);
}

int transfer_init(struct transfer *t, const struct transfer_options *options)
{
    if (pthread_once(&once, start) != 0 || started != CURLE_OK)
        return fault_set(FAULT_INTERNAL, "cannot start libcurl");
    *t = (struct transfer){.options = *options};
    if (!t->options.connect_timeout_ms)
        t->options.connect_timeout_ms = TRANSFER_CONNECT_MS;
    if (!t->options.total_timeout_ms)
        t->options.total_timeout_ms = TRANSFER_TOTAL_MS;
    if (t->options.connect_timeout_ms < 0 || t->options.connect_timeout_ms > TRANSFER_TIME_MAX ||
        t->options.total_timeout_ms < 0 || t->options.total_timeout_ms > TRANSFER_TIME_MAX)
        return fault_set(FAULT_INTERNAL, "a timeout outside 1 to %d ms", TRANSFER_TIME_MAX);
    t->easy = curl_easy_init();
    return t->easy ? 0 : fault_set(FAULT_MEMORY, "no memory for a transfer");
}

void transfer_release(struct transfer *t)
{
    transfer_end(t);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
}

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool found = curl_url_get(url, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return found;
}

static int check_parts(CURLU *url, const char *const *schemes, bool userinfo)
{
    char *scheme = NULL;
    bool known = false;

    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
        for (; *schemes && !known; schemes++)
            known = strcmp(scheme, *schemes) == 0;
    curl_free(scheme);
    if (!known)
        fault_keep("the URL's scheme is not one that may be called");
    else if (has_part(url, CURLUPART_FRAGMENT))
        fault_keep("the URL has a fragment");
    else if (has_part(url, CURLUPART_ZONEID))
        fault_keep("the URL's address names a network interface");
    else if (!userinfo && (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD)))
        fault_keep("the URL has a user name or password in it");
    else
        return 0;
    return 1;
}

/* Nothing but printable ASCII, not much of it, and a host behind two slashes: libcurl would take
 * one or three as well. */
static bool is_plain(struct str url)
{
    size_t colon = str_find(url, ':');

    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] > '~' || url.p[i] == '\\')
            return false;
    return url.n <= TRANSFER_URL_MAX && url.n - colon > 3 && url.p[colon + 1] == '/' &&
           url.p[colon + 2] == '/' && url.p[colon + 3] != '/';
}

int transfer_url(struct transfer *t, struct str url, const char *const *schemes, bool userinfo)
{
    char text[TRANSFER_URL_MAX + 1];

    transfer_end(t);
    if (!is_plain(url)) {
        fault_keep("the URL is too long, or not scheme://host/... in plain ASCII");
        return 1;
    }
    t->url = curl_url();
    if (!t->url)
        return fault_set(FAULT_MEMORY, "no memory for a URL");
    memcpy(text, url.p, url.n);
    text[url.n] = '\0';
    CURLUcode code = curl_url_set(t->url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
    crypto_wipe(text, url.n);
    if (code == CURLUE_OUT_OF_MEMORY)
        return fault_set(FAULT_MEMORY, "no memory for a URL");
    if (code != CURLUE_OK) {
        fault_keep("the URL cannot be read: %s", curl_url_strerror(code));
        return 1;
    }
    return check_parts(t->url, schemes, userinfo);
}

void transfer_set(struct transfer *t, CURLoption option, long value)
{
    if (t->setting == CURLE_OK)
        t->setting = curl_easy_setopt(t->easy, option, value);
}

void transfer_set_size(struct transfer *t, CURLoption option, size_t value)
{
    if (t->setting == CURLE_OK)
        t->setting = curl_easy_setopt(t->easy, option, (curl_off_t)value);
}

void transfer_set_text(struct transfer *t, CURLoption option, const char *value)
{
    if (t->setting == CURLE_OK)
        t->setting = curl_easy_setopt(t->easy, option, value);
}

void transfer_set_pointer(struct transfer *t, CURLoption option, void *value)
{
    if (t->setting == CURLE_OK)
        t->setting = curl_easy_setopt(t->easy, option, value);
}

void transfer_set_call(struct transfer *t, CURLoption option, void (*call)(void))
{
    if (t->setting == CURLE_OK)
        t->setting = curl_easy_setopt(t->easy, option, call);
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct transfer *t = context;

    if (!guard_permits(&t->options.guard, &a->addr, a->addrlen)) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    t->permitted = true;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/*
 * libcurl's own timeout does not hold for the farewell of a connection, which a server may leave
 * unanswered for minutes. Until then it is the better one, for it says what it waited for.
 */
static int watch_time(void *context, curl_off_t total_in, curl_off_t in, curl_off_t total_out,
                      curl_off_t out)
{
    enum { GRACE_MS = 250 };
    const struct transfer *t = context;

    return clock_mono() > t->deadline + GRACE_MS;
}

void transfer_hurry(struct transfer *t, int64_t ms)
{
    int64_t deadline = clock_mono() + ms;

    if (deadline < t->deadline)
        t->deadline = deadline;
}

static void set_tls(struct transfer *t)
{
    transfer_set(t, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    transfer_set(t, CURLOPT_SSL_VERIFYPEER, 1);
    transfer_set(t, CURLOPT_SSL_VERIFYHOST, 2);
    if (t->options.ca_file) {
        transfer_set_text(t, CURLOPT_CAINFO, t->options.ca_file);
        transfer_set_text(t, CURLOPT_CAPATH, NULL);
    }
}

void transfer_begin(struct transfer *t)
{
    curl_easy_reset(t->easy);
    t->setting = CURLE_OK;
    t->refused = t->permitted = false;
    t->error[0] = '\0';
    transfer_set_pointer(t, CURLOPT_CURLU, t->url);
    transfer_set_text(t, CURLOPT_PROTOCOLS_STR, t->options.protocols);
    transfer_set(t, CURLOPT_FOLLOWLOCATION, 0);
    transfer_set_text(t, CURLOPT_PROXY, "");
    transfer_set(t, CURLOPT_NETRC, CURL_NETRC_IGNORED);
    transfer_set(t, CURLOPT_NOSIGNAL, 1);
    transfer_set(t, CURLOPT_FRESH_CONNECT, 1);
    transfer_set(t, CURLOPT_FORBID_REUSE, 1);
    transfer_set(t, CURLOPT_DNS_CACHE_TIMEOUT, 0);
    /* Else a name server that does not answer is waited for past the timeout. */
    transfer_set(t, CURLOPT_QUICK_EXIT, 1);
    transfer_set(t, CURLOPT_CONNECTTIMEOUT_MS, (long)t->options.connect_timeout_ms);
    transfer_set(t, CURLOPT_TIMEOUT_MS, (long)t->options.total_timeout_ms);
    transfer_set_pointer(t, CURLOPT_ERRORBUFFER, t->error);
    transfer_set_call(t, CURLOPT_OPENSOCKETFUNCTION, (void (*)(void))open_socket);
    transfer_set_pointer(t, CURLOPT_OPENSOCKETDATA, t);
    transfer_set(t, CURLOPT_NOPROGRESS, 0);
    transfer_set_call(t, CURLOPT_XFERINFOFUNCTION, (void (*)(void))watch_time);
    transfer_set_pointer(t, CURLOPT_XFERINFODATA, t);
    set_tls(t);
}

int transfer_list_add(struct transfer *t, const char *line)
{
    struct curl_slist *list = curl_slist_append(t->list, line);

    if (!list)
        return fault_set(FAULT_MEMORY, "no memory for a line of a request");
    t->list = list;
    return 0;
}

int transfer_run(struct transfer *t, CURLcode *ret_code)
{
    if (t->setting != CURLE_OK)
        return fault_set(t->setting == CURLE_OUT_OF_MEMORY ? FAULT_MEMORY : FAULT_INTERNAL,
                         "libcurl refuses a setting: %s", curl_easy_strerror(t->setting));
    t->deadline = clock_mono() + t->options.total_timeout_ms;
    CURLcode code = curl_easy_perform(t->easy);
    if (code == CURLE_OUT_OF_MEMORY)
        return fault_set(FAULT_MEMORY, "no memory for a transfer");
    if (code == CURLE_SSL_CACERT_BADFILE)
        return fault_set(FAULT_INTERNAL, "the file of certificate authorities cannot be read");
    *ret_code = code;
    return 0;
}

void transfer_end(struct transfer *t)
{
    /* What the handle borrows is freed, so it must not point there. */
    if (t->easy)
        curl_easy_reset(t->easy);
    curl_slist_free_all(t->list);
    t->list = NULL;
    curl_url_cleanup(t->url);
    t->url = NULL;
}

const char *transfer_error(const struct transfer *t, CURLcode code)
{
    return t->error[0] ? t->error : curl_easy_strerror(code);
}

bool transfer_timed_out(CURLcode code)
{
    return code == CURLE_OPERATION_TIMEDOUT || code == CURLE_ABORTED_BY_CALLBACK;
}

bool transfer_tls_failed(CURLcode code)
{
    return code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION ||
           code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CIPHER ||
           code == CURLE_SSL_INVALIDCERTSTATUS || code == CURLE_USE_SSL_FAILED ||
           code == CURLE_SSL_PINNEDPUBKEYNOTMATCH;
}
