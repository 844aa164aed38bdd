/* The form in which records and the head row are authenticated. */
#include "crypto/init.h"
#include "trail/internal.h"

bool trail_field_is_text(enum trail_field field)
{
    static const bool text[FIELD_COUNT] = {
        [FIELD_ACTOR] = true, [FIELD_ACTION] = true, [FIELD_SUBJECT] = true,
        [FIELD_IP] = true,    [FIELD_DETAIL] = true, [FIELD_KEY] = true,
    };

    return text[field];
}

void trail_row_read(struct store_rows *rows, struct trail_row *ret_row)
{
    ret_row->seq = store_col_int(rows, 0);
    ret_row->at = store_col_int(rows, 1);
    for (int i = 0; i < FIELD_COUNT; i++) {
        ret_row->null[i] = store_col_is_null(rows, 2 + i);
        ret_row->fields[i] = trail_field_is_text((enum trail_field)i) ? store_col_text(rows, 2 + i)
                                                                      : store_col_blob(rows, 2 + i);
    }
    ret_row->mac = store_col_blob(rows, 2 + FIELD_COUNT);
}

static void add_number(struct buf *out, uint64_t v, int bytes)
{
    char octets[8];

    for (int i = 0; i < bytes; i++)
        octets[i] = (char)(v >> (8 * (bytes - 1 - i)));
    buf_add(out, octets, (size_t)bytes);
}

/* A length before each field keeps fields apart; a NULL has one that no value has. */
static void add_field(struct buf *out, struct str s, bool null)
{
    add_number(out, null ? UINT64_MAX : s.n, 8);
    if (!null)
        buf_add_str(out, s);
}

int trail_row_mac(const struct trail_key *key, const struct trail_row *row, struct buf *scratch,
                  uint8_t ret_mac[MAC_SIZE])
{
    buf_reset(scratch);
    add_field(scratch, STR("record"), false);
    add_number(scratch, (uint64_t)row->seq, 8);
    add_number(scratch, (uint64_t)row->at, 8);
    for (int i = 0; i < FIELD_COUNT; i++)
        add_field(scratch, row->fields[i], row->null[i]);
    if (buf_fault(scratch))
        return buf_fault(scratch);
    return mac_sha256(&key->mac, buf_str(scratch), ret_mac);
}

static int head_mac(const struct trail_key *key, const struct trail_head *head,
                    uint8_t ret_mac[MAC_SIZE])
{
    _cleanup_buf_ struct buf b = buf_init(512);

    add_field(&b, STR("head"), false);
    add_number(&b, (uint64_t)head->seq, 8);
    add_field(&b, (struct str){(const char *)head->chain.b, sizeof head->chain.b}, false);
    add_field(&b, (struct str){(const char *)head->mac, MAC_SIZE}, false);
    add_field(&b, str_of(head->key_id), false);
    return buf_fault(&b) ? buf_fault(&b) : mac_sha256(&key->mac, buf_str(&b), ret_mac);
}

int trail_head_read(struct store_rows *rows, struct trail_head *ret_head)
{
    struct trail_head head = {.chain = store_col_id(rows, 0), .seq = store_col_int(rows, 1)};
    struct str key_id = store_col_text(rows, 3);

    if (key_id.n != TRAIL_KEY_ID)
        return HEAD_FORGED;
    memcpy(head.key_id, key_id.p, TRAIL_KEY_ID);
    struct str mac = store_col_blob(rows, 2);
    if (mac.n != MAC_SIZE)
        return HEAD_FORGED;
    memcpy(head.mac, mac.p, MAC_SIZE);
    struct str seal = store_col_blob(rows, 4);
    if (seal.n != MAC_SIZE)
        return HEAD_FORGED;
    memcpy(head.seal, seal.p, MAC_SIZE);
    *ret_head = head;
    return 0;
}

int trail_head_seal(const struct trail *trail, struct trail_head *head)
{
    const struct trail_key *key = &trail->keys[0];

    memcpy(head->key_id, key->id, sizeof head->key_id);
    return head_mac(key, head, head->seal);
}

int trail_head_check(const struct trail *trail, const struct trail_head *head)
{
    const struct trail_key *key = trail_key_find(trail, str_of(head->key_id));
    uint8_t mac[MAC_SIZE];

    if (!key)
        return HEAD_KEYLESS;
    int e = head_mac(key, head, mac);
    if (e)
        return e;
    return crypto_memeq(mac, head->seal, MAC_SIZE) ? 0 : HEAD_FORGED;
}
