#include "cached/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/address.h"
#include "cached/fetch_loop.h"
#include "cached/fetch_tls.h"
#include "cached/fetch_tour.h"
#include "cached/fetch_transfer.h"
#include "cached/settings.h"

enum {
    NETWORKS_MIN = 4,     /* so many at least share `fetch.max-running` */
    PER_ADDRESS_MAX = 16, /* transfers at once: one host may serve very many domains */
    WHY_SIZE = 400
};

struct fetcher {
    struct fetch_transfer_rules rules;
    struct fetch_loop *loop;
    struct fetch_tls *tls;
    struct address_list *allowed;
    char *user_agent, *proxy;
    struct fetch_tours *tours;
};

struct fetch {
    struct fetch_tour tour; /* first */
    struct fetcher *fetcher;
    struct fetch_transfer *transfer; /* NULL: it stands in line */
    char domain[DOMAIN_SIZE];
    fetch_done_fn *done;
    void *arg;
};

static void
discard(struct fetch *f)
{
    fetch_tour_leave(&f->tour);
    free(f);
}

static void
finish(struct fetch *f, const struct fetch_result *result)
{
    f->done(result, f->arg);
    discard(f);
}

static void
finish_with_timeout(struct fetch *f)
{
    struct fetch_result result = {.error = STS_TIMEOUT, .body = ""};

    snprintf(result.detail, sizeof(result.detail), "no address answered in time");
    finish(f, &result);
}

/* Goes on with the next address, or ends with what the last one gave. */
static void
on_transfer_done(const struct fetch_result *result, bool try_next, void *arg)
{
    struct fetch *f = arg;

    f->transfer = NULL;
    if (!try_next || !fetch_tour_go_on(&f->tour))
        finish(f, result);
}

/* A special-purpose address: no transfer is begun. Where one is, its address is looked at again at
 * connect. */
static void
pass_over(struct fetch *f, const struct sockaddr_storage *address)
{
    struct fetch_result result = {.error = STS_CONNECT_BLOCKED, .body = ""};

    fetch_loop_describe_blocked(address, result.detail, sizeof(result.detail));
    on_transfer_done(&result, true, f);
}

static void
begin(struct fetch_tour *tour, const struct fetch_turn *turn)
{
    struct fetch *f = (struct fetch *)tour;
    const struct fetch_transfer_rules *rules = &f->fetcher->rules;
    struct fetch_order order = {.domain = f->domain,
                                .address = turn->address,
                                .connect_ms = turn->connect_ms,
                                .total_ms = turn->left_ms};

    if (turn->left_ms <= 0)
        finish_with_timeout(f);
    else if (rules->proxy == NULL &&
             !address_may_connect((const struct sockaddr *)turn->address, rules->allowed))
        pass_over(f, turn->address);
    else
        f->transfer = fetch_transfer_start(rules, &order, on_transfer_done, f);
}

static void
cancel(struct fetch_tour *tour)
{
    fetch_cancel((struct fetch *)tour);
}

/* NULL, or the option of section fetch that cannot be used. */
static const char *
take_settings(struct fetcher *fetcher, const struct settings *settings, char *why, size_t size)
{
    const struct conf_list *allow = &settings->fetch.allow_address;
    const char *agent = settings->fetch.user_agent;
    size_t bad = 0;

    fetcher->user_agent = alloc_string(agent ? agent : "sts-milter/" PACKAGE_VERSION);
    if (settings->fetch.proxy != NULL) {
        fetcher->proxy = alloc_string(settings->fetch.proxy);
        if (!fetch_transfer_proxy_is_usable(fetcher->proxy)) {
            snprintf(why, size, "\"%.80s\": a proxy is http://ADDRESS:PORT", fetcher->proxy);
            return "proxy";
        }
    }
    fetcher->allowed = address_list_new(allow->items, allow->count, &bad);
    if (fetcher->allowed == NULL) {
        snprintf(why, size, "%s is no address and no network", allow->items[bad]);
        return "allow-address";
    }
    fetcher->tls = fetch_tls_new(settings->fetch.ca_file, why, size);
    return fetcher->tls != NULL ? NULL : "ca-file";
}

static void
drop_settings(struct fetcher *fetcher)
{
    fetch_tls_free(fetcher->tls);
    address_list_free(fetcher->allowed);
    free(fetcher->user_agent);
    free(fetcher->proxy);
}

const char *
fetcher_fault(const struct settings *settings, char *why, size_t size)
{
    struct fetcher trial = {0};
    const char *option = take_settings(&trial, settings, why, size);

    drop_settings(&trial);
    return option;
}

static struct fetch_limits
limits_of(const struct settings *settings)
{
    struct fetch_limits limits = {.in_all = (size_t)settings->fetch.max_running,
                                  .per_address = PER_ADDRESS_MAX};

    limits.per_network = limits.in_all / NETWORKS_MIN;
    if (limits.per_network < limits.per_address)
        limits.per_network = limits.per_address;
    return limits;
}

struct fetcher *
fetcher_new(struct event_base *base, const struct settings *settings, char *why, size_t size)
{
    const struct fetch_tours_rules tours = {.limits = limits_of(settings),
                                            .timeout_ms = settings->fetch.timeout_ms,
                                            .begin = begin,
                                            .cancel = cancel};
    struct fetcher *fetcher = alloc_zero(1, sizeof(*fetcher));
    char reason[WHY_SIZE];
    const char *fault;

    fetcher->loop = fetch_loop_new(base);
    fetcher->tours = fetch_tours_new(base, &tours);
    fault = take_settings(fetcher, settings, reason, sizeof(reason));
    if (fault != NULL) {
        snprintf(why, size, "fetch.%s: %s", fault, reason);
        fetcher_free(fetcher);
        return NULL;
    }
    fetcher->rules = (struct fetch_transfer_rules){.loop = fetcher->loop,
                                                   .tls = fetcher->tls,
                                                   .allowed = fetcher->allowed,
                                                   .port = (uint16_t)settings->fetch.port,
                                                   .user_agent = fetcher->user_agent,
                                                   .proxy = fetcher->proxy};
    return fetcher;
}

void
fetcher_free(struct fetcher *fetcher)
{
    if (fetcher == NULL)
        return;
    fetch_tours_free(fetcher->tours);
    fetch_loop_free(fetcher->loop);
    drop_settings(fetcher);
    free(fetcher);
}

const struct fetch_transfer_rules *
fetcher_rules(const struct fetcher *fetcher)
{
    return &fetcher->rules;
}

struct fetch *
fetch_start(struct fetcher *fetcher, const char *domain, const struct sockaddr_storage *addresses,
            size_t count, fetch_done_fn *done, void *arg)
{
    struct fetch *f = alloc_zero(1, sizeof(*f));

    f->fetcher = fetcher;
    snprintf(f->domain, sizeof(f->domain), "%s", domain);
    f->done = done;
    f->arg = arg;
    if (count > FETCH_TOUR_ADDRESSES_MAX)
        count = FETCH_TOUR_ADDRESSES_MAX;
    if (fetcher->proxy != NULL)
        count = 1; /* the proxy knows only the name */
    fetch_tour_join(fetcher->tours, &f->tour, addresses, count);
    return f;
}

void
fetch_cancel(struct fetch *f)
{
    if (f->transfer != NULL)
        fetch_transfer_cancel(f->transfer);
    discard(f);
}
