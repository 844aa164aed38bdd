/* The one list of all route tables. */
#include "api/app.h"

/* The tables are objects of their own files, so they are gathered at start. */
struct route_table api_tables[API_TABLES];

void api_tables_init(void)
{
    const struct route_table *const all[API_TABLES] = {&api_auth,
                                                       &api_mfa,
                                                       &api_oauth,
                                                       &api_sessions,
                                                       &api_users,
                                                       &api_user_mail,
                                                       &api_notifications,
                                                       &api_audit,
                                                       &api_emails,
                                                       &api_unsubscribe,
                                                       &api_email_monitoring,
                                                       &api_email_logs,
                                                       &api_suppressions,
                                                       &api_email_webhooks,
                                                       &api_deployments,
                                                       &api_system};

    for (size_t i = 0; i < API_TABLES; i++)
        api_tables[i] = *all[i];
}
