#include "tests/unit/cached/link_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

const struct fake_reply link_lab_master[] = {{"PING", "+PONG\r\n"},
                                             {"ROLE", LINK_LAB_MASTER},
                                             {"GET key", "$5\r\nvalue\r\n"},
                                             {"HANG", NULL},
                                             {NULL, NULL}};
const struct fake_reply link_lab_replica[] = {
    {"PING", "+PONG\r\n"}, {"ROLE", LINK_LAB_REPLICA}, {NULL, NULL}};

void
link_lab_on_up(void *arg)
{
    ((struct link_lab *)arg)->ups++;
}

void
link_lab_on_down(const char *why, void *arg)
{
    struct link_lab *t = arg;

    t->downs++;
    snprintf(t->why, sizeof t->why, "%s", why);
}

const struct redis_link_events link_lab_events = {.up = link_lab_on_up, .down = link_lab_on_down};

int
link_lab_begin(void **state)
{
    struct link_lab *t = alloc_zero(1, sizeof *t);

    clock_fake(LINK_LAB_BOOT_MS, 0);
    t->base = event_base_new();
    t->settings.redis.timeout_ms = 1000;
    *state = t;
    return 0;
}

int
link_lab_end(void **state)
{
    struct link_lab *t = *state;

    redis_link_free(t->link);
    event_base_free(t->base);
    free(t);
    return 0;
}

int64_t
link_lab_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool
link_lab_reaches(struct link_lab *t, const int *value, int wanted, int64_t within_ms)
{
    int64_t end_ms = link_lab_now_ms() + within_ms;

    while (*value < wanted && link_lab_now_ms() < end_ms) {
        event_base_loopexit(t->base, &(struct timeval){.tv_usec = 5000});
        event_base_dispatch(t->base);
    }
    return *value >= wanted;
}

void
link_lab_turn(struct link_lab *t, int64_t ms)
{
    static const int never = 0;

    assert_false(link_lab_reaches(t, &never, 1, ms));
}

void
link_lab_make(struct link_lab *t)
{
    char why[256] = "";

    t->link = redis_link_new(t->base, &t->settings, &link_lab_events, t, why, sizeof why);
    assert_string_equal(why, "");
    assert_non_null(t->link);
}

void
link_lab_open(struct link_lab *t, struct fake_redis *server)
{
    t->settings.redis.server = fake_redis_spec(server);
    link_lab_make(t);
}

void
link_lab_come_up(struct link_lab *t, struct fake_redis *server)
{
    link_lab_open(t, server);
    assert_true(link_lab_reaches(t, &t->ups, 1, LINK_LAB_SOON_MS));
    assert_int_equal(t->downs, 0);
}

static void
link_lab_on_reply(const struct resp *reply, void *arg)
{
    struct link_lab_got *got = arg;
    struct span bytes = resp_bytes(reply);

    got->calls++;
    got->nulls += reply == NULL;
    snprintf(got->text, sizeof got->text, "%.*s", (int)bytes.len, bytes.len > 0 ? bytes.at : "");
}

void
link_lab_send(struct link_lab *t, const char *one, const char *two, struct link_lab_got *got)
{
    struct span words[] = {{one, strlen(one)}, {two, strlen(two)}};

    redis_link_send(t->link, words, 2, 0, link_lab_on_reply, got);
}
