/* dns_packet - DNS replies put together by hand, sound and unsound ones, for tests.
 * Names are never compressed here; a test that wants pointers appends raw RDATA. */
#ifndef STS_TESTS_FAKE_DNS_PACKET_H
#define STS_TESTS_FAKE_DNS_PACKET_H

#include <stddef.h>
#include <stdint.h>

enum { PACKET_MAX = 65535 };
enum packet_section { PACKET_ANSWER, PACKET_AUTHORITY, PACKET_ADDITIONAL };
enum {
    RR_A = 1,
    RR_NS = 2,
    RR_CNAME = 5,
    RR_SOA = 6,
    RR_MX = 15,
    RR_TXT = 16,
    RR_AAAA = 28,
    RR_TLSA = 52
};

struct packet {
    uint8_t bytes[PACKET_MAX];
    size_t len;
    uint32_t ttl_s; /* of the records added next; 300 at first */
};

/* Starts the reply to a query: its id and question, QR, RD, RA and `rcode`. */
void packet_reply(struct packet *, const uint8_t *query, size_t len, unsigned rcode);

/* Appends a record and counts it in the header. The owner is a name in text, "." the root. */
void packet_raw(struct packet *, enum packet_section, const char *owner, unsigned type,
                const void *rdata, size_t len);
void packet_name(struct packet *, enum packet_section, const char *owner, unsigned type,
                 const char *name); /* CNAME, NS, PTR */
void packet_a(struct packet *, const char *owner, const char *address);
void packet_aaaa(struct packet *, const char *owner, const char *address);
void packet_mx(struct packet *, const char *owner, unsigned preference, const char *host);
void packet_soa(struct packet *, const char *owner,
                uint32_t minimum); /* in the authority section */
/* `strings`: several, separated by '|'. */
void packet_txt(struct packet *, const char *owner, const char *strings);
/* A TXT record of `count` strings of `len` bytes each. */
void packet_txt_many(struct packet *, const char *owner, size_t count, size_t len);

#endif
