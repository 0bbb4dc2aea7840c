#include "cached/fetch_tour.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

enum { CONNECT_MAX_MS = 5000 };

struct fetch_tours {
    struct fetch_tours_rules rules;
    struct fetch_line *line;
    struct event *kick; /* somebody may be able to run: look, from the loop */
    TAILQ_HEAD(, fetch_tour) all;
};

static void
kick(struct fetch_tours *tours)
{
    event_active(tours->kick, EV_TIMEOUT, 0);
}

static void
begin(struct fetch_tours *tours, struct fetch_tour *tour)
{
    int64_t now_ms = clock_boot_ms(), others = (int64_t)(tour->count - tour->at) - 1;
    struct fetch_turn turn = {.address = &tour->addresses[tour->at]};

    if (tour->deadline_ms == 0)
        tour->deadline_ms = now_ms + tours->rules.timeout_ms;
    turn.left_ms = tour->deadline_ms - now_ms;
    turn.share_ms = others > 0 ? turn.left_ms / (others + 1) + 1 : turn.left_ms;
    turn.connect_ms = others > 0 && turn.share_ms > CONNECT_MAX_MS ? CONNECT_MAX_MS : turn.share_ms;
    tours->rules.begin(tour, &turn);
}

static void
on_kick(evutil_socket_t fd, short kind, void *arg)
{
    struct fetch_tours *tours = arg;
    struct fetch_ticket *ticket;

    (void)fd, (void)kind;
    while ((ticket = fetch_line_next(tours->line)) != NULL)
        begin(tours, (struct fetch_tour *)((char *)ticket - offsetof(struct fetch_tour, ticket)));
}

struct fetch_tours *
fetch_tours_new(struct event_base *base, const struct fetch_tours_rules *rules)
{
    struct fetch_tours *tours = alloc_zero(1, sizeof(*tours));

    tours->rules = *rules;
    TAILQ_INIT(&tours->all);
    tours->line = fetch_line_new(&rules->limits);
    tours->kick = event_new(base, -1, 0, on_kick, tours);
    if (tours->kick == NULL)
        abort();
    return tours;
}

void
fetch_tours_free(struct fetch_tours *tours)
{
    if (tours == NULL)
        return;
    while (!TAILQ_EMPTY(&tours->all))
        tours->rules.cancel(TAILQ_FIRST(&tours->all));
    event_free(tours->kick);
    fetch_line_free(tours->line);
    free(tours);
}

void
fetch_tour_join(struct fetch_tours *tours, struct fetch_tour *tour,
                const struct sockaddr_storage *addresses, size_t count)
{
    assert(count > 0 && count <= FETCH_TOUR_ADDRESSES_MAX);
    tour->tours = tours;
    memcpy(tour->addresses, addresses, count * sizeof(*addresses));
    tour->count = count;
    tour->at = 0;
    tour->deadline_ms = 0;
    TAILQ_INSERT_TAIL(&tours->all, tour, next);
    fetch_line_join(tours->line, &tour->ticket, &tour->addresses[0]);
    kick(tours);
}

bool
fetch_tour_go_on(struct fetch_tour *tour)
{
    struct fetch_tours *tours = tour->tours;

    if (tour->at + 1 >= tour->count || clock_boot_ms() >= tour->deadline_ms)
        return false;
    fetch_line_leave(tours->line, &tour->ticket);
    tour->at++;
    fetch_line_join(tours->line, &tour->ticket, &tour->addresses[tour->at]);
    kick(tours);
    return true;
}

void
fetch_tour_leave(struct fetch_tour *tour)
{
    fetch_line_leave(tour->tours->line, &tour->ticket);
    kick(tour->tours);
    TAILQ_REMOVE(&tour->tours->all, tour, next);
}
