/* store_writer - the thread that writes to the store, so that nobody else waits for the disk.
 * Changes are queued, at most one a domain, and committed in batches: the first after a pause at
 * once, further ones a twentieth of a second apart. What there is no room for (store_room.h) is
 * told and left out. A removal that failed is tried again each second, to the end and once more
 * then. All functions are called from one thread, the answer thread. */
#ifndef STS_CACHED_STORE_WRITER_H
#define STS_CACHED_STORE_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "cached/record.h"
#include "common/alloc.h"
#include "common/buf.h"

struct store_db;
struct store_writer;

/* `db` is borrowed; from now on only this thread writes to it. NULL: no thread was to be had. */
MUST_CHECK struct store_writer *store_writer_start(struct store_db *db);
/* Writes what is queued, ends the thread. Accepts NULL. */
void store_writer_stop(struct store_writer *);

void store_writer_put(struct store_writer *, const struct record *);
void store_writer_delete(struct store_writer *, const char *domain);
/* As the two above, for a domain whose lines in the indexes are not as the record says: removes the
 * record (NULL) or puts it in place, and leaves no line but its own. */
void store_writer_mend(struct store_writer *, const char *domain, const struct record *);

/* What is queued for the domain and not yet on disk; a removal owed too. */
enum store_queued { STORE_QUEUED_NOTHING, STORE_QUEUED_PUT, STORE_QUEUED_DELETE };
/* The record goes to `bytes`, emptied first, only with STORE_QUEUED_PUT. */
MUST_CHECK enum store_queued store_writer_find(struct store_writer *, const char *domain,
                                               struct buf *bytes);
/* Waits until everything queued so far was tried: written, dropped or owed (store_queue.h). */
void store_writer_flush(struct store_writer *);

struct store_writer_counts {
    uint64_t written, evicted, errors;
};
struct store_writer_counts store_writer_counts(struct store_writer *);

#endif
