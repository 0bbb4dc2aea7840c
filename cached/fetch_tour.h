/* fetch_tour - a job that tries the addresses of one host in turn: each when there is room for it
 * (see fetch_line), all of them under one timeout that begins with the first. The job is its
 * owner's; this module says when, where and for how long. */
#ifndef STS_CACHED_FETCH_TOUR_H
#define STS_CACHED_FETCH_TOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "cached/fetch_line.h"
#include "common/alloc.h"

struct event_base;
struct fetch_tours;

enum { FETCH_TOUR_ADDRESSES_MAX = 8 /* of one host: its owner chooses them */ };

/* One job; the first member of its owner. */
struct fetch_tour {
    TAILQ_ENTRY(fetch_tour) next;
    struct fetch_tours *tours;
    struct fetch_ticket ticket;
    struct sockaddr_storage addresses[FETCH_TOUR_ADDRESSES_MAX];
    size_t count, at;
    int64_t deadline_ms; /* 0: none has begun yet */
};

struct fetch_turn {
    const struct sockaddr_storage *address;
    int64_t left_ms;    /* of the timeout; not positive: it is over, nothing may begin */
    int64_t share_ms;   /* of it for this address, so that a silent one does not use it all */
    int64_t connect_ms; /* at most 5 s while other addresses are left */
};

struct fetch_tours_rules {
    struct fetch_limits limits;
    int64_t timeout_ms;
    /* This address' turn has come, from the loop. Not called again for the tour before
     * fetch_tour_go_on. */
    void (*begin)(struct fetch_tour *, const struct fetch_turn *);
    /* Ends the job without a callback to whoever ordered it; must leave the tour. */
    void (*cancel)(struct fetch_tour *);
};

MUST_CHECK struct fetch_tours *fetch_tours_new(struct event_base *,
                                               const struct fetch_tours_rules *);
/* Cancels all jobs. Accepts NULL. */
void fetch_tours_free(struct fetch_tours *);

/* Takes the job in; `addresses` are copied, at least one, at most FETCH_TOUR_ADDRESSES_MAX. */
void fetch_tour_join(struct fetch_tours *, struct fetch_tour *,
                     const struct sockaddr_storage *addresses, size_t count);
/* This address is done with: the next one stands in line. False: there is none, or no time. */
MUST_CHECK bool fetch_tour_go_on(struct fetch_tour *);
/* The job is over, running or not; the owner may be freed. */
void fetch_tour_leave(struct fetch_tour *);

#endif
