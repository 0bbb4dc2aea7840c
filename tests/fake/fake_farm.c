#include "tests/fake/fake_farm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>

struct farm_job {
    struct farm *farm;
    enum fake_question kind;
    farm_done_fn *done;
    farm_locked_fn *locked;
    farm_probe_fn *probe;
    void *arg;
};

static struct farm_job *
ask(struct farm *farm, enum fake_question kind, farm_done_fn *done, void *arg)
{
    struct farm_job *job = alloc_zero(1, sizeof *job);

    assert_null(farm->job);
    job->farm = farm;
    job->kind = kind;
    job->done = done;
    job->arg = arg;
    farm->job = job;
    return job;
}

enum fake_question
fake_farm_asked(const struct farm *farm)
{
    return farm->job != NULL ? farm->job->kind : FAKE_NONE;
}

static struct farm_job
take(struct farm *farm, enum fake_question kind)
{
    struct farm_job job;

    assert_int_equal(fake_farm_asked(farm), kind);
    job = *farm->job;
    farm_cancel(farm->job);
    return job;
}

void
fake_farm_end(struct farm *farm, enum fake_question kind)
{
    struct farm_job job = take(farm, kind);

    job.done(job.arg);
}

void
fake_farm_end_lock(struct farm *farm, const struct farm_locked *result)
{
    struct farm_job job = take(farm, FAKE_LOCK);

    job.locked(result, job.arg);
}

void
fake_farm_end_probe_look(struct farm *farm, const struct farm_probe *found)
{
    struct farm_job job = take(farm, FAKE_PROBE_LOOK);

    job.probe(found, job.arg);
}

struct farm_job *
farm_look_probe(struct farm *farm, const char *host, farm_probe_fn *probe, void *arg)
{
    struct farm_job *job = ask(farm, FAKE_PROBE_LOOK, NULL, arg);

    (void)host;
    job->probe = probe;
    return job;
}

void
farm_share_probe(struct farm *farm, const char *host, const struct farm_probe *probe)
{
    (void)host;
    farm->probes_shared++;
    farm->shared_probe = *probe;
    farm->shared_probe.detail = NULL;
}

void
farm_watch(struct farm *farm, const struct farm_events *events, void *arg)
{
    farm->events = events;
    farm->events_arg = arg;
}

bool
farm_is_up(const struct farm *farm)
{
    return farm != NULL && farm->up;
}

bool
farm_is_blind(const struct farm *farm)
{
    return farm != NULL && farm->blind;
}

void
farm_cancel(struct farm_job *job)
{
    if (job == NULL)
        return;
    job->farm->job = NULL;
    free(job);
}

struct farm_job *
farm_look(struct farm *farm, const char *domain, farm_done_fn *done, void *arg)
{
    (void)domain;
    farm->looks++;
    return ask(farm, FAKE_LOOK, done, arg);
}

struct farm_job *
farm_lock(struct farm *farm, const char *domain, bool force, farm_locked_fn *locked, void *arg)
{
    struct farm_job *job = ask(farm, FAKE_LOCK, NULL, arg);

    (void)domain;
    farm->locks++;
    farm->forced_locks += force;
    job->locked = locked;
    return job;
}

void
farm_unlock(struct farm *farm, const char *domain)
{
    (void)domain;
    farm->unlocks++;
}

struct farm_job *
farm_share(struct farm *farm, const char *domain, farm_done_fn *done, void *arg)
{
    (void)domain;
    farm->shares++;
    return ask(farm, FAKE_SHARE, done, arg);
}

struct farm_job *
farm_bury(struct farm *farm, const char *domain, farm_done_fn *done, void *arg)
{
    (void)domain;
    farm->buried++;
    return ask(farm, FAKE_BURY, done, arg);
}
