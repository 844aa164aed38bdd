/*
 * The state of a domain that mail is sent from, by what it publishes: SPF, DKIM, DMARC, MX.
 * Rooms: those below net. Ownership: sentences live in the caller's arena. Threads: workers alone,
 * for a check asks the DNS several times.
 */
#ifndef HOLDFAST_DOMAIN_CHECK_H
#define HOLDFAST_DOMAIN_CHECK_H

#include "net/dns.h"

enum { DOMAIN_SELECTORS_MAX = 8, DOMAIN_FINDINGS_MAX = 24, DOMAIN_PARENTS_MAX = 8 };

struct domain_check {
    struct dns_options dns;
    struct str domain; /* "example.com" */
    /* Where SPF is looked for: the domain of the envelope's sender. Empty: domain. */
    struct str mail_from;
    const struct str *selectors; /* of DKIM: "abc" for abc._domainkey.example.com */
    size_t selector_count;
    bool amazon_ses;   /* SPF is to include amazonses.com */
    int64_t budget_ms; /* of all questions together: later ones have no answer; 0: no bound */
};

enum domain_state {
    DOMAIN_GOOD,
    DOMAIN_WARNING, /* mail arrives, but less surely or less safely than it could */
    DOMAIN_BAD,     /* receivers may refuse mail, or take a forgery for it */
    DOMAIN_UNKNOWN  /* the DNS gave no answer */
};

struct domain_finding {
    enum domain_state state;
    const char *code;     /* stable, such as "spf.missing"; domain_finding_codes lists them */
    struct str name;      /* the name that was asked for */
    const char *sentence; /* what was found, and what to do; printable ASCII */
};

struct domain_report {
    struct domain_finding findings[DOMAIN_FINDINGS_MAX];
    size_t n;
};

/* Outcome: the domain, a selector or their number is not one. */
enum { DOMAIN_INVALID = 1 };

/*
 * Checks. At least one finding each for spf, dkim, dmarc and mx. Returns 0, DOMAIN_INVALID or
 * FAULT_MEMORY.
 */
int domain_check(const struct domain_check *what, struct arena *arena, struct domain_report *ret);

/* All codes there are, NULL behind the last. */
extern const char *const domain_finding_codes[];

/* The worst state of all: bad before unknown, unknown before warning. */
enum domain_state domain_report_state(const struct domain_report *report);

#endif
