/* Clients that mean no good, on socket pairs, with a fake query engine and a clock that the test
 * turns: slow ones, ones that never read, and many of them at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cached/conn.h"
#include "cached/settings.h"
#include "cached/turn.h"
#include "common/policy.h"
#include "common/proto.h"
#include "tests/fake/fake_query.h"

enum { CLIENTS = 300, HOSTS = 3000, QUESTIONS = 200 };

static const char question[] = "14:postfix a.test,";
static time_t passed_s; /* on libevent's clock */

/* Stands in for libc's, for libevent, too: timers of half a minute cost no time. */
int
clock_gettime(clockid_t id, struct timespec *now)
{
    long status = syscall(SYS_clock_gettime, id, now);

    if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE)
        now->tv_sec += passed_s;
    return (int)status;
}

struct client {
    struct desk *desk;
    struct conn *conn; /* NULL: it has been closed */
    int fd;
};

struct desk {
    struct query_engine engine;
    struct settings settings;
    struct stats stats;
    struct conn_service service;
    struct buf reply;
    struct client clients[CLIENTS];
    size_t count, closed;
};

static void
on_closed(struct conn *conn, void *arg)
{
    struct desk *d = arg;

    d->closed++;
    for (size_t i = 0; i < d->count; i++) {
        if (d->clients[i].conn == conn)
            d->clients[i].conn = NULL;
    }
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
    buf_init(&d->reply, PROTO_REPLY_MAX);
    *state = d;
    return 0;
}

static int
tear_down(void **state)
{
    struct desk *d = *state;

    for (size_t i = 0; i < d->count; i++) {
        if (d->clients[i].conn != NULL)
            conn_close(d->clients[i].conn);
        close(d->clients[i].fd);
    }
    assert_int_equal(d->stats.unread_bytes, 0);
    turn_free(d->service.turn);
    event_base_free(d->service.base);
    fake_query_done(&d->engine);
    buf_done(&d->reply);
    free(d);
    return 0;
}

/* Socket buffers as small as the kernel lets them be: what is not read is soon ours to keep. */
static struct client *
add_client(struct desk *d, enum conn_kind kind)
{
    struct client *c = &d->clients[d->count++];
    int ends[2], small = 1;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    c->fd = ends[0];
    c->conn = conn_new(&d->service, ends[1], kind);
    d->stats.connections_open = d->count;
    return c;
}

static void
turn(struct desk *d)
{
    for (int i = 0; i < 4; i++)
        event_base_loop(d->service.base, EVLOOP_NONBLOCK);
}

static void
pass(struct desk *d, time_t seconds)
{
    passed_s += seconds;
    turn(d);
}

static void
say(struct desk *d, struct client *c, const char *bytes, size_t len)
{
    assert_int_equal(send(c->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
    turn(d);
}

static void
ask(struct desk *d, struct client *c, size_t times)
{
    for (size_t i = 0; i < times && c->conn != NULL; i++) {
        if (send(c->fd, question, sizeof question - 1, MSG_NOSIGNAL) < 0)
            break; /* nothing more is taken from it */
    }
    turn(d);
}

static ssize_t
hear(struct client *c)
{
    char bytes[65536];

    return recv(c->fd, bytes, sizeof bytes, 0);
}

/* --- slow clients --------------------------------------------------------------------------- */

static void
test_an_idle_client_may_stay(void **state)
{
    struct desk *d = *state;
    struct client *c = add_client(d, CONN_QUERY);

    ask(d, c, 1);
    pass(d, 24 * 3600);
    assert_non_null(c->conn);
}

static void
test_half_a_question_is_waited_for_half_a_minute(void **state)
{
    struct desk *d = *state;
    struct client *c = add_client(d, CONN_QUERY);

    say(d, c, question, 5);
    pass(d, CONN_STALL_S - 1);
    assert_non_null(c->conn);
    pass(d, 2);
    assert_null(c->conn);
    assert_int_equal(d->stats.connections_stalled, 1);
}

/* A byte now and then would keep its place for a day. */
static void
test_a_question_byte_by_byte_gets_no_longer(void **state)
{
    struct desk *d = *state;
    struct client *c = add_client(d, CONN_QUERY);

    for (size_t i = 0; i < 5; i++) {
        assert_non_null(c->conn);
        say(d, c, question + i, 1);
        pass(d, CONN_STALL_S / 4);
    }
    assert_null(c->conn);
}

static void
test_every_question_has_its_own_half_minute(void **state)
{
    struct desk *d = *state;
    struct client *c = add_client(d, CONN_QUERY);

    for (int i = 0; i < 5; i++) {
        say(d, c, question, 5);
        pass(d, CONN_STALL_S - 2);
        say(d, c, question + 5, sizeof question - 1 - 5);
        assert_non_null(c->conn);
        assert_true(hear(c) > 0);
    }
}

/* --- clients that do not read -------------------------------------------------------------- */

static void
test_unread_answers_are_waited_for_half_a_minute(void **state)
{
    struct desk *d = *state;
    struct client *c = add_client(d, CONN_QUERY);

    fake_query_judge_by_long_list(&d->engine, HOSTS);
    ask(d, c, 1);
    assert_true(d->stats.unread_bytes > 0);
    pass(d, CONN_STALL_S - 1);
    assert_non_null(c->conn);
    pass(d, 2);
    assert_null(c->conn);
}

static void
test_asking_more_is_no_reading(void **state)
{
    struct desk *d = *state;
    struct client *c = add_client(d, CONN_QUERY);

    fake_query_judge_by_long_list(&d->engine, HOSTS);
    ask(d, c, 1);
    for (int i = 0; i < 5 && c->conn != NULL; i++) {
        say(d, c, question, sizeof question - 1);
        pass(d, CONN_STALL_S / 4);
    }
    assert_null(c->conn);
}

static void
test_who_reads_slowly_may_stay(void **state)
{
    struct desk *d = *state;
    struct client *c = add_client(d, CONN_QUERY);

    fake_query_judge_by_long_list(&d->engine, HOSTS);
    ask(d, c, 10);
    while (d->stats.unread_bytes > 0) {
        assert_true(hear(c) > 0);
        pass(d, CONN_STALL_S - 2);
        assert_non_null(c->conn);
    }
}

static void
test_a_giant_pipeline_costs_no_more_than_the_limit(void **state)
{
    struct desk *d = *state;
    struct client *c = add_client(d, CONN_QUERY);

    fake_query_judge_by_long_list(&d->engine, HOSTS);
    ask(d, c, QUESTIONS);
    assert_true(d->stats.unread_bytes >= CONN_OUT_HIGH);
    assert_true(d->stats.unread_bytes < CONN_OUT_HIGH + 100 * 1024);
}

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t
allocated(void)
{
    struct mallinfo2 info;

    if (__sanitizer_get_current_allocated_bytes != NULL)
        return __sanitizer_get_current_allocated_bytes();
    info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Thousands of clients could do so, one after the other, and then stay. */
static void
test_an_idle_client_keeps_no_room(void **state)
{
    struct desk *d = *state;
    struct client *c = add_client(d, CONN_QUERY);
    size_t before;

    fake_query_judge_by_long_list(&d->engine, HOSTS);
    ask(d, c, 0);
    (void)buf_room(&d->reply, PROTO_REPLY_MAX); /* one for all clients */
    before = allocated();
    ask(d, c, QUESTIONS);
    if (allocated() == before)
        return; /* under valgrind, whose allocator tells nothing */
    assert_true(allocated() > before + CONN_OUT_HIGH);
    while (hear(c) > 0)
        turn(d);
    assert_true(conn_is_idle(c->conn));
    assert_true(allocated() < before + 16 * 1024);
}

/* Answers that wait for an earlier one are unread, too. */
static void
test_answers_that_wait_count_as_unread(void **state)
{
    struct desk *d = *state;
    struct client *c = add_client(d, CONN_QUERY);

    fake_query_judge_by_long_list(&d->engine, HOSTS);
    d->engine.later = true;
    ask(d, c, 1);
    d->engine.later = false;
    ask(d, c, QUESTIONS);
    assert_true(d->stats.unread_bytes >= CONN_OUT_HIGH);
    assert_true(d->stats.unread_bytes < CONN_OUT_HIGH + 100 * 1024);
    d->engine.later = true;
    fake_query_answer(&d->engine);
    turn(d);
    while (hear(c) > 0)
        turn(d);
    assert_non_null(c->conn);
}

/* Each of them is within its own limit; all together they would take gigabytes. */
static void
test_all_who_do_not_read_share_one_limit(void **state)
{
    struct desk *d = *state;
    struct client *reader = add_client(d, CONN_QUERY), *c;

    fake_query_judge_by_long_list(&d->engine, HOSTS);
    ask(d, reader, 1);
    while (d->count < CLIENTS) {
        c = add_client(d, CONN_QUERY);
        ask(d, c, QUESTIONS);
        assert_true(d->stats.unread_bytes <= CONN_UNREAD_MAX + CONN_OUT_HIGH + 100 * 1024);
        while (hear(reader) > 0)
            turn(d);
    }
    assert_true(d->closed > CLIENTS / 8 && d->closed < CLIENTS);
    assert_int_equal(d->stats.connections_stalled, d->closed);
    assert_non_null(reader->conn); /* who reads is served meanwhile */
    ask(d, reader, 1);
    assert_true(hear(reader) > 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_idle_client_may_stay),
        TEST(test_half_a_question_is_waited_for_half_a_minute),
        TEST(test_a_question_byte_by_byte_gets_no_longer),
        TEST(test_every_question_has_its_own_half_minute),
        TEST(test_unread_answers_are_waited_for_half_a_minute),
        TEST(test_asking_more_is_no_reading),
        TEST(test_who_reads_slowly_may_stay),
        TEST(test_a_giant_pipeline_costs_no_more_than_the_limit),
        TEST(test_an_idle_client_keeps_no_room),
        TEST(test_answers_that_wait_count_as_unread),
        TEST(test_all_who_do_not_read_share_one_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
