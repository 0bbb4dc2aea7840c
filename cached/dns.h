/* dns - a stub resolver on the source thread's loop: UDP first, TCP when cut, every server tried.
 * One connected UDP socket with a fresh port and id a query; replies are screened, then parsed.
 * Servers come from the settings or from /etc/resolv.conf, which is read again when it changes. */
#ifndef STS_CACHED_DNS_H
#define STS_CACHED_DNS_H

#include "cached/dns_parse.h"
#include "common/alloc.h"

struct event_base;
struct settings;
struct dns;
struct dns_lookup;

typedef void dns_done_fn(const struct dns_answer *, void *arg); /* answer borrowed */

/* Sockets open at a time; further look-ups wait in line. Those below one registrable domain leave a
 * third to the others. */
enum { DNS_RUNNING_MAX = 1536, DNS_SHARE_MAX = 1024 };

/* NULL: `why` names the server in `dns.servers` that cannot be used. */
MUST_CHECK struct dns *dns_new(struct event_base *, const struct settings *, char *why,
                               size_t size);
/* Accepts NULL. Look-ups still under way are dropped without a callback. */
void dns_free(struct dns *);

/* Starts one look-up; `name` is copied. Always later: `done` comes once, from the loop, unless
 * dns_lookup_cancel came first; the look-up is gone after `done`. Follows CNAMEs over several
 * queries (DNS_CNAME_MAX in all). A server is given `dns.timeout`, the second time three quarters
 * of it; each is tried twice at most, the second time without EDNS. SERVFAIL, REFUSED, no answer
 * and bad replies lead to the next one; when all have failed the error is that of the last
 * (dns-servfail, dns-timeout, dns-bad-reply), and `why` names that server. A name that DNS cannot
 * hold (over 253 bytes) has no record. When nothing at all was heard meanwhile, of any server on
 * any look-up, that is a warning in the log, at most once a minute. */
struct dns_lookup *dns_lookup_start(struct dns *, const char *name, enum dns_type, dns_done_fn *,
                                    void *arg);
/* Accepts NULL. Not from inside `done`. */
void dns_lookup_cancel(struct dns_lookup *);

#endif
