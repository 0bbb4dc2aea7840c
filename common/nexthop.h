/* nexthop - what an MTA calls the place it sends to, and which policy domain that is.
 * Sendmail's {rcpt_host} ("example.com.", "[host]", "a:b") and Postfix's next hop ("example.com",
 * "[host]:587", "host:port", "[a]:587, [b]") are read here and nowhere else. */
#ifndef STS_COMMON_NEXTHOP_H
#define STS_COMMON_NEXTHOP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/domain.h"

enum nexthop_kind {
    NEXTHOP_DOMAIN,  /* domain or host:port: MX records say which hosts */
    NEXTHOP_HOST,    /* [host] or [host]:port: this host and no MX look-up (RFC 8461 s3.4) */
    NEXTHOP_LITERAL, /* an address: never a policy */
    NEXTHOP_INVALID  /* no domain: .parent, blanks, junk */
};

struct nexthop {
    enum nexthop_kind kind;
    char domain[DOMAIN_SIZE]; /* normalised policy domain; "" for LITERAL and INVALID */
};

enum { NEXTHOP_MAX = 16 };

/* Reads one key: domain, user@domain, [host], [host]:port, host:port, literals ([1.2.3.4],
 * [IPv6:...], bare addresses). A port is a number or any word that may name a service. Blanks round
 * the key are ignored. Never fails: see kind. */
void nexthop_parse(const char *key, size_t len, struct nexthop *out);

/* Splits a list of next hops (Sendmail "a:b:c" where no part is a port, Postfix "[a]:587, [b]"
 * with commas or blanks) and parses each; a "host:123" stays one, as do "host:smtp" and the like
 * and
 * "[host]:word". Returns how many were written to `out`, at most NEXTHOP_MAX; 0 for an empty key;
 * hops beyond NEXTHOP_MAX are left out. */
size_t nexthop_parse_list(const char *key, size_t len, struct nexthop out[NEXTHOP_MAX]);

#endif
