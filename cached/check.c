#include "cached/check.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "cached/check_mx.h"
#include "cached/check_policy.h"
#include "cached/check_record.h"
#include "common/clock.h"

struct check {
    struct check_report report;
    struct source *source;
    struct event *deadline;
    struct source_job *txt, *fetch, *mx, *tlsrpt; /* NULL: ended */
    struct policy *policy;                        /* NULL: none that counts */
    struct mx_result mx_result;                   /* its hosts are ours */
    char (*hosts)[DOMAIN_SIZE];
    const char *host_names[SOURCE_MX_MAX];
    check_done_fn *done;
    void *arg;
};

static void
check_free(struct check *c)
{
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

/* Silence would read as approval. */
static void
tell_missing(struct check *c, enum check_layer layer, const char *text)
{
    struct check_note note = {.layer = layer, .subject = c->report.domain};

    check_add(&c->report, &note, "%s", text);
}

static void
finish(struct check *c)
{
    tell_missing(c, CHECK_TLS, "not looked at: MX hosts are not probed in this version");
    tell_missing(c, CHECK_DANE, "not looked at: DANE is not part of this version");
    check_report_settle(&c->report);
    c->done(&c->report, c->arg);
    check_free(c);
}

/* The MX set is judged by the policy: when both are there. */
static void
finish_if_complete(struct check *c)
{
    if (c->txt != NULL || c->fetch != NULL || c->mx != NULL || c->tlsrpt != NULL)
        return;
    check_mx_set(&c->report, c->policy, &c->mx_result);
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
on_mx(const struct mx_result *result, void *arg)
{
    struct check *c = arg;

    c->mx = NULL;
    c->mx_result = *result;
    c->mx_result.hosts = c->host_names;
    c->hosts = alloc_zero(result->count, sizeof c->hosts[0]);
    for (size_t i = 0; i < result->count; i++)
        c->host_names[i] = strcpy(c->hosts[i], result->hosts[i]);
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
tell_unfinished(struct check *c, enum check_layer layer)
{
    struct check_note note = {.layer = layer,
                              .status = CHECK_ERROR,
                              .reason = STS_DEADLINE,
                              .exit_code = EXIT_IN_DOUBT,
                              .advice = "check again"};

    check_add(&c->report, &note, "not found out within %d seconds", CHECK_TIME_MS / 1000);
}

static void
on_deadline(int fd, short what, void *arg)
{
    struct check *c = arg;

    (void)fd, (void)what;
    if (c->txt != NULL)
        tell_unfinished(c, CHECK_TXT);
    if (c->fetch != NULL)
        tell_unfinished(c, CHECK_FETCH);
    if (c->mx != NULL)
        tell_unfinished(c, CHECK_MX);
    else
        check_mx_set(&c->report, c->policy, &c->mx_result);
    if (c->tlsrpt != NULL)
        tell_unfinished(c, CHECK_TLSRPT);
    finish(c);
}

struct check *
check_start(struct event_base *base, struct source *source, const char *domain, check_done_fn *done,
            void *arg)
{
    struct timeval time = clock_timeval(CHECK_TIME_MS);
    struct check *c = alloc_zero(1, sizeof *c);

    check_report_init(&c->report, domain);
    c->source = source;
    c->done = done;
    c->arg = arg;
    c->deadline = event_new(base, -1, 0, on_deadline, c);
    event_add(c->deadline, &time);
    c->txt = source_txt(source, domain, on_txt, c);
    c->fetch = source_fetch(source, domain, on_fetch, c);
    c->mx = source_mx(source, domain, on_mx, c);
    c->tlsrpt = source_tlsrpt(source, domain, on_tlsrpt, c);
    return c;
}

void
check_cancel(struct check *c)
{
    if (c != NULL)
        check_free(c);
}
