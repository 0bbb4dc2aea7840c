/* dns_exchange - one question to one server: UDP from a fresh socket, TCP when the reply is cut.
 * Replies are screened here; what is no answer to the question is ignored. Knows nothing of names,
 * retries or other servers. */
#ifndef STS_CACHED_DNS_EXCHANGE_H
#define STS_CACHED_DNS_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "cached/dns_parse.h"
#include "common/error.h"
#include "common/sockspec.h"

struct event_base;
struct dns_exchange;

struct dns_query {
    uint8_t bytes[DNS_QUERY_SIZE];
    size_t len;
};

struct dns_target {
    struct sockspec server;
    int64_t timeout_ms; /* for everything, TCP included */
};

struct dns_reply {
    enum sts_error error; /* OK: screened bytes; DNS_TIMEOUT: none came; DNS_BAD_REPLY: unfit */
    const char *why;      /* constant text when it is not OK */
    const uint8_t *bytes;
    size_t len;
};

typedef void dns_exchange_fn(const struct dns_reply *, void *arg); /* reply borrowed */

/* Sends `query` to `target` (both copied). Always later: `done` comes once, from the loop, within
 * the target's timeout, unless dns_exchange_cancel came first. The exchange is gone after `done`.
 */
struct dns_exchange *dns_exchange_start(struct event_base *, const struct dns_query *query,
                                        const struct dns_target *target, dns_exchange_fn *done,
                                        void *arg);
/* Accepts NULL. Not from inside `done`. */
void dns_exchange_cancel(struct dns_exchange *);

#endif
