/* fetch_line - who may connect now: so many transfers in all, to one network, and to one address.
 * Those who must wait stand in one line an address; the networks take turns, and within each its
 * addresses, so that a host with many domains does not keep the others waiting, nor does somebody
 * with very many addresses. Pure: starts nothing. */
#ifndef STS_CACHED_FETCH_LINE_H
#define STS_CACHED_FETCH_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "common/alloc.h"

struct fetch_line;
struct fetch_peer;

/* How many may run. A network is a /24 of IPv4 or a /56 of IPv6: about what one customer is given,
 * at little cost. It may have more than an address: a large hoster's hosts stand side by side, and
 * one that hangs must not hold up its neighbours. */
struct fetch_limits {
    size_t in_all, per_network, per_address;
};

/* One place in line; a member of its owner. */
struct fetch_ticket {
    TAILQ_ENTRY(fetch_ticket) next;
    struct fetch_peer *peer;
    bool running;
};

MUST_CHECK struct fetch_line *fetch_line_new(const struct fetch_limits *);
/* All tickets must have left. */
void fetch_line_free(struct fetch_line *);

/* Stands at the end of the line for `address` (its port does not matter). */
void fetch_line_join(struct fetch_line *, struct fetch_ticket *, const struct sockaddr_storage *);
/* The next ticket that may run now; it counts as running until it leaves. NULL: nobody may. */
struct fetch_ticket *fetch_line_next(struct fetch_line *);
/* Gives the place back, whether waiting or running. */
void fetch_line_leave(struct fetch_line *, struct fetch_ticket *);

#endif
