#include "mail/sns_trust.h"

#include "base/fault.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
static const char intermediates[] =
#include "mail/amazon_intermediates.h"
    ;

struct str sns_trust_intermediates(void)
{
    return str_of(intermediates);
}

int sns_trust_new(struct certificate_trust **ret_trust)
{
    struct certificate_trust *trust = NULL;
    int e = certificate_trust_new(&trust);

    if (!e)
        e = certificate_trust_add_system(trust);
    if (!e)
        e = certificate_trust_add_intermediates(trust, sns_trust_intermediates());
    if (e > 0)
        e = fault_set(FAULT_INTERNAL, "the built-in intermediates cannot be read");
    if (e)
        certificate_trust_free(trust);
    else
        *ret_trust = trust;
    return e;
}
