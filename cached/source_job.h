/* source_job - one question to the world, from its start to its result.
 * A job is made by the answer thread, worked on by the source thread and handed back with its
 * result; it belongs to one of them at a time. Only `cancelled` stays the answer thread's. */
#ifndef STS_CACHED_SOURCE_JOB_H
#define STS_CACHED_SOURCE_JOB_H

#include <stdbool.h>
#include <sys/queue.h>

#include "cached/mailbox.h"
#include "cached/pool.h"
#include "cached/source.h"

struct dns;
struct event_base;
struct fetcher;
struct prober;
struct source_dane;
struct source_resolver;

enum source_kind { SOURCE_TXT, SOURCE_TLSRPT, SOURCE_FETCH, SOURCE_MX, SOURCE_PROBE };

/* What a job works with, on the source thread. */
struct source_tools {
    struct dns *dns;
    struct fetcher *fetcher;
    struct prober *prober;
    struct source_resolver *resolver;
    struct event_base *base;
};

struct source_job {
    struct mail mail; /* first: mailboxes hand it over */
    enum source_kind kind;
    char domain[DOMAIN_SIZE];
    union {
        source_txt_fn *txt;
        source_fetch_fn *fetch;
        source_mx_fn *mx;
        source_probe_fn *probe;
    } done;
    void *arg;
    int64_t dane_ms; /* MX: time for DANE; 0: it is not asked for */
    bool cancelled;

    /* Under way on the source thread: at most one of the five. */
    TAILQ_ENTRY(source_job) next;
    const struct source_tools *tools;
    struct dns_lookup *lookup;
    struct host_lookup *host;
    struct fetch *fetch;
    struct probe *probe;
    struct source_dane *dane;
    void (*finished)(struct source_job *, void *arg);
    void *finished_arg;

    union {
        struct txt_result txt;
        struct fetch_result fetch;
        struct mx_result mx;
        struct probe_result probe;
    } result;
    void *memory;                 /* behind the pointers in `result` */
    enum dane_state *dane_states; /* in it: MX */
};

/* The pool is one of struct source_job, and the caller's. */
struct source_job *source_job_new(struct pool *, enum source_kind, const char *domain, void *arg);
/* Gives it back. Must not be under way. Accepts NULL. */
void source_job_free(struct pool *, struct source_job *);

/* Begins, or begins again after source_job_stop. `finished` comes once, perhaps at once, and takes
 * the job. */
void source_job_start(struct source_job *, const struct source_tools *,
                      void (*finished)(struct source_job *, void *arg), void *arg);
/* Drops what is under way. */
void source_job_stop(struct source_job *);
/* Calls the asker's callback with the result. */
void source_job_deliver(const struct source_job *);

#endif
