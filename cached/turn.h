/* turn - what is left to the end of this turn of the loop.
 * A server that writes each answer where it was made wakes its client each time; when many clients
 * have asked, all are answered first and written to afterwards, and one that serves many
 * connections is woken once. Where nobody else is waiting in this turn nothing is left. */
#ifndef STS_CACHED_TURN_H
#define STS_CACHED_TURN_H

#include <stdbool.h>
#include <sys/queue.h>

#include "common/alloc.h"

struct event_base;
struct turn;

enum { TURN_ITEMS_MAX = 16 }; /* of so many, what they keep for the end is bounded, too */

/* A part of whoever leaves something; all zero is the start. */
struct turn_item {
    TAILQ_ENTRY(turn_item) entry;
    bool is_left;
    void (*run)(void *arg); /* may leave, take back and free items, its own too */
    void *arg;
};

struct turn *turn_new(struct event_base *);
/* Nothing may be left. */
void turn_free(struct turn *);

/* Leaves the item, whose `run` and `arg` are set: `run` comes once before the turn ends, unless
 * turn_take_back came first. False: no event waits in this turn, the caller goes on at once. */
MUST_CHECK bool turn_leave(struct turn *, struct turn_item *);
/* Nothing happens when it is not left. */
void turn_take_back(struct turn *, struct turn_item *);

#endif
