#include "cached/check.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "cached/check_dane.h"
#include "cached/check_mx.h"
#include "cached/check_policy.h"
#include "cached/check_record.h"
#include "common/clock.h"

enum { DANE_MS = 20000 /* for what DANE says of all MX hosts */ };

/* One MX host that is connected to. */
struct host {
    struct check *check;
    struct source_job *job; /* NULL: ended */
    char name[DOMAIN_SIZE];
    struct probe_result result;
};

struct check {
    struct check_report report;
    struct source *source;
    struct event *deadline;
    int64_t time_ms;
    struct source_job *txt, *fetch, *mx, *tlsrpt; /* NULL: ended */
    struct policy *policy;                        /* NULL: none that counts */
    struct mx_result mx_result;                   /* its hosts are ours */
    struct host *hosts;
    const char *host_names[SOURCE_MX_MAX];
    enum dane_state states[SOURCE_MX_MAX];
    bool trust_ad;
    size_t probing;
    check_done_fn *done;
    void *arg;
};

static size_t
hosts_probed(const struct check *c)
{
    return c->mx_result.count < CHECK_PROBES_MAX ? c->mx_result.count : CHECK_PROBES_MAX;
}

static void
check_free(struct check *c)
{
    for (size_t i = 0; i < hosts_probed(c); i++)
        source_cancel(c->hosts[i].job);
    source_cancel(c->txt);
    source_cancel(c->fetch);
    source_cancel(c->mx);
    source_cancel(c->tlsrpt);
    event_free(c->deadline);
    policy_free(c->policy);
    check_report_done(&c->report);
    free(c->hosts);
    free(c);
}

static void
tell_unfinished(struct check *c, enum check_layer layer, const char *subject)
{
    struct check_note note = {.layer = layer,
                              .status = CHECK_ERROR,
                              .reason = STS_DEADLINE,
                              .exit_code = EXIT_IN_DOUBT,
                              .subject = subject,
                              .advice = "check again"};

    check_add(&c->report, &note, "not found out within %d seconds", (int)(c->time_ms / 1000));
}

static void
judge_tls(struct check *c)
{
    struct check_note note = {.layer = CHECK_TLS, .subject = c->report.domain};

    for (size_t i = 0; i < hosts_probed(c); i++) {
        if (c->hosts[i].job != NULL)
            tell_unfinished(c, CHECK_TLS, c->hosts[i].name);
        else
            check_mx_tls(&c->report, c->policy, c->hosts[i].name, &c->hosts[i].result);
    }
    if (c->mx_result.count > CHECK_PROBES_MAX)
        check_add(&c->report, &note, "%zu more MX hosts were not connected to",
                  c->mx_result.count - CHECK_PROBES_MAX);
}

/* The hosts are judged by the policy: when both are there, or time is up. */
static void
finish(struct check *c)
{
    if (c->mx == NULL) {
        check_mx_set(&c->report, c->policy, &c->mx_result);
        judge_tls(c);
        check_dane(&c->report, &c->mx_result, c->trust_ad);
    }
    check_report_settle(&c->report);
    c->done(&c->report, c->arg);
    check_free(c);
}

static void
finish_if_complete(struct check *c)
{
    if (c->txt == NULL && c->fetch == NULL && c->mx == NULL && c->tlsrpt == NULL && c->probing == 0)
        finish(c);
}

static void
on_txt(const struct txt_result *result, void *arg)
{
    struct check *c = arg;

    c->txt = NULL;
    check_record_txt(&c->report, result);
    finish_if_complete(c);
}

static void
on_fetch(const struct fetch_result *result, void *arg)
{
    struct check *c = arg;

    c->fetch = NULL;
    c->policy = check_policy_file(&c->report, result);
    finish_if_complete(c);
}

static void
on_probe(const struct probe_result *result, void *arg)
{
    struct host *host = arg;

    host->job = NULL;
    host->result = *result;
    host->check->probing--;
    finish_if_complete(host->check);
}

static void
on_mx(const struct mx_result *result, void *arg)
{
    struct check *c = arg;

    c->mx = NULL;
    c->mx_result = *result;
    c->mx_result.hosts = c->host_names;
    if (result->dane != NULL)
        c->mx_result.dane = memcpy(c->states, result->dane, result->count * sizeof c->states[0]);
    c->hosts = alloc_zero(result->count, sizeof c->hosts[0]);
    for (size_t i = 0; i < result->count; i++)
        c->host_names[i] = strcpy(c->hosts[i].name, result->hosts[i]);
    for (size_t i = 0; i < hosts_probed(c); i++) {
        c->hosts[i].check = c;
        c->hosts[i].job = source_probe(c->source, c->hosts[i].name, on_probe, &c->hosts[i]);
        c->probing++;
    }
    finish_if_complete(c);
}

static void
on_tlsrpt(const struct txt_result *result, void *arg)
{
    struct check *c = arg;

    c->tlsrpt = NULL;
    check_record_tlsrpt(&c->report, result);
    finish_if_complete(c);
}

static void
on_deadline(int fd, short what, void *arg)
{
    struct check *c = arg;

    (void)fd, (void)what;
    if (c->txt != NULL)
        tell_unfinished(c, CHECK_TXT, NULL);
    if (c->fetch != NULL)
        tell_unfinished(c, CHECK_FETCH, NULL);
    if (c->mx != NULL)
        tell_unfinished(c, CHECK_MX, NULL);
    if (c->tlsrpt != NULL)
        tell_unfinished(c, CHECK_TLSRPT, NULL);
    finish(c);
}

struct check *
check_start(const struct check_order *order, check_done_fn *done, void *arg)
{
    struct timeval time = clock_timeval(order->time_ms);
    struct check *c = alloc_zero(1, sizeof *c);

    check_report_init(&c->report, order->domain);
    c->source = order->source;
    c->time_ms = order->time_ms;
    c->trust_ad = order->trust_ad;
    c->done = done;
    c->arg = arg;
    c->deadline = event_new(order->base, -1, 0, on_deadline, c);
    event_add(c->deadline, &time);
    c->txt = source_txt(c->source, order->domain, on_txt, c);
    c->fetch = source_fetch(c->source, order->domain, on_fetch, c);
    c->mx = source_mx(c->source, order->domain, order->trust_ad ? DANE_MS : 0, on_mx, c);
    c->tlsrpt = source_tlsrpt(c->source, order->domain, on_tlsrpt, c);
    return c;
}

void
check_cancel(struct check *c)
{
    if (c != NULL)
        check_free(c);
}
