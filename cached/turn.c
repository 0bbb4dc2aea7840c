#include "cached/turn.h"

#include <event2/event.h>
#include <stdlib.h>

struct turn {
    struct event_base *base;
    struct event *end; /* the last of the turn: it is made active behind all others */
    TAILQ_HEAD(, turn_item) items;
    size_t count;
};

static void
run_all(struct turn *turn)
{
    struct turn_item *item;

    while ((item = TAILQ_FIRST(&turn->items)) != NULL) {
        turn_take_back(turn, item);
        item->run(item->arg);
    }
}

static void
on_end(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    run_all(arg);
}

struct turn *
turn_new(struct event_base *base)
{
    struct turn *turn = alloc_zero(1, sizeof *turn);

    turn->base = base;
    turn->end = event_new(base, -1, 0, on_end, turn);
    TAILQ_INIT(&turn->items);
    return turn;
}

void
turn_free(struct turn *turn)
{
    if (turn == NULL)
        return;
    event_free(turn->end);
    free(turn);
}

bool
turn_leave(struct turn *turn, struct turn_item *item)
{
    if (item->is_left)
        return true;
    if (event_base_get_num_events(turn->base, EVENT_BASE_COUNT_ACTIVE) == 0)
        return false;
    if (turn->count == TURN_ITEMS_MAX)
        run_all(turn);
    if (turn->count == 0)
        event_active(turn->end, EV_TIMEOUT, 0);
    item->is_left = true;
    TAILQ_INSERT_TAIL(&turn->items, item, entry);
    turn->count++;
    return true;
}

void
turn_take_back(struct turn *turn, struct turn_item *item)
{
    if (!item->is_left)
        return;
    TAILQ_REMOVE(&turn->items, item, entry);
    item->is_left = false;
    turn->count--;
}
