#include "cached/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cached/address.h"
#include "cached/fetch_loop.h"
#include "cached/fetch_tour.h"
#include "cached/probe_smtp.h"
#include "cached/settings.h"
#include "common/domain.h"

struct prober {
    const struct fetch_transfer_rules *shared;
    char helo[DOMAIN_SIZE];
    uint16_t port;
    struct fetch_tours *tours;
};

struct probe {
    struct fetch_tour tour; /* first */
    struct prober *prober;
    struct probe_smtp *session; /* NULL: it stands in line */
    char host[DOMAIN_SIZE];
    struct probe_result result; /* the most telling one so far */
    probe_done_fn *done;
    void *arg;
};

static void
discard(struct probe *p)
{
    fetch_tour_leave(&p->tour);
    free(p);
}

static void
finish(struct probe *p)
{
    p->done(&p->result, p->arg);
    discard(p);
}

/* An address that could not be reached from here says nothing against one that could. */
static bool
tells_more(const struct probe *p, const struct probe_result *result)
{
    return p->tour.at == 0 || result->error == STS_OK ||
           (sts_error_is_tls(result->error) && !sts_error_is_tls(p->result.error));
}

/* Goes on with the next address, or ends. */
static void
on_session_done(const struct probe_result *result, void *arg)
{
    struct probe *p = arg;

    p->session = NULL;
    if (tells_more(p, result))
        p->result = *result;
    if (result->error == STS_OK || !fetch_tour_go_on(&p->tour))
        finish(p);
}

/* A special-purpose address: no session is begun. Where one is, its address is looked at again at
 * connect. */
static void
pass_over(struct probe *p, const struct sockaddr_storage *address)
{
    struct probe_result result = {.error = STS_CONNECT_BLOCKED};

    fetch_loop_describe_blocked(address, result.detail, sizeof(result.detail));
    on_session_done(&result, p);
}

static void
begin(struct fetch_tour *tour, const struct fetch_turn *turn)
{
    struct probe *p = (struct probe *)tour;
    const struct prober *prober = p->prober;
    const struct probe_order order = {.rules = prober->shared,
                                      .host = p->host,
                                      .helo = prober->helo,
                                      .address = turn->address,
                                      .port = prober->port,
                                      .connect_ms = turn->connect_ms,
                                      .total_ms = turn->share_ms};

    if (turn->left_ms <= 0) /* it stood in line too long; the first has its result */
        finish(p);
    else if (!address_may_connect((const struct sockaddr *)turn->address, prober->shared->allowed))
        pass_over(p, turn->address);
    else
        p->session = probe_smtp_start(&order, on_session_done, p);
}

static void
cancel(struct fetch_tour *tour)
{
    probe_cancel((struct probe *)tour);
}

/* RFC 5321 s4.1.1.1 wants this host's name, an address where it has none; most hosts do not mind.
 */
static void
take_own_name(char helo[DOMAIN_SIZE])
{
    char name[DOMAIN_SIZE] = "";

    if (gethostname(name, sizeof(name) - 1) != 0 || !domain_normalise(name, strlen(name), helo))
        strcpy(helo, "localhost");
}

struct prober *
prober_new(struct event_base *base, const struct fetch_transfer_rules *shared,
           const struct settings *settings)
{
    const struct fetch_tours_rules tours = {.limits = {.in_all = PROBE_RUNNING_MAX,
                                                       .per_network = PROBE_PER_NETWORK_MAX,
                                                       .per_address = PROBE_PER_ADDRESS_MAX},
                                            .timeout_ms = settings->fetch.timeout_ms,
                                            .begin = begin,
                                            .cancel = cancel};
    struct prober *prober = alloc_zero(1, sizeof(*prober));

    prober->shared = shared;
    prober->port = (uint16_t)settings->probe_port;
    take_own_name(prober->helo);
    prober->tours = fetch_tours_new(base, &tours);
    return prober;
}

void
prober_free(struct prober *prober)
{
    if (prober == NULL)
        return;
    fetch_tours_free(prober->tours);
    free(prober);
}

struct probe *
probe_start(struct prober *prober, const char *host, const struct sockaddr_storage *addresses,
            size_t count, probe_done_fn *done, void *arg)
{
    struct probe *p = alloc_zero(1, sizeof(*p));

    p->prober = prober;
    snprintf(p->host, sizeof(p->host), "%s", host);
    p->done = done;
    p->arg = arg;
    fetch_tour_join(prober->tours, &p->tour, addresses,
                    count < PROBE_ADDRESSES_MAX ? count : PROBE_ADDRESSES_MAX);
    return p;
}

void
probe_cancel(struct probe *p)
{
    if (p->session != NULL)
        probe_smtp_cancel(p->session);
    discard(p);
}
