#include "tests/fake/fake_fetch.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fetcher {
    struct event_base *base;
};

struct fetch {
    struct event *later;
    fetch_done_fn *done;
    void *arg;
};

struct fake_fetch fake_fetch;

struct fetcher *
fetcher_new(struct event_base *base, const struct settings *settings, char *why, size_t size)
{
    struct fetcher *fetcher;

    (void)settings;
    if (fake_fetch.refusal != NULL) {
        snprintf(why, size, "%s", fake_fetch.refusal);
        return NULL;
    }
    fetcher = alloc_zero(1, sizeof(*fetcher));
    fetcher->base = base;
    return fetcher;
}

void
fetcher_free(struct fetcher *fetcher)
{
    free(fetcher);
}

const struct fetch_transfer_rules *
fetcher_rules(const struct fetcher *fetcher)
{
    (void)fetcher;
    return NULL;
}

static void
remember(const char *domain, const struct sockaddr_storage *addresses, size_t count)
{
    char *list = fake_fetch.addresses;
    char text[INET6_ADDRSTRLEN];
    const void *raw;

    snprintf(fake_fetch.domain, sizeof(fake_fetch.domain), "%s", domain);
    list[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        raw = addresses[i].ss_family == AF_INET
                  ? (const void *)&((const struct sockaddr_in *)&addresses[i])->sin_addr
                  : (const void *)&((const struct sockaddr_in6 *)&addresses[i])->sin6_addr;
        inet_ntop(addresses[i].ss_family, raw, text, sizeof(text));
        snprintf(list + strlen(list), sizeof(fake_fetch.addresses) - strlen(list), "%s%s",
                 i ? " " : "", text);
    }
}

static void
on_later(evutil_socket_t fd, short kind, void *arg)
{
    struct fetch *f = arg;

    (void)fd, (void)kind;
    f->done(&fake_fetch.outcome, f->arg);
    fetch_cancel(f);
}

struct fetch *
fetch_start(struct fetcher *fetcher, const char *domain, const struct sockaddr_storage *addresses,
            size_t count, fetch_done_fn *done, void *arg)
{
    struct fetch *f = alloc_zero(1, sizeof(*f));
    struct timeval delay = {.tv_usec = fake_fetch.delay_ms * 1000};

    remember(domain, addresses, count);
    f->done = done;
    f->arg = arg;
    f->later = evtimer_new(fetcher->base, on_later, f);
    evtimer_add(f->later, &delay);
    fake_fetch.started++;
    return f;
}

void
fetch_cancel(struct fetch *f)
{
    event_free(f->later);
    free(f);
}
