/* probe - does an MX host offer the TLS that a policy asks for? (RFC 8461 s4.2: STARTTLS, a chain
 * to a trusted CA, its dates, a DNS-ID that is the host's name; SNI; TLS 1.2 or newer.)
 * Knows addresses, limits and SMTP as far as STARTTLS; nothing of domains, policies or verdicts.
 * Connects only where address_may_connect agrees. */
#ifndef STS_CACHED_PROBE_H
#define STS_CACHED_PROBE_H

#include <stddef.h>
#include <sys/socket.h>

#include "cached/source.h"
#include "common/alloc.h"

struct event_base;
struct fetch_transfer_rules;
struct probe;
struct prober;

enum {
    PROBE_RUNNING_MAX = 64,     /* sessions at once */
    PROBE_PER_NETWORK_MAX = 16, /* to one network (fetch_line.h) */
    PROBE_PER_ADDRESS_MAX = 4,  /* to one address: it may serve very many MX names */
    PROBE_ADDRESSES_MAX = 4     /* tried of one host: its owner chooses them */
};

typedef void probe_done_fn(const struct probe_result *, void *arg); /* result borrowed */

/* `shared` (the fetcher's loop, CAs and allowed addresses) is borrowed and outlives the prober.
 * Sessions go to `probe-port` and say EHLO with this host's name. */
MUST_CHECK struct prober *prober_new(struct event_base *, const struct fetch_transfer_rules *shared,
                                     const struct settings *);
/* Running probes are dropped without a callback. Accepts NULL. */
void prober_free(struct prober *);

/* Probes `host` at `addresses` (copied; at least one, the first PROBE_ADDRESSES_MAX count) in order
 * until one is right. If none is, a TLS fault of an address that could be reached is the result,
 * else what the first address gave. Beyond the limits it waits in line; the whole has
 * `fetch.timeout` from its first connect. Always later: `done` comes once, from the loop, unless
 * probe_cancel came first. */
struct probe *probe_start(struct prober *, const char *host,
                          const struct sockaddr_storage *addresses, size_t count, probe_done_fn *,
                          void *arg);
void probe_cancel(struct probe *);

#endif
