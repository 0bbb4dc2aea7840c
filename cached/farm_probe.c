/* What probes of MX hosts found, among the nodes. */
#include <stdio.h>

#include "cached/farm_parts.h"

static void
on_probe(const struct record *record, int64_t left_s, void *arg)
{
    struct farm_job *job = arg;
    farm_probe_fn *fn = job->probe;
    void *fn_arg = job->arg;

    job->redis = NULL;
    farm_job_free(job);
    if (record == NULL)
        fn(NULL, fn_arg);
    else
        fn(&(struct farm_probe){record->error, record->detail, left_s}, fn_arg);
}

struct farm_job *
farm_look_probe(struct farm *farm, const char *host, farm_probe_fn *fn, void *arg)
{
    struct farm_job *job = farm_job_new(farm, host, arg);

    job->probe = fn;
    job->redis = cache_redis_get_probe(farm->redis, host, on_probe, job);
    return job;
}

void
farm_share_probe(struct farm *farm, const char *host, const struct farm_probe *probe)
{
    struct record record = {.error = probe->error};

    snprintf(record.domain, sizeof record.domain, "%s", host);
    snprintf(record.detail, sizeof record.detail, "%s", probe->detail);
    cache_redis_put_probe(farm->redis, &record, probe->left_s);
}
