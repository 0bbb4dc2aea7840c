#include "cached/source.h"

#include <event2/event.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "cached/dns.h"
#include "cached/fetch.h"
#include "cached/mailbox.h"
#include "cached/pool.h"
#include "cached/probe.h"
#include "cached/settings.h"
#include "cached/source_job.h"
#include "cached/source_resolver.h"
#include "cached/thread.h"

TAILQ_HEAD(job_list, source_job);

struct source {
    pthread_t thread;
    struct mailbox *results; /* read by the answer thread, the others by the source thread */
    struct mailbox *jobs, *commands;
    struct pool job_pool; /* the answer thread's */
    /* The source thread's own: */
    struct event_base *base;
    struct source_tools tools;
    struct job_list running;
};

/* An order of the answer thread, which waits for `obeyed`. */
struct command {
    struct mail mail;
    const struct settings *settings; /* NULL: stop */
    char *why;
    size_t size;
    bool ok;
    sem_t obeyed;
};

/* --- on the source thread ---------------------------------------------------- */

static void
on_finished(struct source_job *job, void *arg)
{
    struct source *source = arg;

    TAILQ_REMOVE(&source->running, job, next);
    mailbox_post(source->results, &job->mail);
}

static void
on_job(struct mail *mail, void *arg)
{
    struct source *source = arg;
    struct source_job *job = (struct source_job *)mail;

    TAILQ_INSERT_TAIL(&source->running, job, next);
    source_job_start(job, &source->tools, on_finished, source);
}

static bool
make_tools(struct source_tools *tools, struct event_base *base, const struct settings *settings,
           char *why, size_t size)
{
    *tools = (struct source_tools){.dns = dns_new(base, settings, why, size)};
    if (tools->dns == NULL)
        return false;
    tools->fetcher = fetcher_new(base, settings, why, size);
    if (tools->fetcher == NULL) {
        dns_free(tools->dns);
        return false;
    }
    tools->prober = prober_new(base, fetcher_rules(tools->fetcher), settings);
    tools->base = base;
    tools->resolver = source_resolver_check(tools->dns, settings);
    return true;
}

static void
free_tools(struct source_tools *tools)
{
    source_resolver_free(tools->resolver);
    prober_free(tools->prober);
    fetcher_free(tools->fetcher);
    dns_free(tools->dns);
}

/* Jobs under way begin again with the new tools: nothing hangs on the old settings. */
static bool
change_tools(struct source *source, const struct settings *settings, char *why, size_t size)
{
    struct source_tools fresh;
    struct source_job *job;
    struct job_list again = TAILQ_HEAD_INITIALIZER(again);

    if (!make_tools(&fresh, source->base, settings, why, size))
        return false;
    TAILQ_FOREACH(job, &source->running, next)
    source_job_stop(job);
    free_tools(&source->tools);
    source->tools = fresh;
    TAILQ_CONCAT(&again, &source->running, next);
    while ((job = TAILQ_FIRST(&again)) != NULL) {
        TAILQ_REMOVE(&again, job, next);
        on_job(&job->mail, source);
    }
    return true;
}

static void
on_command(struct mail *mail, void *arg)
{
    struct source *source = arg;
    struct command *command = (struct command *)mail;

    if (command->settings == NULL)
        event_base_loopbreak(source->base);
    else
        command->ok = change_tools(source, command->settings, command->why, command->size);
    sem_post(&command->obeyed); /* the last touch */
}

static void *
run(void *arg)
{
    struct source *source = arg;

    event_base_loop(source->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

/* --- on the answer thread ---------------------------------------------------- */

static void
on_result(struct mail *mail, void *arg)
{
    struct source_job *job = (struct source_job *)mail;
    struct source *source = arg;

    if (!job->cancelled)
        source_job_deliver(job);
    source_job_free(&source->job_pool, job);
}

struct source *
source_new(struct event_base *answer_base, const struct settings *settings, char *why, size_t size)
{
    struct source *source = alloc_zero(1, sizeof(*source));

    TAILQ_INIT(&source->running);
    pool_init(&source->job_pool, sizeof(struct source_job));
    source->base = event_base_new();
    if (source->base == NULL)
        abort();
    if (!make_tools(&source->tools, source->base, settings, why, size)) {
        event_base_free(source->base);
        free(source);
        return NULL;
    }
    source->results = mailbox_new(answer_base, on_result, source);
    source->jobs = mailbox_new(source->base, on_job, source);
    source->commands = mailbox_new(source->base, on_command, source);
    if (thread_start(&source->thread, "source", run, source) != 0)
        abort();
    return source;
}

static void
give_command(struct source *source, struct command *command)
{
    sem_init(&command->obeyed, 0, 0);
    mailbox_post(source->commands, &command->mail);
    while (sem_wait(&command->obeyed) < 0)
        continue; /* a signal */
    sem_destroy(&command->obeyed);
}

/* The source thread never blocks, so this takes as long as reading the CA file, some 25 ms. */
bool
source_reload(struct source *source, const struct settings *settings, char *why, size_t size)
{
    struct command command = {.settings = settings, .why = why, .size = size};

    give_command(source, &command);
    return command.ok;
}

static void
drop_mail(struct source *source, struct mailbox *box)
{
    struct mail *mail;

    while ((mail = mailbox_take(box)) != NULL)
        source_job_free(&source->job_pool, (struct source_job *)mail);
}

void
source_free(struct source *source)
{
    struct command stop = {.settings = NULL};
    struct source_job *job;

    if (source == NULL)
        return;
    give_command(source, &stop);
    pthread_join(source->thread, NULL);
    while ((job = TAILQ_FIRST(&source->running)) != NULL) {
        TAILQ_REMOVE(&source->running, job, next);
        source_job_stop(job);
        source_job_free(&source->job_pool, job);
    }
    drop_mail(source, source->jobs);
    drop_mail(source, source->results);
    free_tools(&source->tools);
    pool_done(&source->job_pool);
    mailbox_free(source->jobs);
    mailbox_free(source->commands);
    mailbox_free(source->results);
    event_base_free(source->base);
    free(source);
}

static struct source_job *
post(struct source *source, struct source_job *job)
{
    mailbox_post(source->jobs, &job->mail);
    return job;
}

struct source_job *
source_txt(struct source *source, const char *domain, source_txt_fn *done, void *arg)
{
    struct source_job *job = source_job_new(&source->job_pool, SOURCE_TXT, domain, arg);

    job->done.txt = done;
    return post(source, job);
}

struct source_job *
source_tlsrpt(struct source *source, const char *domain, source_txt_fn *done, void *arg)
{
    struct source_job *job = source_job_new(&source->job_pool, SOURCE_TLSRPT, domain, arg);

    job->done.txt = done;
    return post(source, job);
}

struct source_job *
source_fetch(struct source *source, const char *domain, source_fetch_fn *done, void *arg)
{
    struct source_job *job = source_job_new(&source->job_pool, SOURCE_FETCH, domain, arg);

    job->done.fetch = done;
    return post(source, job);
}

struct source_job *
source_mx(struct source *source, const char *domain, int64_t dane_ms, source_mx_fn *done, void *arg)
{
    struct source_job *job = source_job_new(&source->job_pool, SOURCE_MX, domain, arg);

    job->dane_ms = dane_ms;
    job->done.mx = done;
    return post(source, job);
}

struct source_job *
source_probe(struct source *source, const char *host, source_probe_fn *done, void *arg)
{
    struct source_job *job = source_job_new(&source->job_pool, SOURCE_PROBE, host, arg);

    job->done.probe = done;
    return post(source, job);
}

void
source_cancel(struct source_job *job)
{
    if (job != NULL)
        job->cancelled = true;
}
