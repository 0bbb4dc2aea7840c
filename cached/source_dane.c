#include "cached/source_dane.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/dns.h"
#include "cached/host_lookup.h"
#include "common/clock.h"

/* One host; at most one look-up of it is under way. */
struct host {
    struct source_dane *all;
    const char *name;
    char end[DNS_HOST_SIZE]; /* of its chain of CNAMEs */
    struct host_lookup *addresses;
    struct dns_lookup *lookup;
    bool at_own_name; /* the last name to ask TLSA for */
    bool ended;
};

struct source_dane {
    struct dns *dns;
    struct host *hosts;
    enum dane_state *states;
    size_t count, started, ended;
    struct event *time_up;
    struct source_dane_result result;
    char why[DNS_WHY_SIZE]; /* of the result */
    source_dane_fn *done;
    void *arg;
};

static void start_more(struct source_dane *);

static void
dane_free(struct source_dane *d)
{
    event_free(d->time_up);
    free(d->hosts);
    free(d->states);
    free(d);
}

static void
finish(struct source_dane *d)
{
    if (d->result.error != STS_OK)
        d->result.ttl_s = 0;
    d->done(&d->result, d->arg);
    dane_free(d);
}

static void
note_ttl(struct host *host, enum sts_error error, uint32_t ttl_s)
{
    struct source_dane_result *result = &host->all->result;

    if (!sts_error_is_dns(error) && ttl_s < result->ttl_s)
        result->ttl_s = ttl_s;
}

static void
note_state(struct host *host, enum dane_state state)
{
    host->all->states[host - host->all->hosts] = state;
    host->ended = true;
    host->all->ended++;
}

static void
note_failure(struct host *host, enum sts_error error, const char *why)
{
    struct source_dane_result *result = &host->all->result;

    note_state(host, DANE_FAILED);
    if (result->error != STS_OK)
        return;
    result->error = error;
    result->failed_host = host->name;
    snprintf(host->all->why, sizeof host->all->why, "%s", why);
    result->why = host->all->why;
}

static void
go_on(struct source_dane *d)
{
    if (d->ended == d->count)
        finish(d);
    else
        start_more(d);
}

static void
end_host(struct host *host, enum dane_state state)
{
    note_state(host, state);
    go_on(host->all);
}

static void
fail_host(struct host *host, enum sts_error error, const char *why)
{
    note_failure(host, error, why);
    go_on(host->all);
}

/* --- TLSA ------------------------------------------------------------------------------------- */

static void ask_tlsa(struct host *, const char *base);

static enum dane_state
judge_records(const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *r = &answer->records[i];
        struct dane_record record = {r->usage, r->selector, r->matching, r->text};
        if (dane_is_usable(&record))
            return DANE_USABLE;
    }
    return DANE_UNUSABLE;
}

/* False: the look-up failed, and with it the host. */
static bool
take_answer(struct host *host, const struct dns_answer *answer)
{
    host->lookup = NULL;
    note_ttl(host, answer->error, answer->ttl_s);
    if (!sts_error_is_dns(answer->error))
        return true;
    fail_host(host, answer->error, answer->why);
    return false;
}

static void
on_tlsa(const struct dns_answer *answer, void *arg)
{
    struct host *host = arg;

    if (!take_answer(host, answer))
        return;
    if (answer->error == STS_OK && answer->secure)
        end_host(host, judge_records(answer));
    else if (host->at_own_name)
        end_host(host, DANE_NONE);
    else
        ask_tlsa(host, host->name);
}

static void
ask_tlsa(struct host *host, const char *base)
{
    char name[sizeof "_25._tcp." + DNS_HOST_SIZE];

    host->at_own_name = strcmp(base, host->name) == 0;
    snprintf(name, sizeof name, "_25._tcp.%s", base);
    host->lookup = dns_lookup_start(host->all->dns, name, DNS_TLSA, on_tlsa, host);
}

/* --- addresses -------------------------------------------------------------------------------- */

static void
on_cname(const struct dns_answer *answer, void *arg)
{
    struct host *host = arg;

    if (!take_answer(host, answer))
        return;
    if (answer->error == STS_OK && answer->secure)
        ask_tlsa(host, host->name);
    else
        end_host(host, DANE_NONE);
}

/* Without secure addresses TLSA is not even asked for: old servers of unsigned zones do not answer
 * questions for types that they do not know (RFC 7672 s2.2.2). */
static void
on_addresses(const struct host_answer *answer, void *arg)
{
    struct host *host = arg;
    bool is_alias = strcmp(answer->end, host->name) != 0 && answer->end[0] != '\0';

    host->addresses = NULL;
    note_ttl(host, answer->error, answer->ttl_s);
    if (sts_error_is_dns(answer->error)) {
        fail_host(host, answer->error, answer->why);
    } else if (answer->error != STS_OK || (!answer->secure && !is_alias)) {
        end_host(host, DANE_NONE);
    } else if (!answer->secure) {
        host->lookup = dns_lookup_start(host->all->dns, host->name, DNS_CNAME, on_cname, host);
    } else {
        memcpy(host->end, is_alias ? answer->end : host->name,
               strlen(is_alias ? answer->end : host->name) + 1);
        ask_tlsa(host, host->end);
    }
}

/* --- all hosts -------------------------------------------------------------------------------- */

static void
start_more(struct source_dane *d)
{
    while (d->started < d->count && d->started - d->ended < SOURCE_DANE_ABREAST) {
        struct host *host = &d->hosts[d->started++];
        host->addresses = host_lookup_start(d->dns, host->name, on_addresses, host);
    }
}

static void
stop_host(struct host *host)
{
    if (host->addresses != NULL)
        host_lookup_cancel(host->addresses);
    dns_lookup_cancel(host->lookup);
    host->addresses = NULL;
    host->lookup = NULL;
}

static void
on_time_up(evutil_socket_t fd, short what, void *arg)
{
    struct source_dane *d = arg;

    (void)fd, (void)what;
    for (size_t i = 0; i < d->count; i++) {
        stop_host(&d->hosts[i]);
        if (!d->hosts[i].ended)
            note_failure(&d->hosts[i], STS_DNS_TIMEOUT, "no answer in time");
    }
    finish(d);
}

struct source_dane *
source_dane_start(const struct source_dane_order *order, source_dane_fn *done, void *arg)
{
    struct source_dane *d = alloc_zero(1, sizeof *d);
    struct timeval time = clock_timeval(order->time_ms);

    d->dns = order->dns;
    d->count = order->count;
    d->hosts = alloc_zero(order->count, sizeof *d->hosts);
    d->states = alloc_zero(order->count, sizeof *d->states);
    d->result =
        (struct source_dane_result){.states = d->states, .why = "", .ttl_s = (uint32_t)INT32_MAX};
    d->done = done;
    d->arg = arg;
    for (size_t i = 0; i < order->count; i++)
        d->hosts[i] = (struct host){.all = d, .name = order->hosts[i]};
    d->time_up = evtimer_new(order->base, on_time_up, d);
    evtimer_add(d->time_up, &time);
    start_more(d);
    return d;
}

void
source_dane_cancel(struct source_dane *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->count; i++)
        stop_host(&d->hosts[i]);
    dane_free(d);
}
