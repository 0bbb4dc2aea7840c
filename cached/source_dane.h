/* source_dane - what DANE says of the hosts of a DNSSEC-secure MX set (RFC 7672 s2.2): of each its
 * addresses, then TLSA at _25._tcp, several hosts side by side, all within one span of time. Knows
 * nothing of policies and verdicts. On the source thread's loop. */
#ifndef STS_CACHED_SOURCE_DANE_H
#define STS_CACHED_SOURCE_DANE_H

#include <stddef.h>
#include <stdint.h>

#include "cached/dane.h"
#include "common/alloc.h"
#include "common/error.h"

struct dns;
struct event_base;
struct source_dane;

enum { SOURCE_DANE_ABREAST = 16 /* hosts of one set looked at at a time */ };

struct source_dane_order {
    struct event_base *base;
    struct dns *dns;
    const char *const *hosts; /* borrowed until `done` or source_dane_cancel */
    size_t count;             /* at least one */
    int64_t time_ms;          /* a host that is not done by then is DANE_FAILED */
};

struct source_dane_result {
    const enum dane_state *states; /* one a host */
    enum sts_error error;          /* OK, or dns-* of a host that is DANE_FAILED: */
    const char *failed_host;       /* this one */
    const char *why;               /* "" when it is OK */
    uint32_t ttl_s;                /* the smallest seen; 0 when a host is DANE_FAILED */
};

typedef void source_dane_fn(const struct source_dane_result *, void *arg); /* result borrowed */

/* Always later; gone after `done`.
 *
 * DANE_NONE: nothing secure to go by: no address, insecure addresses, no TLSA or insecure TLSA.
 * DANE_USABLE: a record that a mail sender can verify by. DANE_UNUSABLE: secure records, but none
 * such. DANE_FAILED: addresses or TLSA could not be looked up, which is how a bogus answer looks.
 * A host that is an alias has its TLSA at the end of the chain, or else at its own name; when the
 * chain leaves what is signed, only at its own name, if its CNAME is secure (RFC 7672 s2.2.2). */
MUST_CHECK struct source_dane *source_dane_start(const struct source_dane_order *,
                                                 source_dane_fn *done, void *arg);
/* Not from inside `done`. Accepts NULL. */
void source_dane_cancel(struct source_dane *);

#endif
