#include "cached/store_writer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cached/store_db.h"
#include "cached/store_room.h"
#include "cached/table.h"
#include "cached/thread.h"
#include "common/clock.h"
#include "common/log.h"

enum {
    GATHER_MS = 50, /* from one commit to the next, so that those under way share one */
    COMPLAIN_EVERY_MS = 60000
};

/* One change. In the queue until it is taken, in the table until it is done. */
struct change {
    struct table_link link;
    struct change *next;
    uint64_t number;
    bool removes, sweeps;
    bool taken;           /* out of the queue */
    bool given_up;        /* counted as an error */
    struct record record; /* of a removal only the domain; its body is not kept here */
    size_t len;
    char *bytes;
};

struct store_writer {
    struct store_db *db;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* for the writer */
    pthread_cond_t done; /* for who flushes */

    /* under the mutex */
    struct table *pending;
    struct change *first, **last;
    size_t queued, queued_bytes;
    uint64_t number, done_number; /* of the last change queued, and of the last one done */
    bool stop;
    bool gathers;    /* the writer waits for more to write at once */
    bool in_a_hurry; /* somebody waits for what is queued */
    struct store_writer_counts counts;
    int64_t complained_ms;

    struct store_room *room; /* the writer's own */
};

static const char *
domain_of(const struct table_link *link)
{
    return ((const struct change *)link)->record.domain;
}

static size_t
memory_of(const struct change *c)
{
    return sizeof *c + c->len;
}

static void
free_change(struct change *c)
{
    free(c->bytes);
    free(c);
}

/* Called from both threads. */
static void
complain(struct store_writer *w, const char *domain, const char *why)
{
    int64_t now_ms = clock_boot_ms();
    bool again;

    pthread_mutex_lock(&w->mutex);
    w->counts.errors++;
    again = w->complained_ms != 0 && now_ms - w->complained_ms < COMPLAIN_EVERY_MS;
    if (!again)
        w->complained_ms = now_ms;
    pthread_mutex_unlock(&w->mutex);
    if (!again)
        log_error("the store cannot keep the policy of %s: %s", domain, why);
}

/* --- the writer thread --------------------------------------------------- */

static void
give_up(struct store_writer *w, struct change *c, const char *why)
{
    c->given_up = true;
    complain(w, c->record.domain, why);
}

static enum store_db_status
apply(struct store_writer *w, const struct change *c)
{
    enum store_db_status status = STORE_DB_OK;

    if (c->sweeps)
        status = store_db_sweep(w->db, c->record.domain);
    if (status == STORE_DB_OK && c->removes)
        status = store_db_delete(w->db, c->record.domain);
    else if (status == STORE_DB_OK)
        status = store_db_put(w->db, &c->record, c->bytes, c->len);
    return status == STORE_DB_MISSING ? STORE_DB_OK : status;
}

/* Gives up those that the store has no room for. */
static void
sort_out(struct store_writer *w, struct change *batch)
{
    store_room_begin(w->room);
    for (struct change *c = batch; c != NULL; c = c->next) {
        const char *why = c->removes ? NULL : store_room_refuses(w->room, c->record.domain, c->len);

        if (why != NULL)
            give_up(w, c, why);
    }
    store_room_end(w->room);
}

/* Makes the changes from `c` up to (not including) `end` in one transaction; counts in `*written`.
 * Nothing is made unless all are. */
static enum store_db_status
commit_run(struct store_writer *w, struct change *c, const struct change *end, uint64_t *written)
{
    enum store_db_status status = store_db_begin(w->db);

    *written = 0;
    for (; c != end && status == STORE_DB_OK; c = c->next) {
        if (c->given_up)
            continue;
        status = apply(w, c);
        ++*written;
    }
    if (status == STORE_DB_OK)
        return store_db_commit(w->db);
    store_db_abort(w->db);
    return status;
}

/* The pages that a large record needs in one row may be missing though the store is not full. */
static enum store_db_status
commit_with_room(struct store_writer *w, struct change *c, const struct change *end)
{
    uint64_t written;
    enum store_db_status status = commit_run(w, c, end, &written);

    for (int i = 0; i < STORE_ROOM_EVICT_ROUNDS && status == STORE_DB_FULL &&
                    store_room_evict_some(w->room) > 0;
         i++)
        status = commit_run(w, c, end, &written);
    pthread_mutex_lock(&w->mutex);
    if (status == STORE_DB_OK)
        w->counts.written += written;
    w->counts.evicted = store_room_evicted(w->room);
    pthread_mutex_unlock(&w->mutex);
    return status;
}

static void
write_batch(struct store_writer *w, struct change *batch, uint64_t cost)
{
    store_room_make(w->room, cost);
    sort_out(w, batch);
    if (commit_with_room(w, batch, NULL) == STORE_DB_OK)
        return;
    for (struct change *c = batch; c != NULL; c = c->next) {
        if (commit_with_room(w, c, c->next) != STORE_DB_OK)
            give_up(w, c, store_db_error(w->db));
    }
}

/* Waits for changes. What arrives while a commit runs shares the next one; the first is never kept
 * back for company, since an answer may be out already that it must outlive. False: time to end. */
static bool
wait_for_changes(struct store_writer *w)
{
    while (w->first == NULL && !w->stop)
        pthread_cond_wait(&w->wake, &w->mutex);
    return w->first != NULL;
}

/* A commit costs the disk the same for one change as for many, and whoever else writes to it waits
 * meanwhile: so the first change after a pause is written at once, those behind it together. */
static void
gather(struct store_writer *w, const struct timespec *until)
{
    int error = 0;

    w->gathers = true;
    while (!w->stop && !w->in_a_hurry && w->queued < STORE_BATCH_MAX && error == 0)
        error = pthread_cond_timedwait(&w->wake, &w->mutex, until);
    w->gathers = false;
}

static struct timespec
next_commit(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += GATHER_MS * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* Takes from the queue what one transaction may hold: STORE_BATCH_MAX changes, and for a small
 * store no more than half of its reserve. */
static struct change *
take_batch(struct store_writer *w, uint64_t *cost)
{
    struct change *batch = w->first, **at = &w->first;
    uint64_t limit = store_room_batch_max(w->room);

    *cost = STORE_ROOM_A_COMMIT;
    for (int n = 0; *at != NULL && n < STORE_BATCH_MAX; n++, at = &(*at)->next) {
        uint64_t more = STORE_ROOM_A_CHANGE + (*at)->len;
        if (n > 0 && *cost + more > limit)
            break;
        *cost += more;
        (*at)->taken = true;
        w->queued--;
        w->queued_bytes -= memory_of(*at);
    }
    w->first = *at;
    if (w->first == NULL)
        w->last = &w->first;
    *at = NULL;
    return batch;
}

static void
finish_batch(struct store_writer *w, struct change *batch)
{
    for (struct change *c = batch, *next; c != NULL; c = next) {
        next = c->next;
        w->done_number = c->number;
        if (table_find(w->pending, c->record.domain) == &c->link)
            table_remove(w->pending, &c->link);
        free_change(c);
    }
    pthread_cond_broadcast(&w->done);
}

static void *
run(void *arg)
{
    struct store_writer *w = arg;
    struct timespec next = {0};

    pthread_mutex_lock(&w->mutex);
    while (wait_for_changes(w)) {
        uint64_t cost;
        struct change *batch;

        gather(w, &next);
        batch = take_batch(w, &cost);

        pthread_mutex_unlock(&w->mutex);
        write_batch(w, batch, cost);
        pthread_mutex_lock(&w->mutex);
        finish_batch(w, batch);
        next = next_commit();
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

/* --- the answer thread --------------------------------------------------- */

static void
free_writer(struct store_writer *w)
{
    pthread_mutex_destroy(&w->mutex);
    pthread_cond_destroy(&w->wake);
    pthread_cond_destroy(&w->done);
    table_free(w->pending);
    store_room_free(w->room);
    free(w);
}

struct store_writer *
store_writer_start(struct store_db *db)
{
    struct store_writer *w = alloc_zero(1, sizeof *w);
    pthread_condattr_t attributes;

    w->db = db;
    w->room = store_room_new(db);
    w->last = &w->first;
    w->pending = table_new(domain_of);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_cond_init(&w->done, NULL);
    if (thread_start(&w->thread, "store", run, w) == 0)
        return w;
    free_writer(w);
    return NULL;
}

void
store_writer_stop(struct store_writer *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    free_writer(w);
}

/* Puts the change in the queue, in the place of an older one that still waits there. */
static void
enqueue(struct store_writer *w, struct change *c)
{
    struct change *old = (struct change *)table_find(w->pending, c->record.domain);

    if (old != NULL && !old->taken) {
        w->queued_bytes += memory_of(c) - memory_of(old);
        free(old->bytes);
        old->bytes = c->bytes;
        old->len = c->len;
        old->record = c->record;
        old->removes = c->removes;
        old->sweeps |= c->sweeps;
        free(c);
        return;
    }
    if (old != NULL)
        table_remove(w->pending, &old->link); /* being written; the writer frees it */
    table_add(w->pending, &c->link);
    c->number = ++w->number;
    *w->last = c;
    w->last = &c->next;
    w->queued++;
    w->queued_bytes += memory_of(c);
    if (!w->gathers || w->queued >= STORE_BATCH_MAX)
        pthread_cond_signal(&w->wake);
}

static void
submit(struct store_writer *w, struct change *c)
{
    bool refused;

    pthread_mutex_lock(&w->mutex);
    refused = !c->removes && w->queued_bytes + memory_of(c) > STORE_QUEUE_BYTES_MAX;
    if (!refused)
        enqueue(w, c);
    pthread_mutex_unlock(&w->mutex);
    if (!refused)
        return;
    complain(w, c->record.domain, "the disk does not keep up");
    free_change(c);
}

static struct change *
new_change(const char *domain, const struct record *record)
{
    struct change *c = alloc_zero(1, sizeof *c);
    struct buf bytes;

    c->removes = record == NULL;
    if (record == NULL) {
        strncpy(c->record.domain, domain, sizeof c->record.domain - 1);
        return c;
    }
    c->record = *record;
    buf_init(&bytes, RECORD_MAX);
    record_encode(record, NULL, &bytes);
    assert(!buf_failed(&bytes));
    c->bytes = bytes.data; /* taken out of the buffer */
    c->len = bytes.len;
    c->record.body = (struct span){0};
    return c;
}

void
store_writer_put(struct store_writer *w, const struct record *record)
{
    assert(record != NULL);
    submit(w, new_change(record->domain, record));
}

void
store_writer_delete(struct store_writer *w, const char *domain)
{
    submit(w, new_change(domain, NULL));
}

void
store_writer_mend(struct store_writer *w, const char *domain, const struct record *record)
{
    struct change *c = new_change(domain, record);

    c->sweeps = true;
    submit(w, c);
}

enum store_queued
store_writer_find(struct store_writer *w, const char *domain, struct buf *bytes)
{
    enum store_queued queued = STORE_QUEUED_NOTHING;
    const struct change *c;

    pthread_mutex_lock(&w->mutex);
    c = (const struct change *)table_find(w->pending, domain);
    if (c != NULL) {
        queued = c->removes ? STORE_QUEUED_DELETE : STORE_QUEUED_PUT;
        buf_reset(bytes);
        buf_add(bytes, c->bytes, c->len);
    }
    pthread_mutex_unlock(&w->mutex);
    return queued;
}

void
store_writer_flush(struct store_writer *w)
{
    uint64_t number;

    pthread_mutex_lock(&w->mutex);
    number = w->number;
    w->in_a_hurry = true;
    pthread_cond_signal(&w->wake);
    while (w->done_number < number)
        pthread_cond_wait(&w->done, &w->mutex);
    w->in_a_hurry = false;
    pthread_mutex_unlock(&w->mutex);
}

struct store_writer_counts
store_writer_counts(struct store_writer *w)
{
    struct store_writer_counts counts;

    pthread_mutex_lock(&w->mutex);
    counts = w->counts;
    pthread_mutex_unlock(&w->mutex);
    return counts;
}
