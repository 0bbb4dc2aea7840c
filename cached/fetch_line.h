/* fetch_line - who may connect now: so many transfers in all, so many to one address.
 * Those who must wait stand in one line an address, and the addresses take turns, so that a host
 * with many domains does not keep the others waiting. Pure: starts nothing. */
#ifndef STS_CACHED_FETCH_LINE_H
#define STS_CACHED_FETCH_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "common/alloc.h"

struct fetch_line;
struct fetch_peer;

/* One place in line; a member of its owner. */
struct fetch_ticket {
    TAILQ_ENTRY(fetch_ticket) next;
    struct fetch_peer *peer;
    bool running;
};

MUST_CHECK struct fetch_line *fetch_line_new(size_t max_running, size_t max_per_address);
/* All tickets must have left. */
void fetch_line_free(struct fetch_line *);

/* Stands at the end of the line for `address` (its port does not matter). */
void fetch_line_join(struct fetch_line *, struct fetch_ticket *, const struct sockaddr_storage *);
/* The next ticket that may run now; it counts as running until it leaves. NULL: nobody may. */
struct fetch_ticket *fetch_line_next(struct fetch_line *);
/* Gives the place back, whether waiting or running. */
void fetch_line_leave(struct fetch_line *, struct fetch_ticket *);

#endif
