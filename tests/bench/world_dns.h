/* world_dns - the DNS of the bench's world: what names.h says of a domain, as records. Pure. */
#ifndef STS_TESTS_BENCH_WORLD_DNS_H
#define STS_TESTS_BENCH_WORLD_DNS_H

#include "tests/fake/dns_packet.h"

/* Policy hosts are spread over 127.1.0.0/16, those that hang over 127.2.0.0/16: a daemon limits
 * what it does to one address. */
enum { WORLD_HANGING_NET = 2 };

/* Answers a query of `len` bytes. False: it is none. */
_Bool world_dns_answer(const unsigned char *query, size_t len, struct packet *reply);

#endif
