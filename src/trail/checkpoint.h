/*
 * Checkpoints: signed statements of where the chain stood, kept outside the database, by which
 * records that were cut off or a database that was put back are found.
 * Rooms: api, cli, deploy. Threads: any worker thread; one at a time in a process, and processes
 * that share a file exclude each other by a lock on it.
 *
 * A line of the file is a JSON object: chain (UUID), seq, mac (hexadecimal), at (RFC 3339), key
 * ("ed25519:" and base64url), signature (base64url, Ed25519, RFC 8032). Signed is the text
 *   holdfast checkpoint v1 LF chain LF seq LF mac LF at LF
 * so that the public key alone suffices to verify it. The file is only ever appended to.
 */
#ifndef HOLDFAST_TRAIL_CHECKPOINT_H
#define HOLDFAST_TRAIL_CHECKPOINT_H

#include "base/buf.h"
#include "crypto/mac.h"
#include "crypto/sign.h"
#include "trail/trail.h"

enum checkpoint_outcome {
    CHECKPOINT_BEHIND = 1, /* an earlier one was ahead of the store: records were cut off, or an
                              older database was put back. Told once: the new one is written too */
    CHECKPOINT_BROKEN = 2  /* not written: head row and newest record do not belong together */
};

struct checkpoint {
    struct uuid chain;
    int64_t seq, at;
    uint8_t mac[MAC_SIZE];
    uint8_t key[SIGN_PUBLIC_SIZE];
    uint8_t signature[SIGN_SIZE];
};

/*
 * Writes a checkpoint of the head where it has moved since the last one: to the file (created with
 * mode 0600, its directory with 0700; on disk when this returns) and, where set, to syslog. The
 * server calls it each minute and when it stops. Without a logs_dir only syslog gets it, each time.
 * Returns 0, CHECKPOINT_BEHIND, CHECKPOINT_BROKEN, FAULT_IO, or a fault of the store.
 */
int trail_checkpoint_write(const struct trail *trail);

/* The checkpoints' file; NULL without a logs_dir. Valid as long as the trail. */
const char *trail_checkpoint_path(const struct trail *trail);

/* The active public key as text ("ed25519:..."), for those who verify without our secret. */
void trail_public_key(const struct trail *trail, char ret_text[SIGN_PUBLIC_TEXT_SIZE]);

/*
 * Reads a line (what stands before its first brace, as syslog puts it, is skipped). Returns 0, or
 * 1 where it is no checkpoint.
 */
int checkpoint_parse(struct str line, struct checkpoint *ret_checkpoint);

/* Whether the signature is right by the key that the checkpoint names. Returns 0 or 1. */
int checkpoint_verify(const struct checkpoint *checkpoint);

/* Appends the line with its LF. */
int checkpoint_format(const struct checkpoint *checkpoint, struct buf *ret_line);

#endif
