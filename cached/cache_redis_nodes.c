/* The registry of nodes, and what tells this Redis from another. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache_redis_job.h"
#include "common/chance.h"

/* --- the beat --------------------------------------------------------------------------------- */

struct beat_job {
    struct cache_redis_job job;
    cache_redis_beat_fn *beat;
    void *arg;
};

enum { BEAT_EPOCH, BEAT_HAS_APPLIED, BEAT_NEWEST, BEAT_ITEMS };

/* False when it does not fit. */
static bool
copy_text(struct span from, char to[CACHE_REDIS_ID_SIZE])
{
    if (from.len >= CACHE_REDIS_ID_SIZE || memchr(from.at, '\0', from.len) != NULL)
        return false;
    memcpy(to, from.at, from.len);
    to[from.len] = '\0';
    return true;
}

static void
on_beat(struct cache_redis_job *job, const struct resp *reply)
{
    struct beat_job *beat = (struct beat_job *)job;
    struct cache_redis_beat result = {.has_applied =
                                          resp_integer(job_item(reply, BEAT_HAS_APPLIED)) == 1};

    if (!copy_text(resp_bytes(job_item(reply, BEAT_EPOCH)), result.epoch) ||
        !copy_text(resp_bytes(job_item(reply, BEAT_NEWEST)), result.newest) || reply == NULL)
        result.status = CACHE_REDIS_AWAY;
    job_end(job);
    if (!job->cancelled)
        beat->beat(&result, beat->arg);
    job_free(job);
}

struct cache_redis_job *
cache_redis_beat(struct cache_redis *cr, const char *node, const char *applied,
                 const char *registered, cache_redis_beat_fn *fn, void *arg)
{
    struct cache_redis_job *job = job_new(cr, sizeof(struct beat_job), "", on_beat);
    struct beat_job *beat = (struct beat_job *)job;
    struct script_call call;
    char epoch[33];

    beat->beat = fn;
    beat->arg = arg;
    snprintf(epoch, sizeof epoch, "%016" PRIx64 "%016" PRIx64, chance_below(UINT64_MAX),
             chance_below(UINT64_MAX));
    job_begin(job, SCRIPT_BEAT, BEAT_ITEMS, &call);
    job_key(job, &call, "epoch");
    job_key(job, &call, "e");
    job_key(job, &call, "nodes");
    script_string(&call, epoch);
    script_string(&call, applied);
    script_string(&call, node);
    script_string(&call, registered);
    job_send(job, &call, 0);
    return job;
}

/* --- the registry ----------------------------------------------------------------------------- */

struct nodes_job {
    struct cache_redis_job job;
    cache_redis_nodes_fn *nodes;
    void *arg;
};

static void
on_nodes(struct cache_redis_job *job, const struct resp *reply)
{
    struct nodes_job *nodes = (struct nodes_job *)job;
    struct cache_redis_node *list = alloc_zero(CACHE_REDIS_NODES_MAX, sizeof *list);
    struct cache_redis_nodes result = {.status = CACHE_REDIS_AWAY, .list = list};

    if (reply != NULL) {
        result.status = CACHE_REDIS_DONE;
        result.newest = resp_bytes(job_item(reply, 0));
        result.now_s = (int64_t)(job->time_us / 1000000);
        while (result.count < CACHE_REDIS_NODES_MAX &&
               job_item(reply, 2 * result.count + 2) != NULL) {
            list[result.count].name = resp_bytes(job_item(reply, 2 * result.count + 1));
            list[result.count].line = resp_bytes(job_item(reply, 2 * result.count + 2));
            result.count++;
        }
    }
    job_end(job);
    if (!job->cancelled)
        nodes->nodes(&result, nodes->arg);
    job_free(job);
    free(list);
}

struct cache_redis_job *
cache_redis_nodes(struct cache_redis *cr, cache_redis_nodes_fn *fn, void *arg)
{
    struct cache_redis_job *job = job_new(cr, sizeof(struct nodes_job), "", on_nodes);
    struct nodes_job *nodes = (struct nodes_job *)job;
    struct script_call call;

    nodes->nodes = fn;
    nodes->arg = arg;
    job_begin(job, SCRIPT_NODES, 1, &call);
    job_key(job, &call, "nodes");
    job_key(job, &call, "e");
    script_number(&call, CACHE_REDIS_NODES_MAX);
    job_send(job, &call, 0);
    return job;
}

/* --- leaving ---------------------------------------------------------------------------------- */

struct leave_job {
    struct cache_redis_job job;
    cache_redis_done_fn *done;
    void *arg;
};

static void
on_left(struct cache_redis_job *job, const struct resp *reply)
{
    struct leave_job *leave = (struct leave_job *)job;

    job_end(job);
    if (!job->cancelled && leave->done != NULL)
        leave->done(reply != NULL ? CACHE_REDIS_DONE : CACHE_REDIS_AWAY, leave->arg);
    job_free(job);
}

struct cache_redis_job *
cache_redis_leave(struct cache_redis *cr, const char *node, cache_redis_done_fn *done, void *arg)
{
    struct cache_redis_job *job = job_new(cr, sizeof(struct leave_job), "", on_left);
    struct leave_job *leave = (struct leave_job *)job;
    struct script_call call;

    leave->done = done;
    leave->arg = arg;
    job_begin(job, SCRIPT_LEAVE, 0, &call);
    job_key(job, &call, "nodes");
    script_string(&call, node);
    job_send(job, &call, 0);
    return job;
}
