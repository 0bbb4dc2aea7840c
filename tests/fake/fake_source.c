#include "tests/fake/fake_source.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

struct source_job {
    LIST_ENTRY(source_job) link;
    struct source *source;
    enum fake_job kind;
    char domain[DOMAIN_SIZE];
    source_txt_fn *on_txt;
    source_fetch_fn *on_fetch;
    source_mx_fn *on_mx;
    source_probe_fn *on_probe;
    void *arg;
};

/* FAKE_NOTHING: of any kind. */
static struct source_job *
find(const struct source *source, enum fake_job kind, const char *domain)
{
    struct source_job *job;

    LIST_FOREACH(job, &source->jobs, link)
    {
        if (strcmp(job->domain, domain) == 0 && (kind == FAKE_NOTHING || kind == job->kind))
            return job;
    }
    return NULL;
}

static struct source_job *
start(struct source *source, enum fake_job kind, const char *domain, void *arg)
{
    struct source_job *job = alloc_zero(1, sizeof *job);

    assert_null(find(source, source->side_by_side ? kind : FAKE_NOTHING, domain));
    job->source = source;
    job->kind = kind;
    strcpy(job->domain, domain);
    job->arg = arg;
    LIST_INSERT_HEAD(&source->jobs, job, link);
    source->running++;
    return job;
}

struct source_job *
source_txt(struct source *source, const char *domain, source_txt_fn *done, void *arg)
{
    struct source_job *job = start(source, FAKE_TXT, domain, arg);

    source->txt_started++;
    job->on_txt = done;
    return job;
}

struct source_job *
source_tlsrpt(struct source *source, const char *domain, source_txt_fn *done, void *arg)
{
    struct source_job *job = start(source, FAKE_TLSRPT, domain, arg);

    job->on_txt = done;
    return job;
}

struct source_job *
source_fetch(struct source *source, const char *domain, source_fetch_fn *done, void *arg)
{
    struct source_job *job = start(source, FAKE_FETCH, domain, arg);

    source->fetch_started++;
    job->on_fetch = done;
    return job;
}

struct source_job *
source_mx(struct source *source, const char *domain, int64_t dane_ms, source_mx_fn *done, void *arg)
{
    struct source_job *job = start(source, FAKE_MX, domain, arg);

    source->mx_started++;
    source->with_dane = dane_ms > 0;
    job->on_mx = done;
    return job;
}

struct source_job *
source_probe(struct source *source, const char *host, source_probe_fn *done, void *arg)
{
    struct source_job *job = start(source, FAKE_PROBE, host, arg);

    source->probe_started++;
    job->on_probe = done;
    return job;
}

void
source_cancel(struct source_job *job)
{
    if (job == NULL)
        return;
    job->source->running--;
    LIST_REMOVE(job, link);
    free(job);
}

/* Takes the job out and leaves it to the caller by value, so that the callback may start another.
 */
static struct source_job
take(struct source *source, enum fake_job kind, const char *domain)
{
    struct source_job *job = find(source, kind, domain), copy;

    assert_non_null(job);
    copy = *job;
    source_cancel(job);
    return copy;
}

enum fake_job
fake_source_running(const struct source *source, const char *domain)
{
    const struct source_job *job = find(source, FAKE_NOTHING, domain);

    return job != NULL ? job->kind : FAKE_NOTHING;
}

void
fake_source_end_txt(struct source *source, const char *domain, const struct txt_result *result)
{
    struct source_job job = take(source, FAKE_TXT, domain);

    job.on_txt(result, job.arg);
}

void
fake_source_end_tlsrpt(struct source *source, const char *domain, const struct txt_result *result)
{
    struct source_job job = take(source, FAKE_TLSRPT, domain);

    job.on_txt(result, job.arg);
}

void
fake_source_end_fetch(struct source *source, const char *domain, const struct fetch_result *result)
{
    struct source_job job = take(source, FAKE_FETCH, domain);

    job.on_fetch(result, job.arg);
}

void
fake_source_end_mx(struct source *source, const char *domain, const struct mx_result *result)
{
    struct source_job job = take(source, FAKE_MX, domain);

    job.on_mx(result, job.arg);
}

void
fake_source_end_probe(struct source *source, const char *host, const struct probe_result *result)
{
    struct source_job job = take(source, FAKE_PROBE, host);

    job.on_probe(result, job.arg);
}

bool
fake_source_end_one(struct source *source, const struct fake_world *world)
{
    const struct source_job *job = LIST_FIRST(&source->jobs);
    struct source_job copy;

    if (job == NULL)
        return false;
    copy = take(source, job->kind, job->domain);
    switch (copy.kind) {
    case FAKE_FETCH:
        copy.on_fetch(&world->fetch, copy.arg);
        break;
    case FAKE_MX:
        copy.on_mx(&world->mx, copy.arg);
        break;
    case FAKE_PROBE:
        copy.on_probe(&world->probe, copy.arg);
        break;
    case FAKE_TLSRPT:
        copy.on_txt(&world->tlsrpt, copy.arg);
        break;
    default:
        copy.on_txt(&world->txt, copy.arg);
    }
    return true;
}

bool
fake_source_fail_one(struct source *source, enum sts_error error)
{
    const struct fake_world world = {.txt = {.error = error},
                                     .tlsrpt = {.error = error},
                                     .fetch = {.error = error, .body = ""},
                                     .mx = {.error = error},
                                     .probe = {.error = error}};

    return fake_source_end_one(source, &world);
}
