/* store_db - the file of the store: one LMDB environment with three databases kept in step.
 *   policy  domain -> record (record.h)
 *   due     refresh time (8 bytes, big-endian), domain -> nothing
 *   used    day of the last question (8 bytes, big-endian), domain -> nothing
 * and, in the unnamed one, the version of this format. Only this module knows LMDB.
 *
 * Knows nothing of threads or queues, but may serve two: one calls the functions that read, the
 * other those that write. All stays in LMDB are guarded (store_guard.h), and what is read is
 * copied: no caller ever holds memory of the map. Without memory to open the file or to read in it
 * the program ends as alloc.h says. */
#ifndef STS_CACHED_STORE_DB_H
#define STS_CACHED_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cached/record.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/domain.h"

enum store_db_status {
    STORE_DB_OK,
    STORE_DB_MISSING, /* no such key; at open: an empty file */
    STORE_DB_FULL,
    STORE_DB_DAMAGED,   /* no store of ours, or its pages make no sense */
    STORE_DB_NEWER,     /* written by a later version of this program */
    STORE_DB_NO_MEMORY, /* for a write; it may be damage: LMDB takes as much as the file says */
    STORE_DB_FAILED     /* the system said no */
};

enum store_db_access {
    STORE_DB_SHARED, /* with a lock file, every commit synced: the running store */
    STORE_DB_REPAIR, /* alone and unsynced: a new file while it is filled */
    STORE_DB_LOOK    /* alone, nothing is written or made */
};

enum { STORE_DB_SIZE_MIN = 1 << 20 };

struct store_db;

/* Opens `path` with room for `size` bytes (at least STORE_DB_SIZE_MIN); made when it is not there.
 * Not STORE_DB_OK: `*out` is NULL and `why` names the cause. */
MUST_CHECK enum store_db_status store_db_open(const char *path, int64_t size, enum store_db_access,
                                              struct store_db **out, char *why, size_t why_size);
/* Accepts NULL. Nothing may be under way. */
void store_db_close(struct store_db *);
/* Waits until all that was committed is on disk. */
MUST_CHECK enum store_db_status store_db_sync(struct store_db *);

/* Reading. Bytes are copied to `bytes`, which is emptied first; more than RECORD_MAX give an empty
 * buffer, which is no sound record. */
MUST_CHECK enum store_db_status store_db_get(struct store_db *, const char *domain,
                                             struct buf *bytes);
/* The record after (before) the domain in `domain`, which becomes that record's; "" begins at the
 * first (last) one. STORE_DB_MISSING at the end. */
MUST_CHECK enum store_db_status store_db_next(struct store_db *, char domain[DOMAIN_SIZE],
                                              struct buf *bytes);
MUST_CHECK enum store_db_status store_db_previous(struct store_db *, char domain[DOMAIN_SIZE],
                                                  struct buf *bytes);

/* One line of an index. */
enum store_db_index { STORE_DB_DUE, STORE_DB_USED };
struct store_db_place {
    int64_t number; /* seconds or days */
    char domain[DOMAIN_SIZE];
};
/* Steps to the index line after `place`; all zero begins at the start. */
MUST_CHECK enum store_db_status store_db_index_next(struct store_db *, enum store_db_index,
                                                    struct store_db_place *place);

struct store_db_usage {
    uint64_t policies;
    uint64_t bytes_used, bytes_max; /* pages that hold something; the limit */
};
void store_db_usage(struct store_db *, struct store_db_usage *);
/* Goes through every page that holds something, for at most `limit_ms`. False: damaged. */
MUST_CHECK bool store_db_check(struct store_db *, int64_t limit_ms);

/* How many policies the file says it holds. */
MUST_CHECK enum store_db_status store_db_count(struct store_db *, uint64_t *policies);

/* Of a closed file. Was anything ever committed to it? Then it cannot be an empty one. */
MUST_CHECK bool store_db_was_written(const char *path);
/* Copies it to `copy`, with one of its two heads in the place of both: the one that LMDB does not
 * go by (the state before the last commit), or the only sound one. False: there is none, or the
 * copy failed, of which a part may be there. */
MUST_CHECK bool store_db_copy_other_head(const char *path, const char *copy);

/* Writing: begin, changes, commit or abort. After any result but STORE_DB_OK (of a removal also
 * STORE_DB_MISSING) the transaction must be aborted; commit has then ended it, done or not. */
MUST_CHECK enum store_db_status store_db_begin(struct store_db *);
MUST_CHECK enum store_db_status store_db_commit(struct store_db *);
void store_db_abort(struct store_db *);
/* Puts `record`, whose encoded form is `bytes`, in place of the domain's former one. */
MUST_CHECK enum store_db_status store_db_put(struct store_db *, const struct record *record,
                                             const char *bytes, size_t len);
/* True when there is a record of the domain, sound or not; `*size` is its size, else 0. */
MUST_CHECK bool store_db_holds(struct store_db *, const char *domain, size_t *size);
MUST_CHECK enum store_db_status store_db_delete(struct store_db *, const char *domain);
/* Removes all index lines of the domain by going through the whole indexes: for when no sound
 * record tells where they are. */
MUST_CHECK enum store_db_status store_db_sweep(struct store_db *, const char *domain);
/* Removes the record unused longest, unless it was asked for on `day_limit` or later: then
 * STORE_DB_MISSING. Counts it in `*evicted` (an index line without a record is not counted). */
MUST_CHECK enum store_db_status store_db_evict(struct store_db *, int64_t day_limit,
                                               uint64_t *evicted);
/* Calls `each` for every record with a sound name, and its size, within the transaction. */
MUST_CHECK enum store_db_status
store_db_weigh(struct store_db *, void (*each)(const char *domain, size_t bytes, void *arg),
               void *arg);
/* Removes one record of the organisation's (store_crowd.h) that was asked for before `day_limit`,
 * and adds its size to `*bytes`. Looks at STORE_DB_LOOK_MAX lines of `used` at most, from `hand`
 * on, which goes round (all zero: the start). STORE_DB_MISSING: none was among them. */
enum { STORE_DB_LOOK_MAX = 1024 };
MUST_CHECK enum store_db_status store_db_evict_of(struct store_db *, const char *organisation,
                                                  int64_t day_limit, struct store_db_place *hand,
                                                  uint64_t *bytes);
/* The cause of the last failure of a function that writes. */
const char *store_db_error(const struct store_db *);

#endif
