/*
 * What the routes of suppressions share: whose mail an entry stops, and the import of many.
 * Rooms: api. Ownership: the call's. Threads: the call's.
 */
#ifndef HOLDFAST_API_SUPPRESSIONS_H
#define HOLDFAST_API_SUPPRESSIONS_H

#include "api/app.h"

extern const char *const suppression_scopes[];

/* Of queries and bodies, behind "given": int64_t scope and struct uuid tenant_id. */
enum { SUPPRESSION_SCOPE_COUNT = 2 };
#define SUPPRESSION_SCOPE_FIELDS(struct_type)                                                      \
    {"scope",                                                                                      \
     FIELD_CHOICE,                                                                                 \
     0,                                                                                            \
     offsetof(struct_type, scope),                                                                 \
     0,                                                                                            \
     0,                                                                                            \
     suppression_scopes,                                                                           \
     NULL,                                                                                         \
     "tenant (the default), or installation: for all tenants, by operators alone."},               \
    {                                                                                              \
        "tenantId", FIELD_UUID, 0, offsetof(struct_type, tenant_id), 0, 0, NULL, NULL,             \
            "The tenant; one's own by default, another's for operators only."                      \
    }

/* The tenant that an entry is for, nil for the installation. Returns 0 or an enum problem. */
int suppression_scope(struct call *call, int64_t scope, const struct uuid *tenant,
                      struct uuid *ret_tenant);

/* Whether there is such a tenant, inside a job. Returns 0, PROBLEM_NOT_FOUND or a fault. */
int suppression_check_tenant(struct store_txn *t, struct call *call, const struct uuid *tenant);

/* The problem of a list without room. */
int suppression_full(struct call *call);

/*
 * Appends the event for the tenant's administrators to read; for the installation, for operators
 * alone. The detail is one object. Returns 0 or a fault.
 */
int suppression_record(struct store_txn *t, struct call *call, struct trail_event *event,
                       const struct uuid *tenant, const struct buf *detail);

enum { SUPPRESSION_IMPORT_BYTES = 32 << 20 };

extern const struct shape suppression_import_query, suppression_import_shape;
int suppression_import_post(struct call *call);

#endif
