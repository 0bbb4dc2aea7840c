/* What Redis does not have yet: noted while it is away, written back when it is there. */
#include <stdlib.h>
#include <string.h>

#include "cached/farm_parts.h"
#include "common/log.h"

enum { DIRTY_MAX = 50000, AT_ONCE = 64 };

static const char *
domain_of(const struct table_link *link)
{
    return ((const struct farm_dirty *)link)->domain; /* the link comes first */
}

void
farm_dirty_init(struct farm *farm)
{
    farm->dirty = table_new(domain_of);
    TAILQ_INIT(&farm->dirty_order);
}

static void
drop(struct farm *farm, struct farm_dirty *d)
{
    table_remove(farm->dirty, &d->link);
    TAILQ_REMOVE(&farm->dirty_order, d, entry);
    farm->stats->redis_unwritten = table_count(farm->dirty);
    free(d->tombstone);
    free(d);
}

void
farm_dirty_done(struct farm *farm)
{
    struct farm_dirty *d;

    while ((d = TAILQ_FIRST(&farm->dirty_order)) != NULL)
        drop(farm, d);
    table_free(farm->dirty);
}

void
farm_dirty_add(struct farm *farm, const char *domain, struct record *tombstone, int64_t life_s)
{
    struct farm_dirty *d = (struct farm_dirty *)table_find(farm->dirty, domain);

    if (d == NULL && table_count(farm->dirty) >= DIRTY_MAX) {
        farm->dirty_overflow = true;
        free(tombstone);
        return;
    }
    if (d == NULL) {
        d = alloc_zero(1, sizeof *d + strlen(domain) + 1);
        strcpy(d->domain, domain);
        table_add(farm->dirty, &d->link);
        TAILQ_INSERT_TAIL(&farm->dirty_order, d, entry);
        farm->stats->redis_unwritten = table_count(farm->dirty);
    }
    if (tombstone != NULL) {
        free(d->tombstone);
        d->tombstone = tombstone;
        d->life_s = life_s;
    }
}

bool
farm_dirty_buries(const struct farm *farm, const struct record *record)
{
    const struct farm_dirty *d = (const struct farm_dirty *)table_find(farm->dirty, record->domain);

    return d != NULL && d->tombstone != NULL && d->tombstone->seq >= record->seq;
}

static void
on_written(void *arg)
{
    struct farm *farm = arg;

    farm->writing_back--;
    if (farm->writing_back == 0 && farm_is_up(farm) && TAILQ_EMPTY(&farm->dirty_order))
        log_debug("farm: all is written back");
}

static void
write_one(struct farm *farm, struct farm_dirty *d)
{
    farm->writing_back++;
    if (d->tombstone != NULL) {
        struct farm_job *job = farm_job_new(farm, d->domain, farm);

        job->done = on_written;
        farm_put_tombstone(farm, d->tombstone, d->life_s, job);
        d->tombstone = NULL;
    } else {
        (void)farm_give(farm, d->domain, false, on_written, farm);
    }
    drop(farm, d);
}

void
farm_write_back(struct farm *farm)
{
    struct farm_dirty *d, *next;

    if (farm->writing_back > 0)
        return;
    for (d = TAILQ_FIRST(&farm->dirty_order); d != NULL && farm->writing_back < AT_ONCE; d = next) {
        next = TAILQ_NEXT(d, entry);
        write_one(farm, d);
    }
    if (d == NULL && farm->dirty_overflow) {
        farm->dirty_overflow = false;
        farm_copy_begin(farm->copy);
    }
}
