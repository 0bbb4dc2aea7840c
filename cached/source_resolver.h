/* source_resolver - the start check of DANE: is there a resolver that validates, and is it
 * believed? Without its AD bits no MX set counts as secure, so DANE would silently never be found.
 * On the source thread's loop; nothing waits for it. */
#ifndef STS_CACHED_SOURCE_RESOLVER_H
#define STS_CACHED_SOURCE_RESOLVER_H

#include "common/alloc.h"

struct dns;
struct settings;
struct source_resolver;

/* While `dane` is on: asks for the SOA record of the root, and logs once what is wrong (a warning:
 * no `trust-ad`, no answer, no AD bit) or that all is well. */
MUST_CHECK struct source_resolver *source_resolver_check(struct dns *, const struct settings *);
/* To be called in any case, before dns_free. */
void source_resolver_free(struct source_resolver *);

#endif
