/*
 * The actions that the trail knows. Whoever needs another adds a line here; names never change
 * once released, because records hold them.
 * Rooms: trail and below. Threads: any.
 */
#ifndef HOLDFAST_TRAIL_ACTIONS_H
#define HOLDFAST_TRAIL_ACTIONS_H

#include "base/str.h"

/* X(constant, name, what a record of it says) */
#define TRAIL_ACTIONS(X)                                                                           \
    X(TENANT_CREATE, "tenant.create", "a tenant was created")                                      \
    X(USER_CREATE, "user.create", "an account was created")                                        \
    X(USER_UPDATE, "user.update", "an account's address, role or state was changed")               \
    X(USER_DISABLE, "user.disable", "an account was disabled")                                     \
    X(USER_ENABLE, "user.enable", "a disabled account was enabled")                                \
    X(USER_DELETE, "user.delete", "an account was deleted")                                        \
    X(USER_LOGIN, "user.login", "someone signed in")                                               \
    X(USER_LOGIN_BURST, "user.login_burst", "sign-ins of an account failed repeatedly")            \
    X(USER_LOCKED, "user.locked", "too many failures locked an account")                           \
    X(USER_UNLOCK, "user.unlock", "a locked account was unlocked, or its lock passed")             \
    X(SESSION_REVOKE, "session.revoke", "one session was ended")                                   \
    X(SESSION_REVOKE_USER, "session.revoke_user", "all sessions of a user were ended")             \
    X(SESSION_REVOKE_MASS, "session.revoke_mass", "the sessions of a list of users were ended")    \
    X(SESSION_REUSE, "session.reuse", "a used refresh token came back: its session was ended")     \
    X(SESSION_FORWARD, "session.forward", "a token ahead of a restored row moved it forward")      \
    X(SESSION_LOGOUT, "session.logout", "a user ended a session of their own")                     \
    X(PASSWORD_CHANGE, "password.change", "a user changed their password")                         \
    X(PASSWORD_RESET, "password.reset", "an administrator set a temporary password")               \
    X(MFA_ENABLE, "mfa.enable", "a second factor was activated")                                   \
    X(MFA_DISABLE, "mfa.disable", "a second factor was removed")                                   \
    X(MFA_RECOVERY, "mfa.recovery", "a recovery code was used")                                    \
    X(PREFERENCES_UPDATE, "preferences.update", "what a user wants to be told was changed")        \
    X(EMAIL_UNSUBSCRIBE, "email.unsubscribe", "a recipient ended mail by the link of a message")   \
    X(ADMIN_REQUEST, "admin.request", "an administrative route was called")                        \
    X(ACCESS_DENIED, "access.denied", "an administrative request was refused")                     \
    X(WEBHOOK_REFUSED, "webhook.refused", "webhooks that are not authentic, or malformed")         \
    X(MAIL_TOPIC_CONFIRM, "mail.topic_confirm", "a topic of SNS was confirmed to send here")       \
    X(MAIL_TOPIC_END, "mail.topic_end", "a topic of SNS ended its subscription of this server")    \
    X(SERVER_START, "server.start", "a server began to serve")                                     \
    X(SERVER_STOP, "server.stop", "a server stopped in order")                                     \
    X(CONFIG_RELOAD, "config.reload", "changed settings took effect")                              \
    X(TRAIL_EXPORT, "trail.export", "records of the trail were exported")                          \
    X(MAIL_HEALTH, "mail.health", "mail became healthy, or stopped being so")                      \
    X(MAIL_EXPORT, "mail.export", "the log of mail was exported, or a person's part of it")        \
    X(MAIL_ERASE, "mail.erase", "a person is to be taken out of the log of mail")                  \
    X(MAIL_ERASED, "mail.erased", "a person was taken out of the log of mail")                     \
    X(MAIL_SUPPRESS, "mail.suppress", "an address is not to be written to")                        \
    X(MAIL_UNSUPPRESS, "mail.unsuppress", "an address may be written to again")                    \
    X(MAIL_IMPORT, "mail.import", "a list of addresses is not to be written to")                   \
    X(MAIL_SETUP, "mail.setup", "a setting of mail at Amazon was changed, or that was tried")      \
    X(DEPLOYMENT_START, "deployment.start", "a deployment began")                                  \
    X(DEPLOYMENT_DONE, "deployment.done", "a deployment ended well")                               \
    X(DEPLOYMENT_FAILED, "deployment.failed", "a deployment failed before it changed anything")    \
    X(DEPLOYMENT_ROLLED_BACK, "deployment.rolled_back", "a deployment was undone")                 \
    X(DEPLOYMENT_INCOMPLETE, "deployment.incomplete", "a deployment could not be undone whole")

enum trail_action {
#define TRAIL_ACTION_ENUM(constant, name, help) TRAIL_##constant,
    TRAIL_ACTIONS(TRAIL_ACTION_ENUM)
#undef TRAIL_ACTION_ENUM
        TRAIL_ACTION_COUNT
};

/* The action's name and what it says; NULL for a number that is no action. */
const char *trail_action_name(enum trail_action action);
const char *trail_action_help(enum trail_action action);

/* Returns 0, or 1 where no action has this name. */
int trail_action_parse(struct str name, enum trail_action *ret_action);

#endif
