#include "cached/farm.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache_lmdb.h"
#include "cached/farm_parts.h"
#include "cached/settings.h"
#include "common/clock.h"
#include "common/log.h"

enum {
    LOCK_EXTRA_MS = 5000, /* a lock's holder may take the fetch's time-out and this */
    RAISES_MAX = 3
};

/* --- jobs ------------------------------------------------------------------------------------- */

struct farm_job *
farm_job_new(struct farm *farm, const char *domain, void *arg)
{
    struct farm_job *job = alloc_zero(1, sizeof *job);

    job->farm = farm;
    job->arg = arg;
    snprintf(job->domain, sizeof job->domain, "%s", domain);
    LIST_INSERT_HEAD(&farm->jobs, job, entry);
    return job;
}

void
farm_job_free(struct farm_job *job)
{
    if (job->timer != NULL)
        event_free(job->timer);
    LIST_REMOVE(job, entry);
    free(job->tombstone);
    free(job);
}

void
farm_cancel(struct farm_job *job)
{
    if (job == NULL)
        return;
    if (job->shares) { /* what was learnt reaches the farm all the same */
        job->done = NULL;
        return;
    }
    cache_redis_cancel(job->redis);
    job->redis = NULL;
    if (job->timer != NULL)
        event_free(job->timer);
    job->timer = NULL;
    job->cancelled = true;
    if (!job->taking)
        farm_job_free(job);
}

static void
end_job(struct farm_job *job)
{
    farm_done_fn *done = job->done;
    void *arg = job->arg;

    farm_job_free(job);
    if (done != NULL)
        done(arg);
}

static void
on_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    end_job(arg);
}

static void
end_job_later(struct farm_job *job)
{
    job->timer = evtimer_new(job->farm->base, on_end, job);
    event_add(job->timer, &(struct timeval){0, 0});
}

/* --- taking ----------------------------------------------------------------------------------- */

void
farm_tell_changed(struct farm *farm, const char *domain)
{
    if (farm->events != NULL)
        farm->events->changed(domain, farm->events_arg);
}

/* Redis does not have what we hold yet, so that what it has may well be older. */
static bool
is_unwritten(const struct farm *farm, const char *domain)
{
    const struct farm_job *job;

    LIST_FOREACH(job, &farm->jobs, entry)
    {
        if (job->shares && strcmp(job->domain, domain) == 0)
            return true;
    }
    return farm->dirty_overflow || table_find(farm->dirty, domain) != NULL;
}

/* Somebody played it again, or Redis went back in time. */
static void
note_stale(struct farm *farm, const char *domain)
{
    if (!farm->copied || farm_copy_is_behind(farm->copy) || is_unwritten(farm, domain))
        return;
    farm->stats->redis_stale++;
    cache_redis_alarm(farm->redis, domain, "older than what is held");
}

static bool
holds_policy(struct farm *farm, const char *domain)
{
    const struct entry *e = cache_get(farm->cache, domain, true);

    return e != NULL && e->policy != NULL;
}

void
farm_take(struct farm *farm, const char *domain, const struct cache_redis_found *found,
          bool to_memory)
{
    enum cache_taken taken;

    if (found->status == CACHE_REDIS_AWAY)
        return;
    if (found->record == NULL) {
        if (found->refused || holds_policy(farm, domain))
            farm_dirty_add(farm, domain, NULL, 0); /* ours belongs there, should we have one */
        return;
    }
    if (farm_dirty_buries(farm, found->record))
        return;
    taken = cache_take(farm->cache, found->record, to_memory);
    if (taken == CACHE_OLDER && found->record->kind != RECORD_FAILURE) {
        note_stale(farm, domain);
        farm_dirty_add(farm, domain, NULL, 0);
    }
    if (taken == CACHE_TAKEN && found->record->kind == RECORD_TOMBSTONE && farm->events != NULL)
        farm->events->forgotten(domain, farm->events_arg);
}

/* As farm_take, for a job. The engine may cancel it meanwhile: then it is gone, and false. */
static bool
take_for_job(struct farm_job *job, const struct cache_redis_found *found)
{
    job->redis = NULL;
    job->taking = true;
    farm_take(job->farm, job->domain, found, true);
    job->taking = false;
    if (!job->cancelled)
        return true;
    farm_job_free(job);
    return false;
}

static void
on_found(const struct cache_redis_found *found, void *arg)
{
    struct farm_job *job = arg;

    if (take_for_job(job, found))
        end_job(job);
}

struct farm_job *
farm_look(struct farm *farm, const char *domain, farm_done_fn *done, void *arg)
{
    struct farm_job *job = farm_job_new(farm, domain, arg);

    job->done = done;
    farm->stats->redis_lookups++;
    job->redis = cache_redis_get(farm->redis, domain, on_found, job);
    return job;
}

/* --- locks ------------------------------------------------------------------------------------ */

/* What a fetch brings that begins now comes behind all that is held. */
static uint64_t
seq_from(struct farm *farm, const char *domain, uint64_t seq)
{
    const struct entry *e = cache_get(farm->cache, domain, false);

    return e != NULL && e->seq >= seq ? e->seq + 1 : seq;
}

static void
on_locked(const struct cache_redis_locked *result, void *arg)
{
    struct farm_job *job = arg;
    struct farm *farm = job->farm;
    struct farm_locked locked = {.locked = result->locked,
                                 .away = result->status == CACHE_REDIS_AWAY,
                                 .seq = result->seq,
                                 .again_ms = result->again_ms};
    farm_locked_fn *fn = job->locked;
    void *fn_arg = job->arg;
    char domain[DOMAIN_SIZE];

    snprintf(domain, sizeof domain, "%s", job->domain);
    if (!take_for_job(job, &result->found)) {
        if (result->locked)
            cache_redis_unlock(farm->redis, domain, true);
        return;
    }
    if (locked.away)
        locked.seq = cache_redis_now_us(farm->redis);
    locked.seq = seq_from(farm, job->domain, locked.seq);
    farm_job_free(job);
    fn(&locked, fn_arg);
}

struct farm_job *
farm_lock(struct farm *farm, const char *domain, bool force, farm_locked_fn *fn, void *arg)
{
    struct farm_job *job = farm_job_new(farm, domain, arg);

    job->locked = fn;
    job->redis = cache_redis_lock(farm->redis, domain, force, on_locked, job);
    return job;
}

void
farm_unlock(struct farm *farm, const char *domain)
{
    cache_redis_unlock(farm->redis, domain, true);
}

/* --- sharing ---------------------------------------------------------------------------------- */

/* What was fetched meanwhile has an order of its own. */
static void
note_seq(struct farm_job *job, uint64_t seq)
{
    struct farm *farm = job->farm;
    struct record held;
    struct buf body;
    int64_t life_s;

    buf_init(&body, RECORD_MAX);
    if (cache_give(farm->cache, job->domain, &body, &held, &life_s) && held.kind == job->kind &&
        held.seq == job->seq)
        cache_set_seq(farm->cache, job->domain, seq);
    buf_done(&body);
}

/* An order comes after all that was there when it was given. */
static bool
raise_above(struct farm_job *job, const struct record *newer)
{
    struct record *tombstone = job->tombstone;

    if (tombstone == NULL || newer == NULL || job->raises == 0)
        return false;
    job->raises--;
    job->shares = true;
    tombstone->seq = newer->seq + 1;
    farm_put_tombstone(job->farm, tombstone, job->life_s, job);
    return true;
}

static void
on_put(const struct cache_redis_put_result *result, void *arg)
{
    struct farm_job *job = arg;
    struct farm *farm = job->farm;
    struct cache_redis_found newer = {.record = result->newer};

    job->redis = NULL;
    job->shares = false;
    if (result->status == CACHE_REDIS_AWAY) {
        farm_dirty_add(farm, job->domain, job->tombstone, job->life_s);
        job->tombstone = NULL;
    } else if (result->written && job->tombstone != NULL) {
        farm_dirty_add(farm, job->domain, NULL, 0); /* a policy fetched since, if there is one */
    } else if (result->written) {
        farm->stats->redis_shared++;
        note_seq(job, result->seq);
    } else if (raise_above(job, result->newer)) {
        return;
    } else if (newer.record != NULL && !take_for_job(job, &newer)) {
        return;
    }
    end_job(job);
}

struct farm_job *
farm_give(struct farm *farm, const char *domain, bool unlock, farm_done_fn *done, void *arg)
{
    struct farm_job *job = farm_job_new(farm, domain, arg);
    struct record record;
    struct buf body;
    int64_t life_s;

    job->done = done;
    job->shares = true;
    buf_init(&body, RECORD_MAX);
    if (cache_give(farm->cache, domain, &body, &record, &life_s)) {
        job->kind = record.kind;
        job->seq = record.seq;
        job->redis = cache_redis_put(farm->redis, &record, life_s, on_put, job);
    } else {
        if (unlock)
            cache_redis_unlock(farm->redis, domain, true);
        end_job_later(job);
    }
    buf_done(&body);
    return job;
}

struct farm_job *
farm_share(struct farm *farm, const char *domain, farm_done_fn *done, void *arg)
{
    return farm_give(farm, domain, true, done, arg);
}

void
farm_put_tombstone(struct farm *farm, struct record *record, int64_t life_s, struct farm_job *job)
{
    job->tombstone = record;
    job->life_s = life_s;
    job->redis = cache_redis_put(farm->redis, record, life_s, on_put, job);
}

struct farm_job *
farm_bury(struct farm *farm, const char *domain, farm_done_fn *done, void *arg)
{
    struct farm_job *job = farm_job_new(farm, domain, arg);
    struct record *record = alloc_zero(1, sizeof *record);
    int64_t life_s;

    job->done = done;
    job->shares = true;
    job->raises = RAISES_MAX;
    if (cache_bury(farm->cache, domain, cache_redis_now_us(farm->redis), record, &life_s)) {
        farm_put_tombstone(farm, record, life_s, job);
        return job;
    }
    free(record);
    end_job_later(job);
    return job;
}

void
farm_tell(struct farm *farm, const char *name)
{
    if (farm != NULL)
        cache_redis_tell(farm->redis, name);
}

/* --- the link --------------------------------------------------------------------------------- */

bool
farm_is_up(const struct farm *farm)
{
    return farm != NULL && farm->link != NULL && redis_link_is_up(farm->link);
}

bool
farm_is_blind(const struct farm *farm)
{
    return farm != NULL && !farm->copied && !farm_is_up(farm);
}

static void
on_up(void *arg)
{
    struct farm *farm = arg;

    if (farm->stream == NULL) /* the end has begun */
        return;
    farm->stats->redis_up = 1;
    if (!farm->copied)
        cache_forget_outcomes(farm->cache, NULL); /* learnt alone, without the others' word */
    farm->beating = farm->beat_again = false;
    farm_beat(farm);
}

static void
on_down(const char *why, void *arg)
{
    struct farm *farm = arg;

    (void)why;
    farm->stats->redis_up = 0;
    farm->stats->redis_failures++;
    if (farm->stream == NULL) /* the end has begun */
        return;
    farm_stream_stop(farm->stream);
    farm_copy_stop(farm->copy);
}

static void
on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct farm *farm = arg;

    (void)fd, (void)what;
    if (!farm_is_up(farm))
        return;
    farm_beat(farm);
    farm_write_back(farm);
}

/* --- life ------------------------------------------------------------------------------------- */

static const struct redis_link_events link_events = {.up = on_up, .down = on_down};

static struct farm_key *
read_key(const struct settings *s, char *why, size_t size)
{
    return s->redis.key_file == NULL ? farm_key_none()
                                     : farm_key_read(s->redis.key_file, why, size);
}

bool
farm_files_are_good(struct event_base *base, const struct settings *s, char *why, size_t size)
{
    struct farm_key *key = read_key(s, why, size);
    struct redis_link *link =
        key != NULL ? redis_link_new(base, s, &link_events, NULL, why, size) : NULL;

    redis_link_free(link);
    farm_key_free(key);
    return link != NULL;
}

static bool
open_parts(struct farm *farm, char *why, size_t size)
{
    const struct settings *s = farm->settings;

    farm->key = read_key(s, why, size);
    if (farm->key == NULL)
        return false;
    farm->link = redis_link_new(farm->base, s, &link_events, farm, why, size);
    if (farm->link == NULL)
        return false;
    farm->redis = cache_redis_new(farm->base, farm->link, farm->key, s->redis.prefix, farm->stats);
    cache_redis_set_held_max(farm->redis, s->fetch.timeout_ms + LOCK_EXTRA_MS);
    return true;
}

struct farm *
farm_new(struct event_base *base, const struct settings *settings, struct cache *cache,
         struct store *store, struct stats *stats, char *why, size_t size)
{
    struct farm *farm = alloc_zero(1, sizeof *farm);
    struct timeval beat = {.tv_sec = FARM_BEAT_MS / 1000};

    farm->base = base;
    farm->settings = settings;
    farm->cache = cache;
    farm->store = store;
    farm->stats = stats;
    LIST_INIT(&farm->jobs);
    farm_dirty_init(farm);
    farm->stream = farm_stream_new(farm);
    farm->copy = farm_copy_new(farm);
    farm_nodes_name(farm);
    farm->beat = event_new(base, -1, EV_PERSIST, on_beat, farm);
    event_add(farm->beat, &beat);
    if (open_parts(farm, why, size))
        return farm;
    farm_free(farm);
    return NULL;
}

bool
farm_is_sharing(const struct farm *farm)
{
    const struct farm_job *job;

    if (farm == NULL)
        return false;
    LIST_FOREACH(job, &farm->jobs, entry)
    if (job->shares)
        return true;
    return false;
}

void
farm_watch(struct farm *farm, const struct farm_events *events, void *arg)
{
    farm->events = events;
    farm->events_arg = arg;
}

static void
cancel_jobs(struct farm *farm)
{
    struct farm_job *job, *next;

    for (job = LIST_FIRST(&farm->jobs); job != NULL; job = next) {
        next = LIST_NEXT(job, entry);
        job->shares = false;
        farm_cancel(job);
    }
}

void
farm_free(struct farm *farm)
{
    struct farm_job *job;

    if (farm == NULL)
        return;
    farm->events = NULL;
    cancel_jobs(farm);
    farm_stream_free(farm->stream);
    farm->stream = NULL;
    farm_copy_free(farm->copy);
    farm->copy = NULL;
    event_free(farm->beat);
    if (farm_is_up(farm))
        farm_nodes_leave(farm);
    redis_link_free(farm->link);
    cache_redis_free(farm->redis);
    while ((job = LIST_FIRST(&farm->jobs)) != NULL)
        farm_job_free(job);
    farm_dirty_done(farm);
    farm_key_free(farm->key);
    free(farm);
}
