/* One connection: what a server may do to it, and what its owner may do from within a callback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cached/conn_lab.h"

static const struct fake_reply table[] = {{"GET key", "$5\r\nvalue\r\n"},
                                          {"AUTH right", "+OK\r\n"},
                                          {"AUTH me right", "+OK\r\n"},
                                          {"AUTH", "-WRONGPASS no \x1b[2J such\tpair\r\n"},
                                          {"SELECT 3", "+OK\r\n"},
                                          {"HANG", NULL},
                                          {NULL, NULL}};

/* --- connecting ------------------------------------------------------------------------------- */

static void
greets_in_order(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    t->options.username = "me";
    t->options.password = "right";
    t->options.database = 3;
    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    assert_int_equal(fake_redis_asked(server, "AUTH me right"), 1);
    assert_int_equal(fake_redis_asked(server, "SELECT 3"), 1);
    conn_lab_send(t, "GET", "key");
    assert_true(conn_lab_reaches(t, &t->replies, 1));
    assert_string_equal(t->text, "value");
    fake_redis_free(server);
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_string_equal(t->why, "closed by the server");
}

static void
wrong_password_is_told(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    t->options.password = "wrong";
    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_non_null(strstr(t->why, "WRONGPASS no"));
    for (const char *at = t->why; *at != '\0'; at++)
        assert_in_range(*at, ' ', '~');
    assert_int_equal(t->ups, 0);
    fake_redis_free(server);
}

static void
wrong_database_is_told(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    t->options.password = "right";
    t->options.database = 99;
    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_int_equal(t->ups, 0);
    fake_redis_free(server);
}

static void
refused_connection_is_told_later(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);
    char why[128];

    assert_true(sockspec_parse(fake_redis_spec(server), &t->options.address, why, sizeof why));
    fake_redis_free(server);
    conn_lab_open(t);
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_string_equal(t->why, "Connection refused");
}

static void
missing_socket_is_told_later(void **state)
{
    struct conn_lab *t = *state;
    char why[128];

    assert_true(sockspec_parse("unix:/nonexistent/redis", &t->options.address, why, sizeof why));
    conn_lab_open(t);
    conn_lab_send(t, "GET", "key"); /* not up */
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_string_equal(t->why, "No such file or directory");
    assert_int_equal(t->replies, 1);
    assert_int_equal(t->nulls, 1);
}

static void
silent_server_costs_the_time_out(void **state)
{
    struct conn_lab *t = *state;
    int64_t began_ms = conn_lab_now_ms();

    conn_lab_serve(t, (struct conn_lab_script){.deaf = true});
    t->options.password = "x";
    conn_lab_open(t);
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_int_equal(t->ups, 0);
    assert_in_range(conn_lab_now_ms() - began_ms, 200, 2000);
}

/* --- commands --------------------------------------------------------------------------------- */

static void
thousand_replies_come_in_order(void **state)
{
    struct conn_lab *t = *state;
    char *all = alloc_bytes(20000), *end = all;

    for (int i = 1; i <= 1000; i++)
        end += sprintf(end, ":%d\r\n", i);
    conn_lab_serve(t, (struct conn_lab_script){.bytes = all});
    conn_lab_open(t);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    for (int i = 0; i < 1000; i++)
        conn_lab_send(t, "INCR", "key");
    assert_true(conn_lab_reaches(t, &t->replies, 1000));
    assert_int_equal(t->order, 1000);
    assert_int_equal(t->downs, 0);
    free(all);
}

static void
what_is_too_much_is_refused(void **state)
{
    struct conn_lab *t = *state;

    t->options.timeout_ms = CONN_LAB_SOON_MS;
    conn_lab_serve(t, (struct conn_lab_script){.deaf = true});
    conn_lab_open(t);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    for (int i = 0; i < REDIS_CONN_PENDING_MAX + 10; i++)
        conn_lab_send(t, "PING", NULL);
    assert_true(conn_lab_reaches(t, &t->replies, 10));
    conn_lab_turn(t, 20);
    assert_int_equal(t->nulls, 10);
    assert_int_equal(t->downs, 0);
}

static void
unsent_bytes_are_bounded(void **state)
{
    struct conn_lab *t = *state;
    char *large = alloc_bytes(1024 * 1024 + 1);
    int sent = 0;

    memset(large, 'x', 1024 * 1024);
    large[1024 * 1024] = '\0';
    t->options.timeout_ms = CONN_LAB_SOON_MS;
    conn_lab_serve(t, (struct conn_lab_script){.deaf = true});
    conn_lab_open(t);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    for (; sent < 60; sent++)
        conn_lab_send(t, "SET", large);
    conn_lab_turn(t, 20);
    assert_in_range(t->nulls, 60 - REDIS_CONN_UNSENT_MAX / 1024 / 1024 - 5, 60);
    free(large);
}

static void
late_reply_ends_it(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);
    int64_t began_ms;

    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    began_ms = conn_lab_now_ms();
    conn_lab_send(t, "GET", "key");
    conn_lab_send(t, "HANG", NULL);
    conn_lab_send(t, "GET", "key");
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_in_range(conn_lab_now_ms() - began_ms, CONN_LAB_LATE_MS - 5, CONN_LAB_LATE_MS + 1500);
    assert_int_equal(t->replies, 3);
    assert_int_equal(t->nulls, 1);          /* the third's reply was taken for the second's */
    assert_int_equal(t->downs_at_reply, 0); /* the commands first */
    fake_redis_free(server);
}

/* Others go on asking: what they write is no sign of life from the server. */
static void
busy_client_notices_a_hung_server(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);
    int64_t began_ms;

    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    began_ms = conn_lab_now_ms();
    while (t->downs == 0 && conn_lab_now_ms() - began_ms < 3000) {
        conn_lab_send(t, "HANG", NULL);
        conn_lab_turn(t, CONN_LAB_LATE_MS / 5);
    }
    assert_int_equal(t->downs, 1);
    assert_in_range(conn_lab_now_ms() - began_ms, CONN_LAB_LATE_MS - 5, CONN_LAB_LATE_MS + 1500);
    fake_redis_free(server);
}

static void
command_may_bring_its_own_time(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);
    int64_t began_ms;

    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    began_ms = conn_lab_now_ms();
    conn_lab_send_for(t, "HANG", 600);
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_in_range(conn_lab_now_ms() - began_ms, 595, 2500);
    fake_redis_free(server);
}

static void
idle_connection_stays(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    conn_lab_send(t, "GET", "key");
    conn_lab_turn(t, 3 * CONN_LAB_LATE_MS);
    assert_int_equal(t->downs, 0);
    assert_int_equal(t->nulls, 0);
    fake_redis_free(server);
}

/* --- what servers send ------------------------------------------------------------------------ */

struct hostile {
    const char *bytes;
    bool at_once, then_close, byte_by_byte;
    int replies, nulls; /* of two commands */
};

static void
every_bad_end_is_one(void **state)
{
    static const struct hostile rows[] = {
        {"+OK\r\n$5\r\nval", .then_close = true, .replies = 2, .nulls = 1},
        {"+OK\r\n+OK\r\n+OK\r\n", .replies = 2},
        {"+OK\r\n*2000000000\r\n", .replies = 2, .nulls = 2},
        {"$200000\r\n", .replies = 2, .nulls = 2},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", .replies = 2, .nulls = 2},
        {"%1\r\n+a\r\n+b\r\n", .replies = 2, .nulls = 2},
        {"-ERR max number of clients reached\r\n", .at_once = true, .then_close = true},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", .replies = 2, .nulls = 2},
        {"$9000\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         .replies = 2, .nulls = 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct conn_lab *t;
        void *own;

        conn_lab_begin(&own);
        t = own;
        conn_lab_serve(t, (struct conn_lab_script){.bytes = rows[i].bytes,
                                                   .at_once = rows[i].at_once,
                                                   .then_close = rows[i].then_close});
        conn_lab_open(t);
        if (!rows[i].at_once) {
            assert_true(conn_lab_reaches(t, &t->ups, 1));
            conn_lab_send(t, "GET", "a");
            conn_lab_send(t, "GET", "b");
        }
        if (!conn_lab_reaches(t, &t->downs, 1) || t->replies != rows[i].replies)
            fail_msg("row %zu: %d downs, %d replies", i, t->downs, t->replies);
        if (rows[i].nulls > 0 ? t->nulls == 0 : t->nulls > 0)
            fail_msg("row %zu: %d replies of NULL", i, t->nulls);
        conn_lab_end(&own);
    }
}

static void
reply_may_come_byte_by_byte(void **state)
{
    struct conn_lab *t = *state;

    t->options.timeout_ms = 5000;
    conn_lab_serve(
        t, (struct conn_lab_script){.bytes = "*3\r\n$7\r\nmessage\r\n:1\r\n$-1\r\n$2\r\nok\r\n",
                                    .byte_by_byte = true});
    conn_lab_open(t);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    conn_lab_send(t, "GET", "a");
    conn_lab_send(t, "GET", "b");
    t->script.at_once = true; /* from now on a byte a turn */
    assert_true(conn_lab_reaches(t, &t->replies, 2));
    assert_string_equal(t->text, "ok");
    assert_int_equal(t->messages, 0); /* nothing was subscribed to: an array like any other */
}

static void
published_messages_come(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    redis_conn_subscribe(t->conn, "news");
    conn_lab_send(t, "GET", "key");
    assert_true(conn_lab_reaches(t, &t->replies, 1));
    fake_redis_publish(server, "news", "one");
    fake_redis_publish(server, "news", "two");
    assert_true(conn_lab_reaches(t, &t->messages, 2));
    assert_string_equal(t->text, "two");
    assert_int_equal(t->replies, 1);
    assert_int_equal(t->downs, 0);
    fake_redis_free(server);
}

/* --- freed within ----------------------------------------------------------------------------- */

static void
freed_in_up(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    t->frees_in_up = true;
    t->options.password = "right";
    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    conn_lab_turn(t, 50);
    assert_int_equal(t->downs, 0);
    assert_int_equal(fake_redis_open(server), 0);
    fake_redis_free(server);
}

static void
freed_in_down(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    t->frees_in_down = true;
    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    conn_lab_send(t, "HANG", NULL);
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    conn_lab_turn(t, 50);
    assert_int_equal(t->nulls, 1);
    fake_redis_free(server);
}

static void
freed_in_a_message(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    t->frees_in_message = true;
    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    redis_conn_subscribe(t->conn, "news");
    conn_lab_send(t, "GET", "key");
    assert_true(conn_lab_reaches(t, &t->replies, 1));
    fake_redis_publish(server, "news", "one");
    fake_redis_publish(server, "news", "two");
    assert_true(conn_lab_reaches(t, &t->messages, 1));
    conn_lab_turn(t, 50);
    assert_int_equal(t->messages, 1);
    assert_string_equal(t->text, "one");
    fake_redis_free(server);
}

static void
freed_in_a_reply(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    t->frees_in_reply = true;
    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    for (int i = 0; i < 10; i++)
        conn_lab_send(t, "GET", "key");
    assert_true(conn_lab_reaches(t, &t->replies, 1));
    conn_lab_turn(t, 50);
    assert_int_equal(t->replies, 1);
    assert_string_equal(t->text, "value");
    fake_redis_free(server);
}

static void
freed_in_a_reply_that_is_lost(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    t->frees_in_reply = true;
    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    for (int i = 0; i < 10; i++)
        conn_lab_send(t, "HANG", NULL);
    assert_true(conn_lab_reaches(t, &t->replies, 1));
    conn_lab_turn(t, 50);
    assert_int_equal(t->replies, 1);
    assert_int_equal(t->downs, 0);
    fake_redis_free(server);
}

static void
asking_again_at_the_end_stops_nothing(void **state)
{
    struct conn_lab *t = *state;
    struct fake_redis *server = fake_redis_new(t->base, table);

    conn_lab_open_to(t, server);
    assert_true(conn_lab_reaches(t, &t->ups, 1));
    conn_lab_send(t, "HANG", NULL);
    t->sends_in_reply = true;
    assert_true(conn_lab_reaches(t, &t->downs, 1));
    assert_true(t->nulls > 0);
    fake_redis_free(server);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, conn_lab_begin, conn_lab_end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(greets_in_order),
        STORY(wrong_password_is_told),
        STORY(wrong_database_is_told),
        STORY(refused_connection_is_told_later),
        STORY(missing_socket_is_told_later),
        STORY(silent_server_costs_the_time_out),
        STORY(thousand_replies_come_in_order),
        STORY(what_is_too_much_is_refused),
        STORY(unsent_bytes_are_bounded),
        STORY(late_reply_ends_it),
        STORY(busy_client_notices_a_hung_server),
        STORY(command_may_bring_its_own_time),
        STORY(idle_connection_stays),
        cmocka_unit_test(every_bad_end_is_one),
        STORY(reply_may_come_byte_by_byte),
        STORY(published_messages_come),
        STORY(freed_in_up),
        STORY(freed_in_down),
        STORY(freed_in_a_message),
        STORY(freed_in_a_reply),
        STORY(freed_in_a_reply_that_is_lost),
        STORY(asking_again_at_the_end_stops_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
