#include "net/domain_check.h"

#include "base/clock.h"
#include "base/fault.h"
#include "net/dns_name.h"
#include "net/mail_policy.h"
#include "net/spf.h"

enum finding {
    SPF_OK,
    SPF_MISSING,
    SPF_MULTIPLE,
    SPF_SYNTAX,
    SPF_LOOKUPS,
    SPF_NO_SES,
    SPF_PASS_ALL,
    SPF_NO_ALL,
    SPF_UNKNOWN,
    DKIM_OK,
    DKIM_NOT_GIVEN,
    DKIM_MISSING,
    DKIM_MULTIPLE,
    DKIM_SYNTAX,
    DKIM_REVOKED,
    DKIM_WEAK,
    DKIM_TESTING,
    DKIM_UNKNOWN,
    DMARC_OK,
    DMARC_MISSING,
    DMARC_MULTIPLE,
    DMARC_SYNTAX,
    DMARC_MONITOR,
    DMARC_PARTIAL,
    DMARC_UNKNOWN,
    MX_OK,
    MX_MISSING,
    MX_NULL,
    MX_UNKNOWN,
    FINDINGS
};

/* A sentence may have one "%s", for the detail. */
static const struct {
    enum domain_state state;
    const char *sentence;
} findings[FINDINGS] = {
    [SPF_OK] = {DOMAIN_GOOD, "SPF names who may send for the domain."},
    [SPF_MISSING] = {DOMAIN_BAD, "There is no SPF record; publish one that names who may send."},
    [SPF_MULTIPLE] = {DOMAIN_BAD, "There is more than one SPF record, so none counts; join them."},
    [SPF_SYNTAX] = {DOMAIN_BAD, "The SPF record cannot be read at \"%s\", so it does not count."},
    [SPF_LOOKUPS] = {DOMAIN_BAD, "The SPF record asks for more than 10 lookups, so it fails; "
                                 "replace some by addresses."},
    [SPF_NO_SES] = {DOMAIN_BAD, "The SPF record does not pass Amazon SES; add "
                                "\"include:amazonses.com\" before its end."},
    [SPF_PASS_ALL] = {DOMAIN_BAD, "The SPF record lets everybody send (\"+all\"); end it with "
                                  "\"-all\" or \"~all\"."},
    [SPF_NO_ALL] = {DOMAIN_WARNING, "The SPF record does not say what becomes of mail from "
                                    "elsewhere; end it with \"-all\" or \"~all\"."},
    [SPF_UNKNOWN] = {DOMAIN_UNKNOWN, "SPF could not be looked up: %s."},
    [DKIM_OK] = {DOMAIN_GOOD, "The DKIM key is published."},
    [DKIM_NOT_GIVEN] = {DOMAIN_UNKNOWN,
                        "No DKIM selector is configured, so no key was looked for."},
    [DKIM_MISSING] = {DOMAIN_BAD, "There is no DKIM key; publish the one that the sender signs "
                                  "with."},
    [DKIM_MULTIPLE] = {DOMAIN_BAD, "There is more than one DKIM record under one selector; keep "
                                   "one."},
    [DKIM_SYNTAX] = {DOMAIN_BAD, "The DKIM record cannot be read, so signatures do not verify."},
    [DKIM_REVOKED] = {DOMAIN_BAD, "The DKIM key is revoked (p= is empty)."},
    [DKIM_WEAK] = {DOMAIN_BAD, "The DKIM key is shorter than 1024 bits, which receivers refuse "
                               "(RFC 8301)."},
    [DKIM_TESTING] = {DOMAIN_WARNING, "The DKIM key is marked as a test (t=y), so receivers may "
                                      "ignore it."},
    [DKIM_UNKNOWN] = {DOMAIN_UNKNOWN, "The DKIM key could not be looked up: %s."},
    [DMARC_OK] = {DOMAIN_GOOD, "DMARC asks receivers to keep forgeries out."},
    [DMARC_MISSING] = {DOMAIN_BAD, "There is no DMARC record; publish one, at first with p=none."},
    [DMARC_MULTIPLE] = {DOMAIN_BAD, "There is more than one DMARC record, so none counts; keep "
                                    "one."},
    [DMARC_SYNTAX] = {DOMAIN_BAD, "The DMARC record cannot be read, so it does not count."},
    [DMARC_MONITOR] = {DOMAIN_WARNING, "DMARC only watches (none): forgeries are delivered; go on "
                                       "to quarantine or reject."},
    [DMARC_PARTIAL] = {DOMAIN_WARNING, "DMARC applies its policy to a part of the mail (pct under "
                                       "100)."},
    [DMARC_UNKNOWN] = {DOMAIN_UNKNOWN, "DMARC could not be looked up: %s."},
    [MX_OK] = {DOMAIN_GOOD, "The domain takes mail, so bounces and replies arrive."},
    [MX_MISSING] = {DOMAIN_WARNING, "There is no MX record, so bounces and replies may be lost."},
    [MX_NULL] = {DOMAIN_WARNING, "The MX record says that the domain takes no mail (RFC 7505); "
                                 "receivers may refuse mail from it."},
    [MX_UNKNOWN] = {DOMAIN_UNKNOWN, "MX could not be looked up: %s."},
};

const char *const domain_finding_codes[FINDINGS + 1] = {
    [SPF_OK] = "spf.ok",
    [SPF_MISSING] = "spf.missing",
    [SPF_MULTIPLE] = "spf.multiple",
    [SPF_SYNTAX] = "spf.syntax",
    [SPF_LOOKUPS] = "spf.lookups",
    [SPF_NO_SES] = "spf.no_ses",
    [SPF_PASS_ALL] = "spf.pass_all",
    [SPF_NO_ALL] = "spf.no_all",
    [SPF_UNKNOWN] = "spf.unknown",
    [DKIM_OK] = "dkim.ok",
    [DKIM_NOT_GIVEN] = "dkim.not_given",
    [DKIM_MISSING] = "dkim.missing",
    [DKIM_MULTIPLE] = "dkim.multiple",
    [DKIM_SYNTAX] = "dkim.syntax",
    [DKIM_REVOKED] = "dkim.revoked",
    [DKIM_WEAK] = "dkim.weak",
    [DKIM_TESTING] = "dkim.testing",
    [DKIM_UNKNOWN] = "dkim.unknown",
    [DMARC_OK] = "dmarc.ok",
    [DMARC_MISSING] = "dmarc.missing",
    [DMARC_MULTIPLE] = "dmarc.multiple",
    [DMARC_SYNTAX] = "dmarc.syntax",
    [DMARC_MONITOR] = "dmarc.monitor",
    [DMARC_PARTIAL] = "dmarc.partial",
    [DMARC_UNKNOWN] = "dmarc.unknown",
    [MX_OK] = "mx.ok",
    [MX_MISSING] = "mx.missing",
    [MX_NULL] = "mx.null",
    [MX_UNKNOWN] = "mx.unknown",
};

struct checking {
    const struct domain_check *what;
    struct arena *arena;
    struct domain_report *report;
    int64_t deadline; /* by clock_mono; 0: none */
};

/* What strangers wrote, fit to be shown: printable ASCII, and not much of it. */
static void printable(struct str s, char *ret, size_t size)
{
    size_t n = 0;

    for (; n < s.n && n < size - 1; n++)
        ret[n] = s.p[n] >= ' ' && s.p[n] <= '~' && s.p[n] != '"' ? s.p[n] : '?';
    ret[n] = '\0';
}

static const char *sentence_of(struct arena *arena, enum finding f, struct str detail)
{
    enum { DETAIL_SIZE = 81 };
    const char *text = findings[f].sentence, *mark = strstr(text, "%s");
    char shown[DETAIL_SIZE];

    if (!mark)
        return text;
    printable(detail, shown, sizeof shown);
    return arena_printf(arena, "%.*s%s%s", (int)(mark - text), text, shown, mark + 2);
}

static int add(struct checking *c, enum finding f, struct str name, struct str detail)
{
    struct domain_finding finding = {
        .state = findings[f].state,
        .code = domain_finding_codes[f],
        .name = arena_str(c->arena, name),
        .sentence = sentence_of(c->arena, f, detail),
    };

    if (!finding.name.p || !finding.sentence)
        return FAULT_MEMORY;
    if (c->report->n == DOMAIN_FINDINGS_MAX)
        return fault_set(FAULT_INTERNAL, "more findings than there is room for");
    c->report->findings[c->report->n++] = finding;
    return 0;
}

/* A question may take what is left of the time. */
static int ask(struct checking *c, struct str name, enum dns_type type, struct dns_answer *ret)
{
    struct dns_options options = c->what->dns;
    int64_t most = options.timeout_ms ? options.timeout_ms : DNS_TIMEOUT_MS;
    int64_t left = c->deadline ? c->deadline - clock_mono() : most;

    if (left <= 0) {
        fault_keep("no time was left to ask");
        return DNS_FAILED;
    }
    options.timeout_ms = left < most ? left : most;
    return dns_query(&options, name, type, c->arena, ret);
}

/* The records of prefix.name; no such name is an answer without records. */
static int look_up(struct checking *c, const char *prefix, struct str name, enum dns_type type,
                   struct str *ret_asked, struct dns_answer *ret)
{
    char *asked = arena_printf(c->arena, "%s%.*s", prefix, STR_ARG(name));

    if (!asked)
        return FAULT_MEMORY;
    *ret_asked = str_of(asked);
    *ret = (struct dns_answer){0};
    int r = ask(c, *ret_asked, type, ret);
    return r == DNS_NONE || r == DNS_NXDOMAIN ? 0 : r;
}

/* A question that got no answer: a finding, unless it is a fault. */
static int add_unknown(struct checking *c, enum finding f, struct str asked, int r)
{
    if (r < 0)
        return r;
    return add(c, f, asked,
               r == DNS_INVALID ? STR("the name is not one") : str_of(fault_message()));
}

/* The one record that is_record takes for its kind; *ret_n counts how many there are. */
static struct str pick(const struct dns_answer *a, bool (*is_record)(struct str), size_t *ret_n)
{
    struct str found = {0};

    *ret_n = 0;
    for (size_t i = 0; i < a->n; i++)
        if (is_record(a->records[i].text)) {
            found = a->records[i].text;
            ++*ret_n;
        }
    return found;
}

static int judge_spf(struct checking *c, struct str asked, struct str record)
{
    struct spf spf;
    struct str term;
    size_t before = c->report->n;
    int r = 0;

    if (spf_read(record, STR("amazonses.com"), &spf, &term))
        return add(c, SPF_SYNTAX, asked, term);
    if (spf.lookups > SPF_LOOKUPS_MAX)
        r = add(c, SPF_LOOKUPS, asked, STR(""));
    /* What another record says is that record's; it may include SES too. */
    if (r == 0 && c->what->amazon_ses && !spf.includes && !(spf.redirects && !spf.all))
        r = add(c, SPF_NO_SES, asked, STR(""));
    if (r == 0 && spf.all == '+')
        r = add(c, SPF_PASS_ALL, asked, STR(""));
    if (r == 0 && (spf.all == '?' || (!spf.all && !spf.redirects)))
        r = add(c, SPF_NO_ALL, asked, STR(""));
    return r == 0 && c->report->n == before ? add(c, SPF_OK, asked, STR("")) : r;
}

static int check_spf(struct checking *c)
{
    struct str domain = c->what->mail_from.n > 0 ? c->what->mail_from : c->what->domain, asked;
    struct dns_answer a;
    size_t n;
    int r = look_up(c, "", domain, DNS_TXT, &asked, &a);

    if (r)
        return add_unknown(c, SPF_UNKNOWN, asked, r);
    struct str record = pick(&a, spf_is_record, &n);
    if (n != 1)
        return add(c, n ? SPF_MULTIPLE : SPF_MISSING, asked, STR(""));
    return judge_spf(c, asked, record);
}

static int judge_key(struct checking *c, struct str asked, struct str record)
{
    /* SubjectPublicKeyInfo of 1024 bits of RSA is 162 bytes; 1008 bits are 2 bytes fewer. */
    enum { RSA_1024_BYTES = 160 };
    struct dkim_key key;

    if (dkim_key_read(record, &key))
        return add(c, DKIM_SYNTAX, asked, STR(""));
    if (key.revoked)
        return add(c, DKIM_REVOKED, asked, STR(""));
    if (key.rsa && key.key_bytes < RSA_1024_BYTES)
        return add(c, DKIM_WEAK, asked, STR(""));
    return add(c, key.testing ? DKIM_TESTING : DKIM_OK, asked, STR(""));
}

static int check_selector(struct checking *c, struct str selector)
{
    struct dns_answer a;
    struct str asked;
    char prefix[DNS_NAME_MAX + 16];

    snprintf(prefix, sizeof prefix, "%.*s._domainkey.", STR_ARG(selector));
    int r = look_up(c, prefix, c->what->domain, DNS_TXT, &asked, &a);
    if (r)
        return add_unknown(c, DKIM_UNKNOWN, asked, r);
    if (a.n != 1)
        return add(c, a.n ? DKIM_MULTIPLE : DKIM_MISSING, asked, STR(""));
    return judge_key(c, asked, a.records[0].text);
}

static int check_dkim(struct checking *c)
{
    int r = 0;

    if (c->what->selector_count == 0)
        return add(c, DKIM_NOT_GIVEN, c->what->domain, STR(""));
    for (size_t i = 0; r == 0 && i < c->what->selector_count; i++)
        r = check_selector(c, c->what->selectors[i]);
    return r;
}

static int judge_dmarc(struct checking *c, struct str asked, struct str record, bool inherited)
{
    struct dmarc dmarc;

    if (dmarc_read(record, &dmarc))
        return add(c, DMARC_SYNTAX, asked, STR(""));
    if ((inherited ? dmarc.subdomain_policy : dmarc.policy) == DMARC_NONE)
        return add(c, DMARC_MONITOR, asked, STR(""));
    return add(c, dmarc.percent < 100 ? DMARC_PARTIAL : DMARC_OK, asked, STR(""));
}

/* The domain without its first label, as long as two are left. */
static bool parent_of(struct str *domain)
{
    size_t dot = str_find(*domain, '.');

    if (dot == domain->n)
        return false;
    *domain = (struct str){domain->p + dot + 1, domain->n - dot - 1};
    return str_find(*domain, '.') < domain->n;
}

/*
 * A domain without a record is under its organisation's (RFC 7489, section 6.6.3). Which parent
 * that is would take a list of registries to say; the nearest with a record is it in practice.
 */
static int check_dmarc(struct checking *c)
{
    struct str domain = c->what->domain, asked, first = {0};
    struct dns_answer a;

    for (int i = 0; i <= DOMAIN_PARENTS_MAX; i++) {
        size_t n;
        int r = look_up(c, "_dmarc.", domain, DNS_TXT, &asked, &a);
        if (r)
            return add_unknown(c, DMARC_UNKNOWN, asked, r);
        struct str record = pick(&a, dmarc_is_record, &n);
        if (n > 1)
            return add(c, DMARC_MULTIPLE, asked, STR(""));
        if (n == 1)
            return judge_dmarc(c, asked, record, i > 0);
        first = i == 0 ? asked : first;
        if (!parent_of(&domain))
            break;
    }
    return add(c, DMARC_MISSING, first, STR(""));
}

static int check_mx(struct checking *c)
{
    struct str domain = c->what->mail_from.n > 0 ? c->what->mail_from : c->what->domain, asked;
    struct dns_answer a;
    int r = look_up(c, "", domain, DNS_MX, &asked, &a);

    if (r)
        return add_unknown(c, MX_UNKNOWN, asked, r);
    if (a.n == 0)
        return add(c, MX_MISSING, asked, STR(""));
    bool null = a.n == 1 && str_eq(a.records[0].text, STR("."));
    return add(c, null ? MX_NULL : MX_OK, asked, STR(""));
}

/* Labels (RFC 6376, section 3.1), the last of digits alone too: what counts is the whole name. */
static bool is_selector(struct str s)
{
    char name[DNS_NAME_MAX + 16];
    int n;

    if (s.n > DNS_NAME_MAX)
        return false;
    n = snprintf(name, sizeof name, "%.*s._domainkey", STR_ARG(s));
    return (size_t)n > s.n && dns_name_is_owner((struct str){name, (size_t)n});
}

static bool is_good(const struct domain_check *what)
{
    if (!dns_name_is_host(what->domain) ||
        (what->mail_from.n > 0 && !dns_name_is_host(what->mail_from)) ||
        what->selector_count > DOMAIN_SELECTORS_MAX)
        return false;
    for (size_t i = 0; i < what->selector_count; i++)
        if (!is_selector(what->selectors[i]))
            return false;
    return true;
}

int domain_check(const struct domain_check *what, struct arena *arena, struct domain_report *ret)
{
    struct domain_report report = {.n = 0};
    struct checking c = {what, arena, &report, 0};
    int r;

    if (!is_good(what))
        return DOMAIN_INVALID;
    if (what->budget_ms)
        c.deadline = clock_mono() + what->budget_ms;
    if ((r = check_spf(&c)) || (r = check_dkim(&c)) || (r = check_dmarc(&c)) || (r = check_mx(&c)))
        return r;
    *ret = report;
    return 0;
}

enum domain_state domain_report_state(const struct domain_report *report)
{
    static const int rank[] = {
        [DOMAIN_GOOD] = 0, [DOMAIN_WARNING] = 1, [DOMAIN_UNKNOWN] = 2, [DOMAIN_BAD] = 3};
    enum domain_state worst = DOMAIN_GOOD;

    for (size_t i = 0; i < report->n; i++)
        if (rank[report->findings[i].state] > rank[worst])
            worst = report->findings[i].state;
    return worst;
}
