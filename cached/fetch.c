#include "cached/fetch.h"

#include <assert.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/address.h"
#include "cached/fetch_line.h"
#include "cached/fetch_loop.h"
#include "cached/fetch_tls.h"
#include "cached/fetch_transfer.h"
#include "cached/settings.h"
#include "common/clock.h"

enum {
    PER_ADDRESS_MAX = 16,  /* transfers at once: one host may serve very many domains */
    CONNECT_MAX_MS = 5000, /* for one address while others are left */
    ADDRESSES_MAX = 8      /* tried of one domain: its owner chooses them */
};

TAILQ_HEAD(fetch_list, fetch);

struct fetcher {
    struct fetch_transfer_rules rules;
    struct fetch_loop *loop;
    struct fetch_tls *tls;
    struct address_list *allowed;
    char *user_agent, *proxy;
    int64_t timeout_ms;
    struct fetch_line *line;
    struct event *kick; /* somebody may be able to run: look, from the loop */
    struct fetch_list all;
};

/* It stands in line (transfer NULL) or runs; for one address after the other. */
struct fetch {
    TAILQ_ENTRY(fetch) next;
    struct fetcher *fetcher;
    struct fetch_ticket ticket;
    struct fetch_transfer *transfer;
    char domain[DOMAIN_SIZE];
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    size_t count, at;
    int64_t deadline_ms; /* 0: no connect yet */
    fetch_done_fn *done;
    void *arg;
};

static void
kick(struct fetcher *fetcher)
{
    event_active(fetcher->kick, EV_TIMEOUT, 0);
}

static void
discard(struct fetch *f)
{
    fetch_line_leave(f->fetcher->line, &f->ticket);
    kick(f->fetcher);
    TAILQ_REMOVE(&f->fetcher->all, f, next);
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
    if (!try_next || f->at + 1 >= f->count || clock_boot_ms() >= f->deadline_ms) {
        finish(f, result);
        return;
    }
    fetch_line_leave(f->fetcher->line, &f->ticket);
    f->at++;
    fetch_line_join(f->fetcher->line, &f->ticket, &f->addresses[f->at]);
    kick(f->fetcher);
}

/* The time left is shared among the addresses left, so that a silent one does not use it all. */
static void
begin(struct fetch *f)
{
    struct fetcher *fetcher = f->fetcher;
    int64_t now_ms = clock_boot_ms();
    int64_t left = (int64_t)(f->count - f->at);
    struct fetch_order order = {.domain = f->domain, .address = &f->addresses[f->at]};

    if (f->deadline_ms == 0)
        f->deadline_ms = now_ms + fetcher->timeout_ms;
    order.total_ms = f->deadline_ms - now_ms;
    if (order.total_ms <= 0) {
        finish_with_timeout(f);
        return;
    }
    order.connect_ms = order.total_ms;
    if (left > 1) {
        order.connect_ms = order.total_ms / left + 1;
        if (order.connect_ms > CONNECT_MAX_MS)
            order.connect_ms = CONNECT_MAX_MS;
    }
    f->transfer = fetch_transfer_start(&fetcher->rules, &order, on_transfer_done, f);
}

static void
on_kick(evutil_socket_t fd, short kind, void *arg)
{
    struct fetcher *fetcher = arg;
    struct fetch_ticket *ticket;

    (void)fd, (void)kind;
    while ((ticket = fetch_line_next(fetcher->line)) != NULL)
        begin((struct fetch *)((char *)ticket - offsetof(struct fetch, ticket)));
}

static bool
take_settings(struct fetcher *fetcher, const struct settings *settings, char *why, size_t size)
{
    const struct conf_list *allow = &settings->fetch.allow_address;
    const char *agent = settings->fetch.user_agent;
    size_t bad = 0;

    fetcher->timeout_ms = settings->fetch.timeout_ms;
    fetcher->user_agent = alloc_string(agent ? agent : "sts-milter/" PACKAGE_VERSION);
    if (settings->fetch.proxy != NULL) {
        fetcher->proxy = alloc_string(settings->fetch.proxy);
        if (!fetch_transfer_proxy_is_usable(fetcher->proxy)) {
            snprintf(why, size, "fetch.proxy: %s: the host must be an address", fetcher->proxy);
            return false;
        }
    }
    fetcher->allowed = address_list_new(allow->items, allow->count, &bad);
    if (fetcher->allowed == NULL) {
        snprintf(why, size, "fetch.allow-address: %s is no address and no network",
                 allow->items[bad]);
        return false;
    }
    fetcher->tls = fetch_tls_new(settings->fetch.ca_file, why, size);
    return fetcher->tls != NULL;
}

struct fetcher *
fetcher_new(struct event_base *base, const struct settings *settings, char *why, size_t size)
{
    struct fetcher *fetcher = alloc_zero(1, sizeof(*fetcher));

    TAILQ_INIT(&fetcher->all);
    fetcher->loop = fetch_loop_new(base);
    fetcher->line = fetch_line_new((size_t)settings->fetch.max_running, PER_ADDRESS_MAX);
    fetcher->kick = event_new(base, -1, 0, on_kick, fetcher);
    if (fetcher->kick == NULL)
        abort();
    if (!take_settings(fetcher, settings, why, size)) {
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
    struct fetch *f;

    if (fetcher == NULL)
        return;
    while ((f = TAILQ_FIRST(&fetcher->all)) != NULL)
        fetch_cancel(f);
    event_free(fetcher->kick);
    fetch_line_free(fetcher->line);
    fetch_loop_free(fetcher->loop);
    fetch_tls_free(fetcher->tls);
    address_list_free(fetcher->allowed);
    free(fetcher->user_agent);
    free(fetcher->proxy);
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

    assert(count > 0);
    f->fetcher = fetcher;
    snprintf(f->domain, sizeof(f->domain), "%s", domain);
    f->count = count < ADDRESSES_MAX ? count : ADDRESSES_MAX;
    memcpy(f->addresses, addresses, f->count * sizeof(*addresses));
    if (fetcher->proxy != NULL)
        f->count = 1; /* the proxy knows only the name */
    f->done = done;
    f->arg = arg;
    TAILQ_INSERT_TAIL(&fetcher->all, f, next);
    fetch_line_join(fetcher->line, &f->ticket, &f->addresses[0]);
    kick(fetcher);
    return f;
}

void
fetch_cancel(struct fetch *f)
{
    if (f->transfer != NULL)
        fetch_transfer_cancel(f->transfer);
    discard(f);
}
