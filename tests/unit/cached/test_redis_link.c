/* The link to one server that answers by a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/unit/cached/link_lab.h"

/* --- one server ------------------------------------------------------------------------------- */

static void
is_up_after_ping_and_role(void **state)
{
    struct link_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, link_lab_master);
    struct link_lab_got got = {0};

    link_lab_open(t, server);
    assert_int_equal(t->ups, 0);
    assert_false(redis_link_is_up(t->link));
    assert_true(link_lab_reaches(t, &t->ups, 1, LINK_LAB_SOON_MS));
    assert_true(redis_link_is_up(t->link));
    assert_int_equal(fake_redis_asked(server, "PING"), 1);
    assert_int_equal(fake_redis_asked(server, "ROLE"), 1);
    link_lab_send(t, "GET", "key", &got);
    assert_int_equal(got.calls, 0);
    assert_true(link_lab_reaches(t, &got.calls, 1, LINK_LAB_SOON_MS));
    assert_string_equal(got.text, "value");
    fake_redis_free(server);
}

static void
replica_is_refused_until_it_is_master(void **state)
{
    struct link_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, link_lab_replica);

    link_lab_open(t, server);
    assert_true(link_lab_reaches(t, &t->downs, 1, LINK_LAB_SOON_MS));
    assert_string_equal(t->why, "the server is no master");
    link_lab_turn(t, LINK_LAB_QUIET_MS);
    assert_true(fake_redis_taken(server) > 1);
    assert_int_equal(t->downs, 1); /* told once, not at each try */
    assert_int_equal(t->ups, 0);
    fake_redis_set(server, link_lab_master);
    assert_true(link_lab_reaches(t, &t->ups, 1, LINK_LAB_SOON_MS));
    fake_redis_free(server);
}

static void
loading_server_is_waited_for(void **state)
{
    static const struct fake_reply loading[] = {{"", "-LOADING dataset in memory\r\n"},
                                                {NULL, NULL}};
    struct link_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, loading);

    link_lab_open(t, server);
    assert_true(link_lab_reaches(t, &t->downs, 1, LINK_LAB_SOON_MS));
    assert_string_equal(t->why, "LOADING dataset in memory");
    fake_redis_set(server, link_lab_master);
    assert_true(link_lab_reaches(t, &t->ups, 1, LINK_LAB_SOON_MS));
    fake_redis_free(server);
}

static const struct error_case {
    const char *line, *text;
    bool ends;
} errors[] = {
    {"-READONLY You can't write\r\n", "READONLY You can't write", true},
    {"-LOADING dataset\r\n", "LOADING dataset", true},
    {"-MASTERDOWN Link\r\n", "MASTERDOWN Link", true},
    {"-NOAUTH required\r\n", "NOAUTH required", true},
    {"-WRONGPASS invalid\r\n", "WRONGPASS invalid", true},
    {"-READONLY\r\n", "READONLY", true},
    {"-NOPERM no permission\r\n", "NOPERM no permission", false},
    {"-ERR wrong\r\n", "ERR wrong", false},
    {"-READONLYX no such word\r\n", "READONLYX no such word", false},
    {"$8\r\nREADONLY\r\n", "READONLY", false},
};

static void
errors_that_end_the_link(void **state)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        const struct error_case *row = &errors[i];
        const struct fake_reply table[] = {
            {"PING", "+PONG\r\n"}, {"ROLE", LINK_LAB_MASTER}, {"SET", row->line}, {NULL, NULL}};
        struct link_lab *t = *state;
        struct fake_redis *server = fake_redis_new(t->base, table);
        struct link_lab_got got = {0};

        t->ups = t->downs = 0;
        link_lab_come_up(t, server);
        link_lab_send(t, "SET", "key", &got);
        assert_true(link_lab_reaches(t, &got.calls, 1, LINK_LAB_SOON_MS));
        assert_string_equal(got.text, row->text);
        assert_int_equal(t->downs, row->ends);
        assert_int_equal(redis_link_is_up(t->link), !row->ends);
        if (row->ends)
            assert_true(link_lab_reaches(t, &t->ups, 2, LINK_LAB_SOON_MS));
        assert_int_equal(got.calls, 1);
        redis_link_free(t->link);
        t->link = NULL;
        fake_redis_free(server);
    }
}

static void
tries_come_at_growing_distance(void **state)
{
    struct link_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, link_lab_replica);

    link_lab_open(t, server);
    link_lab_turn(t, 2000);
    /* at 0, 50, 150, 350, 750, 1550 ms, give or take a quarter */
    assert_in_range(fake_redis_taken(server), 5, 7);
    fake_redis_free(server);
}

static void
steady_link_is_sought_quickly_again(void **state)
{
    struct link_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, link_lab_replica);
    int64_t cut_ms;

    link_lab_open(t, server);
    link_lab_turn(t, 1000); /* the next distance is 800 ms */
    fake_redis_set(server, link_lab_master);
    assert_true(link_lab_reaches(t, &t->ups, 1, LINK_LAB_SOON_MS));
    clock_fake(LINK_LAB_BOOT_MS + 4000, 0);
    fake_redis_cut(server);
    cut_ms = link_lab_now_ms();
    assert_true(link_lab_reaches(t, &t->ups, 2, LINK_LAB_SOON_MS));
    assert_true(link_lab_now_ms() - cut_ms > 500);
    clock_fake(LINK_LAB_BOOT_MS + 9001, 0);
    fake_redis_cut(server);
    assert_true(link_lab_reaches(t, &t->ups, 3, 300));
    fake_redis_free(server);
}

static void
commands_of_a_lost_link_get_null(void **state)
{
    struct link_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, link_lab_master);
    struct link_lab_got under_way = {0}, dropped = {0}, away = {0};

    link_lab_come_up(t, server);
    link_lab_send(t, "HANG", "x", &under_way);
    link_lab_turn(t, 50);
    fake_redis_cut(server);
    assert_true(link_lab_reaches(t, &t->downs, 1, LINK_LAB_SOON_MS));
    assert_true(link_lab_reaches(t, &under_way.calls, 1, LINK_LAB_SOON_MS));
    assert_true(link_lab_reaches(t, &t->ups, 2, LINK_LAB_SOON_MS));
    link_lab_send(t, "HANG", "x", &dropped);
    redis_link_drop(t->link, "as the test wants");
    assert_string_equal(t->why, "as the test wants");
    assert_int_equal(dropped.calls, 0);
    link_lab_send(t, "GET", "key", &away);
    assert_int_equal(away.calls, 0); /* only from the loop */
    assert_true(link_lab_reaches(t, &away.calls, 1, LINK_LAB_SOON_MS));
    link_lab_turn(t, LINK_LAB_QUIET_MS);
    assert_int_equal(under_way.calls + dropped.calls + away.calls, 3);
    assert_int_equal(under_way.nulls + dropped.nulls + away.nulls, 3);
    fake_redis_free(server);
}

static void
freed_link_is_silent(void **state)
{
    struct link_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, link_lab_master);
    struct link_lab_got got = {0};

    link_lab_come_up(t, server);
    link_lab_send(t, "HANG", "x", &got);
    redis_link_drop(t->link, "as the test wants");
    link_lab_send(t, "GET", "key", &got);
    redis_link_free(t->link);
    t->link = NULL;
    link_lab_turn(t, LINK_LAB_QUIET_MS);
    assert_int_equal(got.calls, 0);
    assert_int_equal(t->downs, 1);
    fake_redis_free(server);
}

static void
server_that_says_nothing_is_left(void **state)
{
    static const struct fake_reply silent[] = {{"", NULL}, {NULL, NULL}};
    struct link_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, silent);

    t->settings.redis.timeout_ms = 100;
    link_lab_open(t, server);
    assert_true(link_lab_reaches(t, &t->downs, 1, LINK_LAB_SOON_MS));
    assert_string_equal(t->why, "no reply in time");
    fake_redis_free(server);
}

static void
second_connection_is_another_one(void **state)
{
    static const struct redis_conn_events second = {.up = link_lab_on_up, .down = link_lab_on_down};
    struct link_lab *t = *state, other = {0};
    struct fake_redis *server = fake_redis_new(t->base, link_lab_master);
    struct redis_conn *conn;

    link_lab_come_up(t, server);
    conn = redis_link_open_second(t->link, &second, &other);
    assert_true(link_lab_reaches(t, &other.ups, 1, LINK_LAB_SOON_MS));
    assert_int_equal(fake_redis_open(server), 2);
    redis_conn_free(conn);
    link_lab_turn(t, 50);
    assert_int_equal(fake_redis_open(server), 1);
    assert_true(redis_link_is_up(t->link));
    fake_redis_free(server);
}

/* --- the password file ------------------------------------------------------------------------ */

static const struct password_case {
    const char *content;
    int repeat;
    const char *sent; /* NULL: refused */
} passwords[] = {
    {"secret\nnot this\n", 1, "AUTH secret"},
    {"secret", 1, "AUTH secret"},
    {"secret\r\n", 1, "AUTH secret"},
    {"", 1, NULL},
    {"\nsecret\n", 1, NULL},
    {"x", 256, "AUTH xxxx"},
    {"x", 512, "AUTH xxxx"},
    {"x", 513, NULL},
};

static void
password_is_the_first_line(void **state)
{
    static const struct fake_reply auth[] = {
        {"AUTH ", "+OK\r\n"}, {"PING", "+PONG\r\n"}, {"ROLE", LINK_LAB_MASTER}, {NULL, NULL}};
    struct link_lab *t = *state;
    char path[] = "/tmp/test_redis_link.XXXXXX", why[256];
    int fd = mkstemp(path);

    assert_true(fd >= 0 && close(fd) == 0);
    t->settings.redis.password_file = path;
    for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++) {
        const struct password_case *row = &passwords[i];
        struct fake_redis *server = fake_redis_new(t->base, auth);
        FILE *file = fopen(path, "w");

        for (int n = 0; n < row->repeat; n++)
            fputs(row->content, file);
        fclose(file);
        t->settings.redis.server = fake_redis_spec(server);
        t->ups = 0;
        t->link = redis_link_new(t->base, &t->settings, &link_lab_events, t, why, sizeof why);
        if (row->sent == NULL) {
            assert_null(t->link);
            assert_non_null(strstr(why, path));
        } else {
            assert_non_null(t->link);
            assert_true(link_lab_reaches(t, &t->ups, 1, LINK_LAB_SOON_MS));
            assert_int_equal(fake_redis_asked(server, row->sent), 1);
            assert_int_equal(fake_redis_asked(server, "AUTH secret\r"), 0);
        }
        redis_link_free(t->link);
        t->link = NULL;
        fake_redis_free(server);
    }
    unlink(path);
}

static void
password_file_must_be_a_file(void **state)
{
    static char server[] = "inet:1@127.0.0.1", missing[] = "/nonexistent/password",
                null[] = "/dev/null";
    struct link_lab *t = *state;
    char why[256];

    t->settings.redis.server = server;

    t->settings.redis.password_file = missing;
    assert_null(redis_link_new(t->base, &t->settings, &link_lab_events, t, why, sizeof why));
    assert_non_null(strstr(why, "/nonexistent/password: No such file"));
    t->settings.redis.password_file = null;
    assert_null(redis_link_new(t->base, &t->settings, &link_lab_events, t, why, sizeof why));
    assert_non_null(strstr(why, "/dev/null: not a regular file"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, link_lab_begin, link_lab_end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(is_up_after_ping_and_role),        TEST(replica_is_refused_until_it_is_master),
        TEST(loading_server_is_waited_for),     TEST(errors_that_end_the_link),
        TEST(tries_come_at_growing_distance),   TEST(steady_link_is_sought_quickly_again),
        TEST(commands_of_a_lost_link_get_null), TEST(freed_link_is_silent),
        TEST(server_that_says_nothing_is_left), TEST(second_connection_is_another_one),
        TEST(password_is_the_first_line),       TEST(password_file_must_be_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
