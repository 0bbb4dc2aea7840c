/* The link to the master that the Sentinels name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/cached/link_lab.h"

struct guide {
    char reply[128];
    struct fake_reply table[3];
};

static void
name_host(struct guide *guide, const char *host, int port)
{
    char digits[8];

    snprintf(digits, sizeof digits, "%d", port);
    snprintf(guide->reply, sizeof guide->reply, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(host),
             host, strlen(digits), digits);
    guide->table[0] = (struct fake_reply){"SENTINEL get-master-addr-by-name farm", guide->reply};
    guide->table[1] = (struct fake_reply){"PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n"};
}

static void
name_master(struct guide *guide, struct fake_redis *server)
{
    name_host(guide, "127.0.0.1", fake_redis_port(server));
}

/* Two Sentinels, in this order, and a server. */
struct farm {
    struct guide guides[2];
    struct fake_redis *sentinels[2], *server;
    char *specs[2];
};

static void
make_farm(struct link_lab *t, struct farm *farm)
{
    static char name[] = "farm";

    farm->server = fake_redis_new(t->base, link_lab_master);
    for (size_t i = 0; i < 2; i++) {
        name_master(&farm->guides[i], farm->server);
        farm->sentinels[i] = fake_redis_new(t->base, farm->guides[i].table);
        farm->specs[i] = fake_redis_spec(farm->sentinels[i]);
    }
    t->settings.redis.sentinels = (struct conf_list){.items = farm->specs, .count = 2};
    t->settings.redis.master_name = name;
}

static void
make_farm_and_come_up(struct link_lab *t, struct farm *farm)
{
    make_farm(t, farm);
    link_lab_make(t);
    assert_true(link_lab_reaches(t, &t->ups, 1, LINK_LAB_SOON_MS));
}

static void
end_farm(struct farm *farm)
{
    fake_redis_free(farm->server);
    fake_redis_free(farm->sentinels[0]);
    fake_redis_free(farm->sentinels[1]);
}

static void
sentinel_names_the_master(void **state)
{
    struct link_lab *t = *state;
    struct farm farm = {0};

    make_farm_and_come_up(t, &farm);
    link_lab_turn(t, 50);
    assert_int_equal(fake_redis_subscribed(farm.sentinels[0]), 1);
    assert_int_equal(fake_redis_taken(farm.sentinels[1]), 0);
    end_farm(&farm);
}

static void
without_a_key_no_other_host_is_believed(void **state)
{
    static char key[] = "/somewhere/farm.key";
    struct link_lab *t = *state;
    struct farm farm = {0};

    make_farm(t, &farm);
    name_host(&farm.guides[0], "192.0.2.9", 6379);
    name_host(&farm.guides[1], "192.0.2.9", 6379);
    link_lab_make(t);
    assert_true(link_lab_reaches(t, &t->downs, 1, LINK_LAB_SOON_MS));
    assert_non_null(strstr(t->why, "no key-file"));
    redis_link_free(t->link);
    t->settings.redis.key_file = key; /* with one it is tried */
    t->settings.redis.timeout_ms = 100;
    t->downs = 0;
    link_lab_make(t);
    assert_true(link_lab_reaches(t, &t->downs, 1, LINK_LAB_SOON_MS));
    assert_null(strstr(t->why, "no key-file"));
    end_farm(&farm);
}

static void
second_sentinel_is_asked_when_the_first_will_not(void **state)
{
    static const struct fake_reply unknown[] = {{"SENTINEL", "*-1\r\n"}, {NULL, NULL}};
    static const struct fake_reply silent[] = {{"", NULL}, {NULL, NULL}};
    static const struct fake_reply broken[] = {{"SENTINEL", "*2\r\n$3\r\na b\r\n:1\r\n"},
                                               {NULL, NULL}};
    static const struct fake_reply *const tables[] = {unknown, silent, broken};
    struct link_lab *t = *state;

    t->settings.redis.timeout_ms = 100;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct farm farm = {0};

        make_farm(t, &farm);
        fake_redis_set(farm.sentinels[0], tables[i]);
        t->ups = 0;
        link_lab_make(t);
        assert_true(link_lab_reaches(t, &t->ups, 1, LINK_LAB_SOON_MS));
        assert_int_equal(t->downs, 0);
        redis_link_free(t->link);
        t->link = NULL;
        end_farm(&farm);
    }
}

static void
second_sentinel_is_asked_when_the_first_is_dead(void **state)
{
    static char dead[] = "unix:/nonexistent/sentinel";
    struct link_lab *t = *state;
    struct farm farm = {0};

    make_farm(t, &farm);
    farm.specs[0] = dead;
    link_lab_make(t);
    assert_true(link_lab_reaches(t, &t->ups, 1, LINK_LAB_SOON_MS));
    assert_int_equal(t->downs, 0);
    link_lab_turn(t, 50);
    assert_int_equal(fake_redis_subscribed(farm.sentinels[1]), 1);
    end_farm(&farm);
}

static void
host_names_are_not_followed(void **state)
{
    struct link_lab *t = *state;
    struct farm farm = {0};

    make_farm(t, &farm);
    for (size_t i = 0; i < 2; i++)
        name_host(&farm.guides[i], "redis.example.com", 6379);
    link_lab_make(t);
    assert_true(link_lab_reaches(t, &t->downs, 1, LINK_LAB_SOON_MS));
    assert_string_equal(t->why, "a Sentinel did not tell the master's address");
    assert_int_equal(t->ups, 0);
    end_farm(&farm);
}

static void
sentinel_that_names_a_replica_is_passed_over(void **state)
{
    struct link_lab *t = *state;
    struct farm farm = {0};
    struct fake_redis *old;

    make_farm(t, &farm);
    old = fake_redis_new(t->base, link_lab_replica);
    name_master(&farm.guides[0], old);
    link_lab_make(t);
    assert_true(link_lab_reaches(t, &t->ups, 1, LINK_LAB_SOON_MS));
    assert_int_equal(fake_redis_taken(old), 1);
    assert_int_equal(fake_redis_open(farm.server), 1);
    fake_redis_free(old);
    end_farm(&farm);
}

/* The Sentinels name `next` from now on; Sentinel `i` tells of it. */
static void
switch_master(struct farm *farm, size_t i, struct fake_redis *next)
{
    char text[128];

    name_master(&farm->guides[0], next);
    name_master(&farm->guides[1], next);
    snprintf(text, sizeof text, "farm 127.0.0.1 %d 127.0.0.1 %d", fake_redis_port(farm->server),
             fake_redis_port(next));
    fake_redis_publish(farm->sentinels[i], "+switch-master", text);
}

static void
switch_is_followed(void **state)
{
    struct link_lab *t = *state;
    struct farm farm = {0};
    struct fake_redis *next = fake_redis_new(t->base, link_lab_master);
    struct link_lab_got got = {0};

    make_farm_and_come_up(t, &farm);
    link_lab_turn(t, 50);
    fake_redis_publish(farm.sentinels[0], "+switch-master", "farm2 127.0.0.1 1 127.0.0.1 2");
    link_lab_turn(t, LINK_LAB_QUIET_MS);
    assert_int_equal(t->downs, 0); /* not our master */
    link_lab_send(t, "HANG", "x", &got);
    switch_master(&farm, 0, next);
    assert_true(link_lab_reaches(t, &t->ups, 2, LINK_LAB_SOON_MS));
    assert_int_equal(t->downs, 1);
    assert_string_equal(t->why, "the Sentinels tell of another master");
    assert_int_equal(got.nulls, 1);
    link_lab_turn(t, 50);
    assert_int_equal(fake_redis_open(next), 1);
    assert_int_equal(fake_redis_open(farm.server), 0);
    fake_redis_free(next);
    end_farm(&farm);
}

static void
lost_sentinel_leaves_the_link_alone(void **state)
{
    struct link_lab *t = *state;
    struct farm farm = {0};
    struct fake_redis *next = fake_redis_new(t->base, link_lab_master);

    make_farm_and_come_up(t, &farm);
    link_lab_turn(t, 50);
    fake_redis_free(farm.sentinels[0]);
    farm.sentinels[0] = NULL;
    link_lab_turn(t, LINK_LAB_QUIET_MS);
    assert_int_equal(t->downs, 0);
    assert_int_equal(fake_redis_subscribed(farm.sentinels[1]), 1);
    switch_master(&farm, 1, next);
    assert_true(link_lab_reaches(t, &t->ups, 2, LINK_LAB_SOON_MS));
    assert_int_equal(fake_redis_open(next), 1);
    fake_redis_free(next);
    end_farm(&farm);
}

static void
link_stays_when_all_sentinels_are_gone(void **state)
{
    static const struct fake_reply nothing[] = {{"SENTINEL", "-ERR no\r\n"}, {NULL, NULL}};
    struct link_lab *t = *state;
    struct farm farm = {0};
    struct fake_redis *next = fake_redis_new(t->base, link_lab_master);
    struct link_lab_got got = {0};

    make_farm_and_come_up(t, &farm);
    fake_redis_set(farm.sentinels[0], nothing);
    fake_redis_set(farm.sentinels[1], nothing);
    fake_redis_cut(farm.sentinels[0]);
    link_lab_turn(t, LINK_LAB_QUIET_MS);
    assert_int_equal(t->downs, 0);
    link_lab_send(t, "GET", "key", &got);
    assert_true(link_lab_reaches(t, &got.calls, 1, LINK_LAB_SOON_MS));
    assert_string_equal(got.text, "value");
    /* They come back, and meanwhile there is another master. */
    name_master(&farm.guides[0], next);
    name_master(&farm.guides[1], next);
    fake_redis_set(farm.sentinels[0], farm.guides[0].table);
    fake_redis_set(farm.sentinels[1], farm.guides[1].table);
    assert_true(link_lab_reaches(t, &t->ups, 2, LINK_LAB_SOON_MS));
    assert_int_equal(fake_redis_open(next), 1);
    fake_redis_free(next);
    end_farm(&farm);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, link_lab_begin, link_lab_end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sentinel_names_the_master),
        TEST(without_a_key_no_other_host_is_believed),
        TEST(second_sentinel_is_asked_when_the_first_will_not),
        TEST(second_sentinel_is_asked_when_the_first_is_dead),
        TEST(host_names_are_not_followed),
        TEST(sentinel_that_names_a_replica_is_passed_over),
        TEST(switch_is_followed),
        TEST(lost_sentinel_leaves_the_link_alone),
        TEST(link_stays_when_all_sentinels_are_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
