#include "cached/source_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/dns.h"
#include "cached/fetch.h"
#include "cached/host_lookup.h"
#include "cached/probe.h"
#include "cached/source_dane.h"

struct source_job *
source_job_new(struct pool *pool, enum source_kind kind, const char *domain, void *arg)
{
    struct source_job *job = pool_take(pool);

    job->kind = kind;
    job->arg = arg;
    snprintf(job->domain, sizeof(job->domain), "%s", domain);
    return job;
}

void
source_job_free(struct pool *pool, struct source_job *job)
{
    if (job == NULL)
        return;
    free(job->memory);
    pool_give(pool, job);
}

static void
finish(struct source_job *job)
{
    job->finished(job, job->finished_arg);
}

/* --- TXT ------------------------------------------------------------------- */

/* One block: the spans, then their bytes. */
static void
keep_texts(struct source_job *job, const struct dns_answer *answer)
{
    size_t bytes = 0;
    struct span *spans;
    char *at;

    for (size_t i = 0; i < answer->count; i++)
        bytes += answer->records[i].text.len;
    spans = alloc_bytes(answer->count * sizeof(*spans) + bytes);
    at = (char *)(spans + answer->count);
    for (size_t i = 0; i < answer->count; i++) {
        spans[i] = (struct span){at, answer->records[i].text.len};
        if (spans[i].len)
            memcpy(at, answer->records[i].text.at, spans[i].len);
        at += spans[i].len;
    }
    job->memory = spans;
    job->result.txt.records = spans;
    job->result.txt.count = answer->count;
}

static void
on_txt(const struct dns_answer *answer, void *arg)
{
    struct source_job *job = arg;
    struct txt_result *result = &job->result.txt;

    job->lookup = NULL;
    result->error = answer->error;
    result->ttl_s = answer->ttl_s;
    snprintf(result->detail, sizeof(result->detail), "%s", answer->why);
    if (answer->error == STS_OK)
        keep_texts(job, answer);
    finish(job);
}

/* --- FETCH ------------------------------------------------------------------- */

static void
on_fetched(const struct fetch_result *result, void *arg)
{
    struct source_job *job = arg;
    char *body = alloc_string_len(result->body, result->len);

    job->fetch = NULL;
    job->result.fetch = *result;
    job->result.fetch.body = job->memory = body;
    finish(job);
}

static void
on_policy_host(const struct host_answer *answer, void *arg)
{
    struct source_job *job = arg;
    struct fetch_result *result = &job->result.fetch;

    job->host = NULL;
    if (answer->error == STS_OK) {
        job->fetch = fetch_start(job->tools->fetcher, job->domain, answer->addresses, answer->count,
                                 on_fetched, job);
        return;
    }
    result->error = answer->error == STS_NO_RECORD ? STS_NO_HOST : answer->error;
    result->body = "";
    if (answer->error == STS_NO_RECORD)
        snprintf(result->detail, sizeof(result->detail), "the policy host has no address");
    else
        snprintf(result->detail, sizeof(result->detail), "address of the policy host: %s",
                 answer->why);
    finish(job);
}

/* --- MX ---------------------------------------------------------------------- */

/* Puts the usable records into `sorted`, by preference; equal ones as they came, so that the same
 * answer always gives the same list. Returns how many. */
static size_t
sort_hosts(const struct dns_answer *answer, const struct dns_record **sorted)
{
    size_t count = 0, at;

    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *record = &answer->records[i];
        if (record->host[0] == '\0') /* a null MX beside others means nothing (RFC 7505 s3) */
            continue;
        for (at = count++; at > 0 && sorted[at - 1]->preference > record->preference; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = record;
    }
    return count;
}

/* One block: the pointers, room for what DANE says, then the names. */
static void
keep_hosts(struct source_job *job, const char **names, size_t count)
{
    size_t bytes = 0, kept = 0;
    const char **hosts;
    char *at;

    for (size_t i = 0; i < count; i++)
        bytes += strlen(names[i]) + 1;
    hosts = alloc_bytes(count * (sizeof(*hosts) + sizeof(enum dane_state)) + bytes);
    job->dane_states = (enum dane_state *)(hosts + count);
    at = (char *)(job->dane_states + count);
    for (size_t i = 0, seen; i < count && kept < SOURCE_MX_MAX; i++) {
        for (seen = 0; seen < kept && strcmp(hosts[seen], names[i]) != 0; seen++)
            continue;
        if (seen < kept)
            continue;
        hosts[kept++] = strcpy(at, names[i]);
        at += strlen(names[i]) + 1;
    }
    job->memory = hosts;
    job->result.mx.hosts = hosts;
    job->result.mx.count = kept;
}

static void
on_dane(const struct source_dane_result *dane, void *arg)
{
    struct source_job *job = arg;
    struct mx_result *result = &job->result.mx;

    job->dane = NULL;
    memcpy(job->dane_states, dane->states, result->count * sizeof *dane->states);
    result->dane = job->dane_states;
    result->dane_error = dane->error;
    if (dane->ttl_s < result->ttl_s)
        result->ttl_s = dane->ttl_s;
    if (dane->error != STS_OK)
        snprintf(result->detail, sizeof(result->detail), "DANE of %s: %s", dane->failed_host,
                 dane->why);
    finish(job);
}

static void
finish_mx(struct source_job *job, enum sts_error error, uint32_t ttl_s, const char *detail)
{
    struct mx_result *result = &job->result.mx;
    struct source_dane_order order = {.base = job->tools->base,
                                      .dns = job->tools->dns,
                                      .hosts = result->hosts,
                                      .count = result->count,
                                      .time_ms = job->dane_ms};

    result->error = error;
    result->ttl_s = ttl_s;
    result->with_dane = job->dane_ms > 0;
    snprintf(result->detail, sizeof(result->detail), "%s", detail);
    if (error == STS_OK && result->with_dane && result->secure)
        job->dane = source_dane_start(&order, on_dane, job);
    else
        finish(job);
}

/* No MX record: the domain itself receives, if it has an address (RFC 5321 s5.1). Where it is an
 * alias RFC 5321 means the name at the end, but MTAs differ in which they know the host by. */
static void
on_implicit_mx(const struct host_answer *answer, void *arg)
{
    struct source_job *job = arg;
    char end[DOMAIN_SIZE];
    const char *names[] = {job->domain, end};

    job->host = NULL;
    if (answer->error == STS_OK)
        keep_hosts(job, names, domain_fold_mx_host(answer->end, strlen(answer->end), end) ? 2 : 1);
    if (answer->error == STS_NO_RECORD)
        finish_mx(job, STS_NO_HOST, answer->ttl_s, "no MX record and no address");
    else
        finish_mx(job, answer->error, answer->ttl_s, answer->why);
}

static void
take_mx_records(struct source_job *job, const struct dns_answer *answer)
{
    const struct dns_record **sorted = alloc_zero(answer->count, sizeof(struct dns_record *));
    const char **names = alloc_zero(answer->count, sizeof(char *));
    size_t count = sort_hosts(answer, sorted);

    for (size_t i = 0; i < count; i++)
        names[i] = sorted[i]->host;
    if (count > 0)
        keep_hosts(job, names, count);
    free(names);
    free(sorted);
    if (count > 0) {
        finish_mx(job, STS_OK, answer->ttl_s, "");
    } else if (answer->count > 0) {
        finish_mx(job, STS_NULL_MX, answer->ttl_s, "");
    } else {
        finish_mx(job, STS_NO_HOST, answer->ttl_s, "no MX record holds a host name");
    }
}

static void
on_mx(const struct dns_answer *answer, void *arg)
{
    struct source_job *job = arg;

    job->lookup = NULL;
    job->result.mx.secure = answer->secure;
    if (answer->error == STS_OK)
        take_mx_records(job, answer);
    else if (answer->error != STS_NO_RECORD)
        finish_mx(job, answer->error, answer->ttl_s, answer->why);
    else if (answer->nxdomain)
        finish_mx(job, STS_NO_HOST, answer->ttl_s, "the domain does not exist");
    else
        job->host = host_lookup_start(job->tools->dns, job->domain, on_implicit_mx, job);
}

/* --- PROBE ------------------------------------------------------------------- */

static void
on_probed(const struct probe_result *result, void *arg)
{
    struct source_job *job = arg;

    job->probe = NULL;
    job->result.probe = *result;
    finish(job);
}

static void
on_probe_host(const struct host_answer *answer, void *arg)
{
    struct source_job *job = arg;
    struct probe_result *result = &job->result.probe;

    job->host = NULL;
    if (answer->error == STS_OK) {
        job->probe = probe_start(job->tools->prober, job->domain, answer->addresses, answer->count,
                                 on_probed, job);
        return;
    }
    result->error = answer->error == STS_NO_RECORD ? STS_NO_HOST : answer->error;
    if (answer->error == STS_NO_RECORD)
        snprintf(result->detail, sizeof(result->detail), "it has no address");
    else
        snprintf(result->detail, sizeof(result->detail), "its address: %s", answer->why);
    finish(job);
}

/* --- all --------------------------------------------------------------------- */

/* A domain so long that no name can stand before it: there is no such record and no such host. */
static void
finish_too_long(struct source_job *job)
{
    if (job->kind == SOURCE_TXT || job->kind == SOURCE_TLSRPT) {
        job->result.txt = (struct txt_result){.error = STS_NO_RECORD};
    } else {
        job->result.fetch = (struct fetch_result){.error = STS_NO_HOST, .body = ""};
        snprintf(job->result.fetch.detail, SOURCE_DETAIL_SIZE, "the domain's name is too long");
    }
    finish(job);
}

void
source_job_start(struct source_job *job, const struct source_tools *tools,
                 void (*finished)(struct source_job *, void *arg), void *arg)
{
    static const char *const prefixes[] = {[SOURCE_TXT] = "_mta-sts.",
                                           [SOURCE_TLSRPT] = "_smtp._tls.",
                                           [SOURCE_FETCH] = "mta-sts.",
                                           [SOURCE_MX] = "",
                                           [SOURCE_PROBE] = ""};
    char name[DOMAIN_SIZE];

    job->tools = tools;
    job->finished = finished;
    job->finished_arg = arg;
    if (snprintf(name, sizeof(name), "%s%s", prefixes[job->kind], job->domain) >= DOMAIN_SIZE)
        finish_too_long(job);
    else if (job->kind == SOURCE_TXT || job->kind == SOURCE_TLSRPT)
        job->lookup = dns_lookup_start(tools->dns, name, DNS_TXT, on_txt, job);
    else if (job->kind == SOURCE_FETCH)
        job->host = host_lookup_start(tools->dns, name, on_policy_host, job);
    else if (job->kind == SOURCE_PROBE)
        job->host = host_lookup_start(tools->dns, name, on_probe_host, job);
    else
        job->lookup = dns_lookup_start(tools->dns, name, DNS_MX, on_mx, job);
}

void
source_job_stop(struct source_job *job)
{
    if (job->lookup != NULL)
        dns_lookup_cancel(job->lookup);
    if (job->host != NULL)
        host_lookup_cancel(job->host);
    if (job->fetch != NULL)
        fetch_cancel(job->fetch);
    if (job->probe != NULL)
        probe_cancel(job->probe);
    source_dane_cancel(job->dane);
    free(job->memory); /* DANE was looked up for the hosts in it */
    job->lookup = NULL;
    job->host = NULL;
    job->fetch = NULL;
    job->probe = NULL;
    job->dane = NULL;
    job->memory = NULL;
    job->dane_states = NULL;
    memset(&job->result, 0, sizeof(job->result));
}

void
source_job_deliver(const struct source_job *job)
{
    switch (job->kind) {
    case SOURCE_TXT:
    case SOURCE_TLSRPT:
        job->done.txt(&job->result.txt, job->arg);
        break;
    case SOURCE_FETCH:
        job->done.fetch(&job->result.fetch, job->arg);
        break;
    case SOURCE_MX:
        job->done.mx(&job->result.mx, job->arg);
        break;
    case SOURCE_PROBE:
        job->done.probe(&job->result.probe, job->arg);
        break;
    }
}
