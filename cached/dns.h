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

/* NULL: `why` names the server in `dns.servers` that cannot be read. */
MUST_CHECK struct dns *dns_new(struct event_base *, const struct settings *, char *why, size_t size);
void dns_free(struct dns *);

/* Starts one look-up; `name` is copied. Always later: `done` comes once, from the loop, unless
 * dns_cancel came first. Follows CNAMEs over several queries (DNS_CNAME_MAX in all). A server is
 * given `dns.timeout`; each is tried twice at most; SERVFAIL, REFUSED, no answer and bad replies
 * lead to the next one. When all have failed the error is that of the last (dns-servfail,
 * dns-timeout, dns-bad-reply). */
struct dns_lookup *dns_lookup_start(struct dns *, const char *name, enum dns_type, dns_done_fn *,
                                    void *arg);
void dns_lookup_cancel(struct dns_lookup *);

#endif
