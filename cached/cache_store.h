/* cache_store - between an entry and its record in LMDB: terms on the boot clock here, wall time
 * there. A process only trusts the boot clock; a disk outlives it, so that wall time is all it can
 * hold. Where the two meet, a wrong wall clock must neither end a policy nor make it live for ever.
 */
#ifndef STS_CACHED_CACHE_STORE_H
#define STS_CACHED_CACHE_STORE_H

#include <stdbool.h>

#include "cached/cache.h"
#include "cached/cache_lmdb.h"
#include "common/alloc.h"

/* The stored policy of the domain, new, and its record without the body; NULL when there is none,
 * or none that can be used (then deleted). */
MUST_CHECK struct policy *cache_store_read(struct store *, const char *domain,
                                           struct record *record);
/* Sets the times of an entry that holds the policy of the record. A fetch in the future counts as
 * now. False: the term is over. */
MUST_CHECK bool cache_store_start_term(struct entry *, const struct record *);
/* Wall time at which the record's policy ends. */
int64_t cache_store_end_s(const struct record *, const struct policy *);
/* True when the term of the record's policy is not over by the wall clock. */
bool cache_store_is_running(const struct record *, const struct policy *);
/* The entry's policy as a record, its body borrowed. Sets `fetched_s` to what the wall clock says
 * now, unless that is earlier than it was. */
void cache_store_record(struct entry *, struct record *);
/* The stored policy of the domain is due and not in force. Its end was told from the wall clock,
 * which may be wrong, so that it stays: out of the way of those that are due, the first to go when
 * the store needs room, and deleted when it has been over for more than a year. */
void cache_store_set_aside(struct store *, const char *domain);
/* Writes the entry's policy down, as above (`store` NULL: nowhere). */
void cache_store_write(struct store *, struct entry *);

#endif
