/* cache_lmdb - the last known good of this host: every policy that this node knows, in LMDB.
 * Reads happen on the answer thread (1-2 us); writes go to a thread of their own that batches
 * (store_writer.h), because a commit syncs to disk. A read sees all that was put before it.
 * The file and its form: store_db.h. What happens to a damaged one: store_rescue.h. All functions
 * are called from one thread. */
#ifndef STS_CACHED_CACHE_LMDB_H
#define STS_CACHED_CACHE_LMDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cached/record.h"
#include "common/alloc.h"

struct store;

/* Opens (creates, 0600) `directory`/policies.mdb, at most `size` bytes, after privileges were
 * dropped, and starts the writer. The directory is locked against a second daemon. When a former
 * run crashed inside the store (file `suspect` beside it), or the file cannot be opened as a store,
 * a forked child copies every sound record into a new one and the old file is kept as
 * policies.mdb.damaged; a warning says how many were saved. NULL: `why`. */
MUST_CHECK struct store *store_open(const char *directory, int64_t size, char *why,
                                    size_t why_size);
/* Writes what is queued, stops the writer, closes. Accepts NULL. */
void store_close(struct store *);

/* Copies the record of `domain` into `bytes` (emptied first; limit at least RECORD_MAX) and decodes
 * it there: record->body points into `bytes`. False: not there, or unsound (logged once, deleted).
 */
MUST_CHECK bool store_get(struct store *, const char *domain, struct buf *bytes,
                          struct record *record);
/* Queues a write or a removal; copied. Later ones of the same domain win. One that cannot be kept
 * (full, disk failure) is counted and logged at most once a minute. */
void store_put(struct store *, const struct record *);
void store_delete(struct store *, const char *domain);
/* Waits until everything queued so far is on disk. For tests and the end. */
void store_flush(struct store *);

/* Calls `each` for up to `max` domains whose refresh is due at or before `now_s`, earliest first.
 * Returns how many. `each` may call store functions. */
size_t store_due(struct store *, int64_t now_s, size_t max,
                 void (*each)(const char *domain, void *arg), void *arg);
/* Calls `each` for every sound record in the file (decoded, borrowed), in order of domain,
 * beginning after the domain `after` (NULL: at the start), until it returns false. Never waits for
 * the disk: a queued change of a domain in the file counts, a domain that is only queued is passed
 * over. `each` may call store functions. */
void store_walk(struct store *, const char *after, bool (*each)(const struct record *, void *arg),
                void *arg);

struct store_stats {
    uint64_t policies, bytes_used, bytes_max;
    uint64_t written, evicted, unsound, write_errors;
};
void store_stats(struct store *, struct store_stats *);

#endif
