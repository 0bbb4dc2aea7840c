/* What probes of MX hosts found, one short record a host. Two nodes may write at once: either is
 * right. */
#include <assert.h>
#include <string.h>

#include "cached/cache_redis_job.h"
#include "cached/stats.h"

enum { RECORD_SIZE = 1024, AHEAD_S = 5 /* another master's clock */ };

struct probe_job {
    struct cache_redis_job job;
    cache_redis_probe_fn *found;
    void *arg;
};

/* The rest of its life; 0: none, or it is not one that we would have written. */
static int64_t
left_of(const struct record *record, int64_t now_s)
{
    if (record->fetched_s > now_s + AHEAD_S || record->until_s <= now_s ||
        record->until_s - record->fetched_s > CACHE_REDIS_PROBE_S)
        return 0;
    return record->until_s - now_s;
}

/* `*record` is where it is decoded to. */
static int64_t
read_probe(struct cache_redis_job *job, const struct resp *value, struct record *record)
{
    struct span bytes = resp_bytes(value);

    if (resp_type(value) == RESP_STRING && bytes.len == 0)
        return 0;
    if (resp_type(value) == RESP_STRING && bytes.len <= RECORD_SIZE &&
        record_decode(bytes.at, bytes.len, job->cr->key, record) && record->kind == RECORD_PROBE &&
        strcmp(record->domain, job->domain) == 0)
        return left_of(record, (int64_t)(job->time_us / 1000000));
    job->cr->stats->redis_refused++;
    cache_redis_alarm(job->cr, job->domain, "not signed by the farm (or damaged)");
    return 0;
}

static void
on_got(struct cache_redis_job *job, const struct resp *reply)
{
    struct probe_job *probe = (struct probe_job *)job;
    struct record record;
    int64_t left_s = reply != NULL ? read_probe(job, job_item(reply, 0), &record) : 0;

    job_end(job);
    if (!job->cancelled)
        probe->found(left_s > 0 ? &record : NULL, left_s, probe->arg);
    job_free(job);
}

struct cache_redis_job *
cache_redis_get_probe(struct cache_redis *cr, const char *host, cache_redis_probe_fn *found,
                      void *arg)
{
    struct cache_redis_job *job = job_new(cr, sizeof(struct probe_job), host, on_got);
    struct probe_job *probe = (struct probe_job *)job;
    struct script_call call;

    probe->found = found;
    probe->arg = arg;
    job_begin(job, SCRIPT_READ, 1, &call);
    job_key(job, &call, "p:");
    job_send(job, &call, 0);
    return job;
}

static void
on_set(struct cache_redis_job *job, const struct resp *reply)
{
    (void)reply;
    job_end(job);
    job_free(job);
}

void
cache_redis_put_probe(struct cache_redis *cr, const struct record *found, int64_t life_s)
{
    struct cache_redis_job *job = job_new(cr, sizeof *job, found->domain, on_set);
    struct record record = *found;
    struct script_call call;
    struct buf bytes;

    assert(life_s >= 1 && life_s <= CACHE_REDIS_PROBE_S);
    record.kind = RECORD_PROBE;
    record.fetched_s = (int64_t)(cache_redis_now_us(cr) / 1000000);
    record.until_s = record.fetched_s + life_s;
    buf_init(&bytes, RECORD_SIZE);
    record_encode(&record, cr->key, &bytes);
    job_begin(job, SCRIPT_SET, 0, &call);
    job_key(job, &call, "p:");
    script_value(&call, bytes.data, bytes.len);
    script_number(&call, life_s);
    job_send(job, &call, 0);
    buf_done(&bytes);
}
