/* fetch_transfer - one HTTPS GET of one domain's policy from one address: curl's options, hooks and
 * error codes stay in here. */
#ifndef STS_CACHED_FETCH_TRANSFER_H
#define STS_CACHED_FETCH_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "cached/source.h"
#include "common/alloc.h"

struct address_list;
struct fetch_loop;
struct fetch_tls;
struct fetch_transfer;

/* What all transfers have in common. Borrowed; outlives them. */
struct fetch_transfer_rules {
    struct fetch_loop *loop;
    const struct fetch_tls *tls;
    const struct address_list *allowed;
    uint16_t port;
    const char *user_agent;
    const char *proxy; /* NULL: none. Else it is connected to, and it looks the policy host up */
};

struct fetch_order {
    const char *domain;
    const struct sockaddr_storage *address;
    int64_t connect_ms; /* for TCP and TLS */
    int64_t total_ms;   /* for everything */
};

/* `try_next`: nothing was heard from this address (refused, blocked, silent). `result` is borrowed;
 * the transfer is gone when the callback returns. */
typedef void fetch_transfer_done_fn(const struct fetch_result *, bool try_next, void *arg);

/* `order` is copied. Always later: `done` comes once, from the loop, unless cancelled. */
struct fetch_transfer *fetch_transfer_start(const struct fetch_transfer_rules *,
                                            const struct fetch_order *, fetch_transfer_done_fn *,
                                            void *arg);
void fetch_transfer_cancel(struct fetch_transfer *);

/* True when `proxy` can be used: it speaks HTTP, and its host is an address, for we start no
 * resolver threads. */
MUST_CHECK bool fetch_transfer_proxy_is_usable(const char *proxy);

#endif
