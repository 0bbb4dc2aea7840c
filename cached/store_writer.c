#include "cached/store_writer.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cached/store_db.h"
#include "cached/store_queue.h"
#include "cached/store_room.h"
#include "cached/thread.h"
#include "common/clock.h"
#include "common/log.h"

enum {
    GATHER_MS = 50, /* from one commit to the next, so that those under way share one */
    RETRY_S = 1,    /* one of the removals owed; when that works, all */
    COMPLAIN_EVERY_MS = 60000
};

struct store_writer {
    struct store_db *db;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* for the writer */
    pthread_cond_t done; /* for who flushes */

    /* under the mutex */
    struct store_queue *queue;
    bool stop;
    bool gathers;    /* the writer waits for more to write at once */
    bool in_a_hurry; /* somebody waits for what is queued */
    struct store_writer_counts counts;
    int64_t complained_ms[2]; /* of writes, of removals; 0: never */

    /* the writer's own */
    struct store_room *room;
    struct timespec retry; /* when the next of the removals owed is tried again */
    bool last_try;         /* of them, before the end */
};

/* Called from both threads. */
static void
complain(struct store_writer *w, const struct store_change *c, const char *why)
{
    int64_t now_ms = clock_boot_ms(), *last_ms = &w->complained_ms[c->removes];
    bool again;

    pthread_mutex_lock(&w->mutex);
    w->counts.errors += !c->retried;
    again = *last_ms != 0 && now_ms - *last_ms < COMPLAIN_EVERY_MS;
    if (!again)
        *last_ms = now_ms;
    pthread_mutex_unlock(&w->mutex);
    if (again)
        return;
    if (c->removes)
        log_error("the store cannot remove the policy of %s: %s; it counts as removed, and is "
                  "tried again until this program ends",
                  c->domain, why);
    else
        log_error("the store cannot keep the policy of %s: %s", c->domain, why);
}

/* --- the writer thread --------------------------------------------------- */

static void
give_up(struct store_writer *w, struct store_change *c, const char *why)
{
    c->given_up = true;
    complain(w, c, why);
}

static enum store_db_status
apply(struct store_writer *w, const struct store_change *c)
{
    enum store_db_status status = STORE_DB_OK;

    if (c->sweeps)
        status = store_db_sweep(w->db, c->domain);
    if (status == STORE_DB_OK && c->removes)
        status = store_db_delete(w->db, c->domain);
    else if (status == STORE_DB_OK)
        status = store_db_put(w->db, c->record, c->bytes, c->len);
    return status == STORE_DB_MISSING ? STORE_DB_OK : status;
}

/* Gives up those that the store has no room for. */
static void
sort_out(struct store_writer *w, struct store_change *batch)
{
    store_room_begin(w->room);
    for (struct store_change *c = batch; c != NULL; c = TAILQ_NEXT(c, entry)) {
        const char *why = c->removes ? NULL : store_room_refuses(w->room, c->domain, c->len);

        if (why != NULL)
            give_up(w, c, why);
    }
    store_room_end(w->room);
}

/* Makes the changes from `c` up to (not including) `end` in one transaction; counts in `*written`.
 * Nothing is made unless all are. */
static enum store_db_status
commit_run(struct store_writer *w, struct store_change *c, const struct store_change *end,
           uint64_t *written)
{
    enum store_db_status status = store_db_begin(w->db);

    *written = 0;
    for (; c != end && status == STORE_DB_OK; c = TAILQ_NEXT(c, entry)) {
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
commit_with_room(struct store_writer *w, struct store_change *c, const struct store_change *end)
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
write_batch(struct store_writer *w, struct store_change *batch, uint64_t cost)
{
    store_room_make(w->room, cost);
    sort_out(w, batch);
    if (commit_with_room(w, batch, NULL) == STORE_DB_OK)
        return;
    for (struct store_change *c = batch; c != NULL; c = TAILQ_NEXT(c, entry)) {
        if (commit_with_room(w, c, TAILQ_NEXT(c, entry)) != STORE_DB_OK)
            give_up(w, c, store_db_error(w->db));
    }
}

static bool
is_over(const struct timespec *at)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > at->tv_sec || (now.tv_sec == at->tv_sec && now.tv_nsec >= at->tv_nsec);
}

/* As long as the store refuses, one of the removals owed is tried now and then, and at the end:
 * that tells whether the others are worth it. */
static void
retry_when_due(struct store_writer *w)
{
    if (w->stop && !w->last_try) {
        w->last_try = true;
        store_queue_retry(w->queue, 1);
    } else if (!w->stop && store_queue_owes(w->queue) && is_over(&w->retry)) {
        store_queue_retry(w->queue, 1);
        clock_gettime(CLOCK_MONOTONIC, &w->retry);
        w->retry.tv_sec += RETRY_S;
    }
}

/* Waits for changes. What arrives while a commit runs shares the next one; the first is never kept
 * back for company, since an answer may be out already that it must outlive. False: time to end. */
static bool
wait_for_changes(struct store_writer *w)
{
    retry_when_due(w);
    while (store_queue_count(w->queue) == 0 && !w->stop) {
        if (store_queue_owes(w->queue))
            pthread_cond_timedwait(&w->wake, &w->mutex, &w->retry);
        else
            pthread_cond_wait(&w->wake, &w->mutex);
        retry_when_due(w);
    }
    return store_queue_count(w->queue) > 0;
}

/* A commit costs the disk the same for one change as for many, and whoever else writes to it waits
 * meanwhile: so the first change after a pause is written at once, those behind it together. */
static void
gather(struct store_writer *w, const struct timespec *until)
{
    int error = 0;

    w->gathers = true;
    while (!w->stop && !w->in_a_hurry && store_queue_count(w->queue) < STORE_BATCH_MAX &&
           error == 0)
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

static uint64_t
cost_of(const struct store_change *c)
{
    return STORE_ROOM_A_CHANGE + c->len;
}

/* Takes from the queue what one transaction may hold, for a small store no more than half of its
 * reserve. */
static struct store_change *
take_batch(struct store_writer *w, uint64_t *cost)
{
    *cost = STORE_ROOM_A_COMMIT;
    return store_queue_take(w->queue, store_room_batch_max(w->room), cost_of, cost);
}

static void
finish_batch(struct store_writer *w)
{
    struct store_queue_finished finished = store_queue_finish(w->queue);

    if (finished.pays)
        store_queue_retry(w->queue, SIZE_MAX);
    if (finished.lost > 0)
        log_error("the store cannot remove %zu policies, and too many wait for it: they are in "
                  "force still",
                  finished.lost);
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
        struct store_change *batch;

        gather(w, &next);
        batch = take_batch(w, &cost);

        pthread_mutex_unlock(&w->mutex);
        write_batch(w, batch, cost);
        pthread_mutex_lock(&w->mutex);
        finish_batch(w);
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
    store_queue_free(w->queue);
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
    w->queue = store_queue_new();
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

static void
submit(struct store_writer *w, struct store_change *c)
{
    bool added;

    pthread_mutex_lock(&w->mutex);
    added = store_queue_add(w->queue, c);
    if (added && (!w->gathers || store_queue_count(w->queue) >= STORE_BATCH_MAX))
        pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    if (added)
        return;
    complain(w, c, "the disk does not keep up");
    store_change_free(c);
}

void
store_writer_put(struct store_writer *w, const struct record *record)
{
    assert(record != NULL);
    submit(w, store_change_new(record->domain, record));
}

void
store_writer_delete(struct store_writer *w, const char *domain)
{
    submit(w, store_change_new(domain, NULL));
}

void
store_writer_mend(struct store_writer *w, const char *domain, const struct record *record)
{
    struct store_change *c = store_change_new(domain, record);

    c->sweeps = true;
    submit(w, c);
}

enum store_queued
store_writer_find(struct store_writer *w, const char *domain, struct buf *bytes)
{
    enum store_queued queued = STORE_QUEUED_NOTHING;
    const struct store_change *c;

    pthread_mutex_lock(&w->mutex);
    c = store_queue_find(w->queue, domain);
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
    number = store_queue_last(w->queue);
    w->in_a_hurry = true;
    pthread_cond_signal(&w->wake);
    while (store_queue_done(w->queue) < number)
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
