/*
 * What the files of this room share: keys, the form of a record that its MAC covers, the head row.
 * Rooms: trail only. Ownership: rows view what they were read from. Threads: any.
 */
#ifndef HOLDFAST_TRAIL_INTERNAL_H
#define HOLDFAST_TRAIL_INTERNAL_H

#include "base/buf.h"
#include "crypto/mac.h"
#include "crypto/sign.h"
#include "trail/trail.h"

enum { TRAIL_KEY_ID = 8 }; /* hexadecimal digits */

struct trail_key {
    char id[TRAIL_KEY_ID + 1];
    struct mac_key mac;
    struct sign_key sign;
};

struct trail {
    struct store *store;
    struct trail_key keys[1 + TRAIL_RETIRED_MAX]; /* the first is the active one */
    size_t n;
    char *directory, *path; /* of checkpoints; NULL without a logs_dir */
    bool syslog;
};

/* NULL where the id is none of ours. */
const struct trail_key *trail_key_find(const struct trail *trail, struct str id);

/* Whether it is the public key of one of our checkpoint keys, active or retired. */
bool trail_key_is_ours(const struct trail *trail, const uint8_t public_key[SIGN_PUBLIC_SIZE]);

/* The columns behind seq and at, in the order in which the MAC covers them; the MAC comes last. */
enum trail_field {
    FIELD_TENANT,
    FIELD_ACTOR_ID,
    FIELD_ACTOR,
    FIELD_ACTION,
    FIELD_SUBJECT_ID,
    FIELD_SUBJECT,
    FIELD_IP,
    FIELD_REQUEST,
    FIELD_DETAIL,
    FIELD_PREVIOUS,
    FIELD_KEY,
    FIELD_COUNT
};

#define TRAIL_COLUMNS                                                                              \
    "seq, at, tenant_id, actor_id, actor, action, subject_id, subject, ip, request_id, detail,"    \
    " previous, key_id, mac"

struct trail_row {
    int64_t seq, at;
    struct str fields[FIELD_COUNT];
    bool null[FIELD_COUNT];
    struct str mac;
};

/* Whether the field's column is text; the others are bytes. */
bool trail_field_is_text(enum trail_field field);

/* The current row of a query for TRAIL_COLUMNS. */
void trail_row_read(struct store_rows *rows, struct trail_row *ret_row);

/* The MAC of all but the MAC itself; scratch is any buffer. Returns 0 or a fault. */
int trail_row_mac(const struct trail_key *key, const struct trail_row *row, struct buf *scratch,
                  uint8_t ret_mac[MAC_SIZE]);

/* The head row. */
struct trail_head {
    struct uuid chain;
    int64_t seq;
    uint8_t mac[MAC_SIZE], seal[MAC_SIZE];
    char key_id[TRAIL_KEY_ID + 1];
};

#define TRAIL_HEAD_COLUMNS "chain, seq, mac, key_id, seal"

enum trail_head_outcome {
    HEAD_ABSENT = 1, /* there is no row */
    HEAD_FORGED = 2, /* not authentic */
    HEAD_KEYLESS = 3 /* under a key that is none of ours */
};

/*
 * The current row of a query that begins with TRAIL_HEAD_COLUMNS, as far as it has the form of a
 * head. Returns 0 or HEAD_FORGED.
 */
int trail_head_read(struct store_rows *rows, struct trail_head *ret_head);

/* Fills key_id and seal by the active key. Returns 0 or a fault. */
int trail_head_seal(const struct trail *trail, struct trail_head *head);

/* Returns 0, HEAD_FORGED, HEAD_KEYLESS or a fault. */
int trail_head_check(const struct trail *trail, const struct trail_head *head);

/* Whether text is a JSON object on one line (detail.c). */
bool trail_detail_valid(struct str text);

#endif
