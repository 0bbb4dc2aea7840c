/* host_lookup - the addresses of one host: A and AAAA asked side by side, answered as one. */
#ifndef STS_CACHED_HOST_LOOKUP_H
#define STS_CACHED_HOST_LOOKUP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/alloc.h"
#include "common/error.h"

struct dns;
struct host_lookup;

enum { HOST_ADDRESSES_MAX = 16 /* kept of each family */ };

/* OK: addresses, IPv6 and IPv4 by turns, IPv6 first (RFC 6724 s2.1 rule 7, RFC 8305 s4).
 * NO_RECORD: the host has neither. dns-*: it has none that we know of, and at least one look-up
 * failed, so it may have some. */
struct host_answer {
    enum sts_error error;
    const char *why; /* for dns-*; else "" */
    uint32_t ttl_s;
    bool
        secure; /* DNSSEC says so of every address given; with none, of the absence of both kinds */
    const char *end; /* with addresses: the name that has them, at the end of its CNAMEs; or "" */
    const struct sockaddr_storage *addresses;
    size_t count;
};

typedef void host_lookup_done_fn(const struct host_answer *, void *arg); /* answer borrowed */

/* `name` is copied. Always later: `done` comes once, from the loop, unless cancelled. */
struct host_lookup *host_lookup_start(struct dns *, const char *name, host_lookup_done_fn *,
                                      void *arg);
void host_lookup_cancel(struct host_lookup *);

#endif
