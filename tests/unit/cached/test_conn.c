/* One client on a socket pair, with a fake query engine behind the connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cached/conn.h"
#include "cached/settings.h"
#include "cached/turn.h"
#include "common/proto.h"
#include "tests/fake/fake_query.h"

enum { MANY = 100, HOSTS = 3000 };

struct desk {
    struct query_engine engine;
    struct settings settings;
    struct stats stats;
    struct conn_service service;
    struct buf reply;
    struct conn *conn; /* NULL: it has closed itself */
    int client;
    struct buf got;
};

static void
on_closed(struct conn *conn, void *arg)
{
    struct desk *d = arg;

    assert_ptr_equal(conn, d->conn);
    d->conn = NULL;
}

static void
on_active(struct conn *conn, void *arg)
{
    (void)conn, (void)arg;
}

static int
set_up(void **state)
{
    struct desk *d = alloc_zero(1, sizeof *d);
    int ends[2], room = CONN_OUT_HIGH * 4;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    /* Room for all that a connection holds back, so that one write can empty it. */
    assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    d->client = ends[0];
    d->engine.judgement = (struct judgement){
        .verdict = VERDICT_NONE, .reason = STS_NO_RECORD, .domain = "a.test", .detail = ""};
    d->service = (struct conn_service){.base = event_base_new(),
                                       .engine = &d->engine,
                                       .stats = &d->stats,
                                       .settings = &d->settings,
                                       .reply = &d->reply,
                                       .on_closed = on_closed,
                                       .on_active = on_active,
                                       .arg = d};
    d->service.turn = turn_new(d->service.base);
    buf_init(&d->got, 64 << 20);
    buf_init(&d->reply, PROTO_REPLY_MAX);
    d->conn = conn_new(&d->service, ends[1], CONN_QUERY);
    *state = d;
    return 0;
}

static int
tear_down(void **state)
{
    struct desk *d = *state;

    if (d->conn != NULL)
        conn_close(d->conn);
    turn_free(d->service.turn);
    event_base_free(d->service.base);
    buf_done(&d->got);
    buf_done(&d->reply);
    fake_query_done(&d->engine);
    if (d->client >= 0)
        close(d->client);
    free(d);
    return 0;
}

static void
turn(struct desk *d)
{
    event_base_loop(d->service.base, EVLOOP_NONBLOCK);
}

static void
send_text(struct desk *d, const char *bytes)
{
    assert_int_equal(send(d->client, bytes, strlen(bytes), 0), (ssize_t)strlen(bytes));
}

/* Lets both sides work until nothing more happens. */
static void
converse(struct desk *d)
{
    char bytes[65536];
    ssize_t n = 0;

    for (int idle = 0; idle<3; idle = n> 0 ? 0 : idle + 1) {
        turn(d);
        n = recv(d->client, bytes, sizeof bytes, 0);
        if (n > 0)
            buf_add(&d->got, bytes, (size_t)n);
    }
}

static size_t
count_frames(const struct buf *b)
{
    struct span payload;
    size_t used, at = 0, count = 0;

    for (; proto_decode(b->data + at, b->len - at, PROTO_REPLY_MAX, &payload, &used) == PROTO_FRAME;
         at += used)
        count++;
    assert_int_equal(at, b->len);
    return count;
}

/* Postfix' names want the MX set while DANE is on; a reload changes it. */
static void
test_dane_wants_the_mx_set(void **state)
{
    struct desk *d = *state;

    send_text(d, "14:postfix a.test,");
    converse(d);
    assert_false(d->engine.asked.want_mx);
    d->settings.dane = true;
    send_text(d, "14:postfix a.test,");
    converse(d);
    assert_true(d->engine.asked.want_mx);
    send_text(d, "10:sts a.test,");
    converse(d);
    assert_false(d->engine.asked.want_mx);
}

/* The MTAs look at certificates themselves. */
static void
test_only_the_verdict_map_waits_for_probes(void **state)
{
    struct desk *d = *state;

    d->settings.dane = true; /* with the MX set, too */
    send_text(d, "14:postfix a.test,");
    converse(d);
    assert_true(d->engine.asked.want_mx);
    assert_false(d->engine.asked.want_probe);
    send_text(d, "14:verdict a.test,");
    converse(d);
    assert_true(d->engine.asked.want_mx && d->engine.asked.want_probe);
}

static void
test_every_long_answer_comes(void **state)
{
    struct desk *d = *state;

    fake_query_judge_by_long_list(&d->engine, HOSTS);
    for (int i = 0; i < MANY; i++)
        send_text(d, "14:postfix a.test,");
    converse(d);
    assert_int_equal(count_frames(&d->got), MANY);
    assert_non_null(d->conn);
}

static void
test_every_long_answer_comes_after_a_half_close(void **state)
{
    struct desk *d = *state;

    fake_query_judge_by_long_list(&d->engine, HOSTS);
    for (int i = 0; i < MANY; i++)
        send_text(d, "14:postfix a.test,");
    shutdown(d->client, SHUT_WR);
    converse(d);
    assert_int_equal(count_frames(&d->got), MANY);
    assert_null(d->conn);
}

static void
test_drain_answers_what_was_sent(void **state)
{
    struct desk *d = *state;

    send_text(d, "14:postfix a.test,14:postfix b.test,");
    conn_drain(d->conn);
    converse(d);
    assert_string_equal(buf_string(&d->got), "9:NOTFOUND ,9:NOTFOUND ,");
    assert_null(d->conn);
}

static void
test_drain_waits_for_an_answer(void **state)
{
    struct desk *d = *state;

    d->engine.later = true;
    send_text(d, "14:postfix a.test,");
    turn(d);
    conn_drain(d->conn);
    converse(d);
    assert_non_null(d->conn);
    fake_query_answer(&d->engine);
    converse(d);
    assert_string_equal(buf_string(&d->got), "9:NOTFOUND ,");
    assert_null(d->conn);
}

static void
test_drain_ends_an_idle_connection(void **state)
{
    struct desk *d = *state;

    conn_drain(d->conn);
    turn(d);
    assert_null(d->conn);
}

static void
test_a_client_that_vanishes_leaves_no_question(void **state)
{
    struct desk *d = *state;

    d->engine.later = true;
    send_text(d, "14:postfix a.test,");
    turn(d);
    assert_non_null(d->engine.done);
    conn_close(d->conn);
    assert_null(d->engine.done);
}

static void
test_a_bad_frame_ends_its_connection(void **state)
{
    struct desk *d = *state;

    send_text(d, "014:postfix a.test,");
    turn(d);
    assert_null(d->conn);
    assert_int_equal(d->stats.bad_frames, 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_dane_wants_the_mx_set),
        TEST(test_only_the_verdict_map_waits_for_probes),
        TEST(test_every_long_answer_comes),
        TEST(test_every_long_answer_comes_after_a_half_close),
        TEST(test_drain_answers_what_was_sent),
        TEST(test_drain_waits_for_an_answer),
        TEST(test_drain_ends_an_idle_connection),
        TEST(test_a_client_that_vanishes_leaves_no_question),
        TEST(test_a_bad_frame_ends_its_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
