#include "cached/store_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

TAILQ_HEAD(changes, store_change);

struct store_queue {
    struct table *newest; /* of each domain */
    struct changes waiting, batch, owed;
    size_t count, bytes; /* of those that wait */
    size_t owed_bytes;
    uint64_t last, done;
};

/* --- one change ------------------------------------------------------------------------------- */

static const char *
domain_of(const struct table_link *link)
{
    return ((const struct store_change *)link)->domain;
}

static size_t
memory_of(const struct store_change *c)
{
    return sizeof *c + strlen(c->domain) + 1 + (c->record != NULL ? sizeof *c->record : 0) + c->len;
}

struct store_change *
store_change_new(const char *domain, const struct record *record)
{
    struct store_change *c = alloc_zero(1, sizeof *c + strlen(domain) + 1);
    struct buf bytes;

    strcpy(c->domain, domain);
    c->removes = record == NULL;
    if (record == NULL)
        return c;
    c->record = alloc_bytes(sizeof *c->record);
    *c->record = *record;
    buf_init(&bytes, RECORD_MAX);
    record_encode(record, NULL, &bytes);
    assert(!buf_failed(&bytes));
    c->bytes = bytes.data; /* taken out of the buffer */
    c->len = bytes.len;
    c->record->body = (struct span){0};
    return c;
}

/* Nothing of what it would write is kept. */
static void
empty(struct store_change *c)
{
    free(c->record);
    free(c->bytes);
    c->record = NULL;
    c->bytes = NULL;
    c->len = 0;
}

void
store_change_free(struct store_change *c)
{
    if (c == NULL)
        return;
    empty(c);
    free(c);
}

/* --- the queue -------------------------------------------------------------------------------- */

struct store_queue *
store_queue_new(void)
{
    struct store_queue *q = alloc_zero(1, sizeof *q);

    q->newest = table_new(domain_of);
    TAILQ_INIT(&q->waiting);
    TAILQ_INIT(&q->batch);
    TAILQ_INIT(&q->owed);
    return q;
}

static void
free_changes(struct changes *changes)
{
    struct store_change *c;

    while ((c = TAILQ_FIRST(changes)) != NULL) {
        TAILQ_REMOVE(changes, c, entry);
        store_change_free(c);
    }
}

void
store_queue_free(struct store_queue *q)
{
    if (q == NULL)
        return;
    table_free(q->newest);
    free_changes(&q->waiting);
    free_changes(&q->batch);
    free_changes(&q->owed);
    free(q);
}

static struct store_change *
newest_of(const struct store_queue *q, const char *domain)
{
    return (struct store_change *)table_find(q->newest, domain);
}

const struct store_change *
store_queue_find(const struct store_queue *q, const char *domain)
{
    return newest_of(q, domain);
}

size_t
store_queue_count(const struct store_queue *q)
{
    return q->count;
}

static void
append(struct store_queue *q, struct store_change *c)
{
    c->place = STORE_CHANGE_WAITS;
    c->number = ++q->last;
    TAILQ_INSERT_TAIL(&q->waiting, c, entry);
    q->count++;
    q->bytes += memory_of(c);
}

/* Puts what `c` has into `old`, which keeps its turn. */
static void
replace(struct store_queue *q, struct store_change *old, struct store_change *c)
{
    q->bytes += memory_of(c) - memory_of(old);
    empty(old);
    old->buries |= old->removes;
    old->record = c->record;
    old->bytes = c->bytes;
    old->len = c->len;
    old->removes = c->removes;
    old->sweeps |= c->sweeps;
    free(c);
}

static void
forgive(struct store_queue *q, struct store_change *c)
{
    TAILQ_REMOVE(&q->owed, c, entry);
    q->owed_bytes -= memory_of(c);
}

bool
store_queue_add(struct store_queue *q, struct store_change *c)
{
    struct store_change *old = newest_of(q, c->domain);

    if (!c->removes && q->bytes + memory_of(c) > STORE_QUEUE_BYTES_MAX)
        return false;
    if (old != NULL && old->place == STORE_CHANGE_WAITS) {
        replace(q, old, c);
        return true;
    }
    if (old != NULL)
        table_remove(q->newest, &old->link);
    if (old != NULL && old->place == STORE_CHANGE_OWED) {
        forgive(q, old);
        c->buries = true;
        c->sweeps |= old->sweeps;
        store_change_free(old);
    } /* else it is being made, and freed when it is */
    table_add(q->newest, &c->link);
    append(q, c);
    return true;
}

struct store_change *
store_queue_take(struct store_queue *q, uint64_t limit,
                 uint64_t (*cost_of)(const struct store_change *), uint64_t *cost)
{
    struct store_change *c;

    for (int n = 0; n < STORE_BATCH_MAX && (c = TAILQ_FIRST(&q->waiting)) != NULL; n++) {
        uint64_t more = cost_of(c);
        if (n > 0 && *cost + more > limit)
            break;
        *cost += more;
        c->place = STORE_CHANGE_TAKEN;
        TAILQ_REMOVE(&q->waiting, c, entry);
        TAILQ_INSERT_TAIL(&q->batch, c, entry);
        q->count--;
        q->bytes -= memory_of(c);
    }
    return TAILQ_FIRST(&q->batch);
}

/* False: there is no room. */
static bool
owe(struct store_queue *q, struct store_change *c)
{
    empty(c);
    c->removes = true;
    c->place = STORE_CHANGE_OWED;
    if (q->owed_bytes + memory_of(c) > STORE_OWED_BYTES_MAX)
        return false;
    TAILQ_INSERT_TAIL(&q->owed, c, entry);
    q->owed_bytes += memory_of(c);
    return true;
}

struct store_queue_finished
store_queue_finish(struct store_queue *q)
{
    struct store_queue_finished finished = {0};
    struct store_change *c;

    while ((c = TAILQ_FIRST(&q->batch)) != NULL) {
        struct store_change *newest = newest_of(q, c->domain);
        bool owed = c->given_up && (c->removes || c->buries);

        TAILQ_REMOVE(&q->batch, c, entry);
        q->done = c->number;
        finished.pays |= c->retried && !c->given_up;
        if (owed && newest != c) {
            newest->buries = true;
            newest->sweeps |= c->sweeps;
        } else if (owed && owe(q, c)) {
            continue;
        } else if (newest == c) {
            finished.lost += owed;
            table_remove(q->newest, &c->link);
        }
        store_change_free(c);
    }
    return finished;
}

bool
store_queue_owes(const struct store_queue *q)
{
    return !TAILQ_EMPTY(&q->owed);
}

void
store_queue_retry(struct store_queue *q, size_t max)
{
    struct store_change *c;

    for (size_t n = 0; n < max && (c = TAILQ_FIRST(&q->owed)) != NULL; n++) {
        forgive(q, c);
        c->retried = true;
        c->given_up = false;
        append(q, c);
    }
}

uint64_t
store_queue_last(const struct store_queue *q)
{
    return q->last;
}

uint64_t
store_queue_done(const struct store_queue *q)
{
    return q->done;
}
