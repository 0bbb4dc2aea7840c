/* How a job's time is dealt out among the addresses of its host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>
#include <netinet/in.h>
#include <string.h>

#include "cached/fetch_tour.h"
#include "common/clock.h"

enum { BOOT_MS = 3600000, WALL_S = 1790000000 };

static struct event_base *base;
static struct fetch_turn turn; /* the last one that began */
static int turns;

static void
on_begin(struct fetch_tour *tour, const struct fetch_turn *now)
{
    (void)tour;
    turn = *now;
    turns++;
}

static void
on_cancel(struct fetch_tour *tour)
{
    fetch_tour_leave(tour);
}

static struct fetch_tours *
new_tours(int64_t timeout_ms)
{
    const struct fetch_tours_rules rules = {
        .limits = {1, 1, 1}, .timeout_ms = timeout_ms, .begin = on_begin, .cancel = on_cancel};

    clock_fake(BOOT_MS, WALL_S);
    base = event_base_new();
    turns = 0;
    return fetch_tours_new(base, &rules);
}

static void
free_tours(struct fetch_tours *tours)
{
    fetch_tours_free(tours);
    event_base_free(base);
}

static void
join(struct fetch_tours *tours, struct fetch_tour *tour, size_t count)
{
    struct sockaddr_storage addresses[FETCH_TOUR_ADDRESSES_MAX] = {0};

    for (size_t i = 0; i < count; i++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};

        v4.sin_addr.s_addr = htonl((uint32_t)(0xc0000201 + i));
        memcpy(&addresses[i], &v4, sizeof v4);
    }
    memset(tour, 0, sizeof *tour);
    fetch_tour_join(tours, tour, addresses, count);
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(turns, 1);
}

/* No connection comes about, and the next address has its turn. */
static void
fail_to_connect(struct fetch_tour *tour)
{
    int before = turns;

    clock_fake(clock_boot_ms() + turn.connect_ms, WALL_S);
    assert_true(fetch_tour_go_on(tour));
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(turns, before + 1);
}

/* However long the timeout, five seconds without a connection are enough for the next. */
static void
test_silent_address_leaves_time_for_the_next(void **state)
{
    struct fetch_tours *tours = new_tours(60000);
    struct fetch_tour tour;

    (void)state;
    join(tours, &tour, 3);
    assert_int_equal(turn.left_ms, 60000);
    assert_int_equal(turn.share_ms, 20001);
    assert_int_equal(turn.connect_ms, 5000);
    fail_to_connect(&tour);
    assert_int_equal(turn.left_ms, 55000);
    assert_int_equal(turn.share_ms, 27501);
    assert_int_equal(turn.connect_ms, 5000);
    fail_to_connect(&tour);
    assert_int_equal(turn.left_ms, 50000); /* all that is left is the last one's */
    assert_int_equal(turn.share_ms, 50000);
    assert_int_equal(turn.connect_ms, 50000);
    assert_false(fetch_tour_go_on(&tour));
    free_tours(tours);
}

static void
test_short_timeout_is_shared(void **state)
{
    struct fetch_tours *tours = new_tours(4000);
    struct fetch_tour tour;

    (void)state;
    join(tours, &tour, 2);
    assert_int_equal(turn.connect_ms, 2001);
    fail_to_connect(&tour);
    assert_int_equal(turn.left_ms, 1999);
    assert_int_equal(turn.connect_ms, 1999);
    free_tours(tours);
}

static void
test_only_address_has_all_the_time(void **state)
{
    struct fetch_tours *tours = new_tours(60000);
    struct fetch_tour tour;

    (void)state;
    join(tours, &tour, 1);
    assert_int_equal(turn.connect_ms, 60000);
    clock_fake(BOOT_MS + 60000, WALL_S);
    assert_false(fetch_tour_go_on(&tour));
    free_tours(tours);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_address_leaves_time_for_the_next),
        cmocka_unit_test(test_short_timeout_is_shared),
        cmocka_unit_test(test_only_address_has_all_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
