/* What is left to the end of a turn of the loop comes behind all that waited in it, and once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "cached/turn.h"

enum { PLAYERS = TURN_ITEMS_MAX + 1 };

struct stage;

/* One who is called in a turn, and leaves the rest of what he has to do to its end. */
struct player {
    struct stage *stage;
    struct event *called;
    struct turn_item item;
    char name; /* noted small when he is called, large when the rest is done */
};

struct stage {
    struct event_base *base;
    struct turn *turn;
    struct player players[PLAYERS];
    struct player *taken_back; /* by whoever does his rest */
    char noted[2 * PLAYERS + 1];
};

static void
note(struct stage *s, char name)
{
    s->noted[strlen(s->noted)] = name;
}

static void
on_rest(void *arg)
{
    struct player *p = arg;

    note(p->stage, (char)(p->name - 'a' + 'A'));
    if (p->stage->taken_back != NULL)
        turn_take_back(p->stage->turn, &p->stage->taken_back->item);
}

static void
on_called(int fd, short what, void *arg)
{
    struct player *p = arg;

    (void)fd, (void)what;
    note(p->stage, p->name);
    if (!turn_leave(p->stage->turn, &p->item))
        on_rest(p);
}

static int
set_up(void **state)
{
    struct stage *s = alloc_zero(1, sizeof *s);

    s->base = event_base_new();
    s->turn = turn_new(s->base);
    for (int i = 0; i < PLAYERS; i++) {
        struct player *p = &s->players[i];
        p->stage = s;
        p->name = (char)('a' + i);
        p->item = (struct turn_item){.run = on_rest, .arg = p};
        p->called = event_new(s->base, -1, 0, on_called, p);
    }
    *state = s;
    return 0;
}

static int
tear_down(void **state)
{
    struct stage *s = *state;

    for (int i = 0; i < PLAYERS; i++)
        event_free(s->players[i].called);
    turn_free(s->turn);
    event_base_free(s->base);
    free(s);
    return 0;
}

/* One turn in which the first `count` are called. */
static const char *
play(struct stage *s, int count)
{
    memset(s->noted, 0, sizeof s->noted);
    for (int i = 0; i < count; i++)
        event_active(s->players[i].called, EV_READ, 0);
    event_base_loop(s->base, EVLOOP_NONBLOCK);
    return s->noted;
}

static void
test_who_is_alone_leaves_nothing(void **state)
{
    assert_string_equal(play(*state, 1), "aA");
}

static void
test_the_rest_comes_behind_all_who_were_called(void **state)
{
    assert_string_equal(play(*state, 3), "abcABC");
    assert_string_equal(play(*state, 2), "abAB");
}

/* A full list is worked off before there is one more. */
static void
test_no_more_is_left_than_there_is_room_for(void **state)
{
    assert_string_equal(play(*state, PLAYERS), "abcdefghijklmnopqABCDEFGHIJKLMNOPQ");
}

static void
test_who_is_called_again_is_left_once(void **state)
{
    struct stage *s = *state;

    event_active(s->players[2].called, EV_READ, 0);
    assert_string_equal(play(s, 2), "cabCAB");
    event_active(s->players[0].called, EV_READ, 0);
    event_active(s->players[1].called, EV_READ, 0);
    on_called(-1, 0, &s->players[0]);
    event_base_loop(s->base, EVLOOP_NONBLOCK);
    assert_string_equal(s->noted, "cabCABaabAB");
}

static void
test_what_is_taken_back_does_not_come(void **state)
{
    struct stage *s = *state;

    s->taken_back = &s->players[1];
    assert_string_equal(play(s, 3), "abcAC");
    s->taken_back = NULL;
    assert_string_equal(play(s, 3), "abcABC");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_is_alone_leaves_nothing),
        TEST(test_the_rest_comes_behind_all_who_were_called),
        TEST(test_no_more_is_left_than_there_is_room_for),
        TEST(test_who_is_called_again_is_left_once),
        TEST(test_what_is_taken_back_does_not_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
