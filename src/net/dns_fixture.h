/*
 * A name server on loopback that says what the test makes it say, and packets for it.
 * Rooms: net's tests only. Threads: the test's; the answers are made on the server's.
 */
#ifndef HOLDFAST_NET_DNS_FIXTURE_H
#define HOLDFAST_NET_DNS_FIXTURE_H

#include "net/dns.h"
#include "net/fixture.h"

struct dns_packet {
    uint8_t bytes[65535];
    size_t n;
};

/* An answer without records to one question: flags as in 0x8180. */
void packet_begin(struct dns_packet *p, unsigned id, unsigned flags, const char *name,
                  unsigned type);
void packet_set(struct dns_packet *p, size_t at, unsigned value); /* 16 bits */
unsigned packet_get(const struct dns_packet *p, size_t at);
void packet_add(struct dns_packet *p, const void *bytes, size_t n);
/* A record, counted among the answers. */
void packet_record(struct dns_packet *p, const char *name, unsigned type, const void *data,
                   size_t n);
void packet_text(struct dns_packet *p, const char *name, const char *text); /* TXT */
void packet_alias(struct dns_packet *p, const char *name, const char *target);
void packet_mx(struct dns_packet *p, const char *name, unsigned preference, const char *host);

struct dns_peer {
    /* Completes the answer (0x8180, without records); false: none is given. */
    bool (*answer)(void *context, const char *name, unsigned type, bool tcp, struct dns_packet *p);
    void *_Atomic context; /* may be changed while it answers */
    char server[32];       /* for struct dns_options */
    atomic_int questions, tcp_questions;
    int udp, tcp, stop[2];
    pthread_t thread;
};

void dns_peer_start(struct dns_peer *p);
void dns_peer_stop(struct dns_peer *p);

/* A zone: rows that end with a NULL name. A name in a row is there; a NULL text gives it no record;
 * "!" as text gives silence. MX texts are "10 host". */
struct zone_row {
    const char *name;
    enum dns_type type;
    const char *text;
};

/* An answer for struct dns_peer with a zone as its context. */
bool zone_answer(void *context, const char *name, unsigned type, bool tcp, struct dns_packet *p);

#endif
