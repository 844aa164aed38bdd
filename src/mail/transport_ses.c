#include "base/fault.h"
#include "mail/transport.h"

int transport_ses_new(const struct config *config, struct transport **ret)
{
    return fault_set(FAULT_INTERNAL, "EMAIL_TRANSPORT ses is not built yet");
}
