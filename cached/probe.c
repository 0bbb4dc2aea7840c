#include "cached/probe.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cached/fetch_line.h"
#include "cached/probe_smtp.h"
#include "cached/settings.h"
#include "common/clock.h"
#include "common/domain.h"

enum { CONNECT_MAX_MS = 5000 /* for one address while others are left */ };

TAILQ_HEAD(probe_list, probe);

struct prober {
    const struct fetch_transfer_rules *shared;
    char helo[DOMAIN_SIZE];
    uint16_t port;
    int64_t timeout_ms;
    struct fetch_line *line;
    struct event *kick; /* somebody may be able to run: look, from the loop */
    struct probe_list all;
};

/* It stands in line (session NULL) or runs; for one address after the other. */
struct probe {
    TAILQ_ENTRY(probe) next;
    struct prober *prober;
    struct fetch_ticket ticket;
    struct probe_smtp *session;
    char host[DOMAIN_SIZE];
    struct sockaddr_storage addresses[PROBE_ADDRESSES_MAX];
    size_t count, at;
    int64_t deadline_ms;        /* 0: no connect yet */
    struct probe_result result; /* the most telling one so far */
    probe_done_fn *done;
    void *arg;
};

static void
kick(struct prober *prober)
{
    event_active(prober->kick, EV_TIMEOUT, 0);
}

static void
discard(struct probe *p)
{
    fetch_line_leave(p->prober->line, &p->ticket);
    kick(p->prober);
    TAILQ_REMOVE(&p->prober->all, p, next);
    free(p);
}

static void
finish(struct probe *p)
{
    p->done(&p->result, p->arg);
    discard(p);
}

static bool
is_tls_fault(enum sts_error error)
{
    return error >= STS_TLS_NAME && error <= STS_TLS_HANDSHAKE;
}

/* An address that could not be reached from here says nothing against one that could. */
static bool
tells_more(const struct probe *p, const struct probe_result *result)
{
    return p->at == 0 || result->error == STS_OK ||
           (is_tls_fault(result->error) && !is_tls_fault(p->result.error));
}

/* Goes on with the next address, or ends. */
static void
on_session_done(const struct probe_result *result, void *arg)
{
    struct probe *p = arg;

    p->session = NULL;
    if (tells_more(p, result))
        p->result = *result;
    if (result->error == STS_OK || p->at + 1 >= p->count || clock_boot_ms() >= p->deadline_ms) {
        finish(p);
        return;
    }
    fetch_line_leave(p->prober->line, &p->ticket);
    p->at++;
    fetch_line_join(p->prober->line, &p->ticket, &p->addresses[p->at]);
    kick(p->prober);
}

/* The time left is shared among the addresses left, so that a silent one does not use it all. */
static void
begin(struct probe *p)
{
    struct prober *prober = p->prober;
    int64_t now_ms = clock_boot_ms(), left = (int64_t)(p->count - p->at);
    struct probe_order order = {.rules = prober->shared,
                                .host = p->host,
                                .helo = prober->helo,
                                .address = &p->addresses[p->at],
                                .port = prober->port};

    if (p->deadline_ms == 0)
        p->deadline_ms = now_ms + prober->timeout_ms;
    if (now_ms >= p->deadline_ms) { /* it stood in line too long; the first has its result */
        finish(p);
        return;
    }
    order.total_ms = (p->deadline_ms - now_ms) / left + 1;
    order.connect_ms =
        left > 1 && order.total_ms > CONNECT_MAX_MS ? CONNECT_MAX_MS : order.total_ms;
    p->session = probe_smtp_start(&order, on_session_done, p);
}

static void
on_kick(evutil_socket_t fd, short kind, void *arg)
{
    struct prober *prober = arg;
    struct fetch_ticket *ticket;

    (void)fd, (void)kind;
    while ((ticket = fetch_line_next(prober->line)) != NULL)
        begin((struct probe *)((char *)ticket - offsetof(struct probe, ticket)));
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
    struct prober *prober = alloc_zero(1, sizeof(*prober));

    TAILQ_INIT(&prober->all);
    prober->shared = shared;
    prober->port = (uint16_t)settings->probe_port;
    prober->timeout_ms = settings->fetch.timeout_ms;
    take_own_name(prober->helo);
    prober->line = fetch_line_new(PROBE_RUNNING_MAX, PROBE_PER_ADDRESS_MAX);
    prober->kick = event_new(base, -1, 0, on_kick, prober);
    if (prober->kick == NULL)
        abort();
    return prober;
}

void
prober_free(struct prober *prober)
{
    struct probe *p;

    if (prober == NULL)
        return;
    while ((p = TAILQ_FIRST(&prober->all)) != NULL)
        probe_cancel(p);
    event_free(prober->kick);
    fetch_line_free(prober->line);
    free(prober);
}

struct probe *
probe_start(struct prober *prober, const char *host, const struct sockaddr_storage *addresses,
            size_t count, probe_done_fn *done, void *arg)
{
    struct probe *p = alloc_zero(1, sizeof(*p));

    assert(count > 0);
    p->prober = prober;
    snprintf(p->host, sizeof(p->host), "%s", host);
    p->count = count < PROBE_ADDRESSES_MAX ? count : PROBE_ADDRESSES_MAX;
    memcpy(p->addresses, addresses, p->count * sizeof(*addresses));
    p->done = done;
    p->arg = arg;
    TAILQ_INSERT_TAIL(&prober->all, p, next);
    fetch_line_join(prober->line, &p->ticket, &p->addresses[0]);
    kick(prober);
    return p;
}

void
probe_cancel(struct probe *p)
{
    if (p->session != NULL)
        probe_smtp_cancel(p->session);
    discard(p);
}
