#include "cli/privileges.h"

#include "base/fault.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int become(const char *name)
{
    struct passwd *entry = getpwnam(name);

    if (!entry)
        return fault_set(FAULT_INTERNAL, "RUN_AS_USER: there is no user %s", name);
    if (getuid() == entry->pw_uid)
        return 0;
    if (getuid() != 0)
        return fault_set(FAULT_INTERNAL, "RUN_AS_USER: only root can become %s", name);
    if (initgroups(name, entry->pw_gid) || setgid(entry->pw_gid) || setuid(entry->pw_uid))
        return fault_errno(FAULT_INTERNAL, errno, "RUN_AS_USER: cannot become %s", name);
    /* Whoever can come back has not left. */
    if (setuid(0) == 0)
        return fault_set(FAULT_INTERNAL, "RUN_AS_USER: root's rights could be regained");
    return 0;
}

int privileges_drop(const char *user)
{
    const struct rlimit none = {0, 0};
    int r = *user ? become(user) : 0;

    if (r)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
        setrlimit(RLIMIT_CORE, &none))
        return fault_errno(FAULT_INTERNAL, errno, "cannot give up privileges");
    return 0;
}
