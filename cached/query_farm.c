/* The steps of a resolution that ask the farm, and what the farm's news mean to those that run. */
#include "cached/query_engine.h"

#include <event2/event.h>
#include <string.h>

#include "cached/stats.h"
#include "common/clock.h"

/* --- look ------------------------------------------------------------------------------------- */

static void
on_looked(void *arg)
{
    struct resolution *r = arg;

    r->farm_job = NULL;
    query_take_up(r, STEP_TXT);
}

enum step_result
query_step_look(struct resolution *r)
{
    r->farm_job = farm_look(r->engine->farm, r->entry->domain, on_looked, r);
    return WAIT;
}

/* --- lock ------------------------------------------------------------------------------------- */

bool
query_id_is_known(const struct resolution *r)
{
    const struct entry *e = r->entry;

    if (strcmp(policy_id(e->policy), r->id) == 0)
        return true;
    return r->engine->farm != NULL && !r->rechecked && cache_id_is_old(e, r->id);
}

/* True when another node has done what this resolution is about. An operator's order is done by a
 * fetch of our own only. */
static bool
is_settled(const struct resolution *r)
{
    const struct entry *e = r->entry;
    int64_t now = clock_boot_ms();

    if (!STAILQ_EMPTY(&r->refetchers))
        return false;
    if (!query_may_fetch(e, r->id, now))
        return true;
    if (!cache_policy_in_force(e, now))
        return false;
    if (r->force_fetch)
        return now < e->refresh_s * SECOND_MS;
    return query_id_is_known(r);
}

static void
stop_waiting(struct resolution *r)
{
    if (r->again != NULL)
        event_free(r->again);
    r->again = NULL;
}

static void
on_again(int fd, short what, void *arg)
{
    struct resolution *r = arg;

    (void)fd, (void)what;
    stop_waiting(r);
    query_take_up(r, STEP_LOCK);
}

static void
wait_for_other(struct resolution *r, int64_t again_ms)
{
    struct timeval wait = clock_timeval(again_ms);

    r->again = evtimer_new(r->engine->base, on_again, r);
    evtimer_add(r->again, &wait);
    query_answer_ready(r);
}

static void
on_locked(const struct farm_locked *result, void *arg)
{
    struct resolution *r = arg;

    r->farm_job = NULL;
    r->locked = result->locked;
    r->seq = result->seq;
    if (is_settled(r)) {
        query_unlock(r);
        query_take_up(r, STEP_MX);
    } else if (result->locked || result->away) {
        query_take_up(r, STEP_FETCH);
    } else {
        wait_for_other(r, result->again_ms);
    }
}

enum step_result
query_step_lock(struct resolution *r)
{
    struct query_engine *q = r->engine;

    if (q->farm == NULL)
        return NEXT;
    r->farm_job = farm_lock(q->farm, r->entry->domain, !STAILQ_EMPTY(&r->refetchers), on_locked, r);
    return WAIT;
}

void
query_unlock(struct resolution *r)
{
    if (r->locked)
        farm_unlock(r->engine->farm, r->entry->domain);
    r->locked = false;
}

/* --- share ------------------------------------------------------------------------------------ */

static void
on_shared(void *arg)
{
    struct resolution *r = arg;

    r->farm_job = NULL;
    r->locked = false;
    query_take_up(r, STEP_MX);
}

enum step_result
query_step_share(struct resolution *r)
{
    struct query_engine *q = r->engine;

    if (q->farm == NULL)
        return NEXT;
    r->farm_job = farm_share(q->farm, r->entry->domain, on_shared, r);
    return WAIT;
}

/* --- news ------------------------------------------------------------------------------------- */

/* Whoever waits for another node's fetch looks at what has come of it. */
static void
on_changed(const char *domain, void *arg)
{
    struct query_engine *q = arg;
    struct resolution *r = inflight_find(q->inflight, domain);

    if (r == NULL)
        return;
    if (r->again != NULL) {
        stop_waiting(r);
        query_take_up(r, is_settled(r) ? STEP_MX : STEP_LOCK);
    } else {
        query_answer_ready(r);
    }
}

static void
on_forgotten(const char *domain, void *arg)
{
    struct query_engine *q = arg;

    query_forget(q, domain);
}

void
query_engine_join_farm(struct query_engine *q, struct farm *farm)
{
    static const struct farm_events events = {.changed = on_changed, .forgotten = on_forgotten};

    q->farm = farm;
    probes_join_farm(q->probes, farm);
    if (farm != NULL)
        farm_watch(farm, &events, q);
}
