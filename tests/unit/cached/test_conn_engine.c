/* One client at the other end of a socket pair, against the real query engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cached/conn.h"
#include "cached/turn.h"
#include "common/buf.h"
#include "common/log.h"
#include "common/proto.h"
#include "tests/fake/query_lab.h"

enum { ROUNDS = 10, MANY = 3 * CONN_PIPELINE_MAX };

struct desk {
    struct lab *lab;
    struct control control;
    struct conn_service service;
    struct buf reply;
    struct conn *conn; /* NULL once it has ended */
    int client;
    unsigned asked;
    char heard[256 * 1024];
    size_t heard_len;
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
    struct desk *d = arg;

    (void)conn;
    d->asked++;
}

static struct desk *
open_desk(enum conn_kind kind)
{
    struct desk *d = calloc(1, sizeof *d);
    int pair[2];

    d->lab = lab_new();
    d->control = (struct control){.base = d->lab->base,
                                  .engine = d->lab->engine,
                                  .cache = d->lab->cache,
                                  .stats = &d->lab->stats};
    d->service = (struct conn_service){.base = d->lab->base,
                                       .engine = d->lab->engine,
                                       .control = &d->control,
                                       .stats = &d->lab->stats,
                                       .settings = &d->lab->settings,
                                       .reply = &d->reply,
                                       .on_closed = on_closed,
                                       .on_active = on_active,
                                       .arg = d};
    d->service.turn = turn_new(d->service.base);
    buf_init(&d->reply, PROTO_REPLY_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    d->client = pair[0];
    d->conn = conn_new(&d->service, pair[1], kind);
    return d;
}

static int
set_up(void **state)
{
    *state = open_desk(CONN_QUERY);
    return 0;
}

static int
tear_down(void **state)
{
    struct desk *d = *state;

    if (d->conn != NULL)
        conn_close(d->conn);
    control_done(&d->control);
    turn_free(d->service.turn);
    lab_free(d->lab);
    buf_done(&d->reply);
    if (d->client >= 0)
        close(d->client);
    free(d);
    return 0;
}

static void
send_bytes(struct desk *d, const char *bytes, size_t len)
{
    assert_int_equal(send(d->client, bytes, len, MSG_NOSIGNAL), len);
}

static void
send_frame(struct desk *d, const char *payload)
{
    char frame[300];
    int len = snprintf(frame, sizeof frame, "%zu:%s,", strlen(payload), payload);

    send_bytes(d, frame, (size_t)len);
}

/* Lets both sides work; appends what the client gets. True: the daemon has hung up. */
static bool
listen_on(struct desk *d)
{
    ssize_t n = -1;

    for (int i = 0; i < ROUNDS; i++) {
        event_base_loop(d->lab->base, EVLOOP_NONBLOCK);
        while ((n = recv(d->client, d->heard + d->heard_len, sizeof d->heard - d->heard_len - 1,
                         0)) > 0)
            d->heard_len += (size_t)n;
    }
    d->heard[d->heard_len] = '\0';
    return n == 0;
}

/* Wants exactly these bytes since the last call, and no hang-up. */
static void
assert_heard(struct desk *d, const char *wanted)
{
    assert_false(listen_on(d));
    assert_string_equal(d->heard, wanted);
    d->heard_len = 0;
}

static void
no_record_for(struct desk *d, const char *domain)
{
    static const struct txt_result none = {.error = STS_NO_RECORD};

    fake_source_end_txt(&d->lab->source, domain, &none);
}

/* --- query sockets ------------------------------------------------------------ */

static void
answers_come_in_the_order_of_the_questions(void **state)
{
    struct desk *d = *state;

    send_frame(d, "sts a.test");
    send_frame(d, "stsmx b.test/mx.test");
    send_frame(d, "dunno c.test");
    assert_heard(d, "");
    no_record_for(d, "b.test");
    assert_heard(d, "");
    assert_false(conn_is_idle(d->conn));
    no_record_for(d, "a.test");
    assert_heard(d, "9:NOTFOUND ,5:OK ok,16:TEMP unknown map,");
    assert_true(conn_is_idle(d->conn));
}

static void
a_frame_may_come_byte_by_byte(void **state)
{
    static const char bytes[] = "16:sts [192.0.2.77],16:sts [192.0.2.77],";
    struct desk *d = *state;

    for (size_t i = 0; i + 1 < sizeof bytes; i++) {
        send_bytes(d, bytes + i, 1);
        assert_false(listen_on(d));
    }
    assert_heard(d, "9:NOTFOUND ,9:NOTFOUND ,");
    assert_int_equal(d->asked, 2);
}

static void
more_questions_than_are_taken_at_once(void **state)
{
    static const char frame[] = "10:sts a.test,";
    struct desk *d = *state;
    char bytes[MANY * (sizeof frame - 1)];

    for (size_t i = 0; i < MANY; i++)
        memcpy(bytes + i * (sizeof frame - 1), frame, sizeof frame - 1);
    send_bytes(d, bytes, sizeof bytes);
    assert_heard(d, "");
    no_record_for(d, "a.test");
    assert_false(listen_on(d));
    assert_int_equal(d->heard_len, MANY * strlen("9:NOTFOUND ,"));
    assert_int_equal(d->lab->source.txt_started, 1);
}

/* Each for a domain of its own, sent before the first answer: work for so many and no more. */
static void
no_more_than_the_limit_is_under_way(void **state)
{
    struct desk *d = *state;
    struct buf frames;

    buf_init(&frames, 64 * MANY);
    for (int i = 0; i < MANY; i++)
        buf_printf(&frames, "13:sts d%03d.test,", i);
    send_bytes(d, frames.data, frames.len);
    buf_done(&frames);
    assert_heard(d, "");
    assert_int_equal(d->lab->source.txt_started, CONN_PIPELINE_MAX);
    no_record_for(d, "d001.test"); /* not the first: its answer waits */
    assert_heard(d, "");
    assert_int_equal(d->lab->source.txt_started, CONN_PIPELINE_MAX);
    no_record_for(d, "d000.test");
    assert_heard(d, "9:NOTFOUND ,9:NOTFOUND ,");
    assert_int_equal(d->lab->source.txt_started, CONN_PIPELINE_MAX + 2);
}

static void
a_half_close_still_gets_its_answers(void **state)
{
    struct desk *d = *state;

    send_frame(d, "sts a.test");
    send_frame(d, "sts [192.0.2.1]");
    assert_int_equal(shutdown(d->client, SHUT_WR), 0);
    assert_heard(d, "");
    no_record_for(d, "a.test");
    assert_true(listen_on(d));
    assert_string_equal(d->heard, "9:NOTFOUND ,9:NOTFOUND ,");
    assert_null(d->conn);
}

static void
who_hangs_up_is_forgotten(void **state)
{
    struct desk *d = *state;

    send_frame(d, "sts a.test");
    assert_heard(d, "");
    conn_close(d->conn);
    assert_null(d->conn);
    no_record_for(d, "a.test"); /* the work goes on, and calls nobody */
    assert_true(listen_on(d));
}

static const char *const bad_frames[] = {"010:sts a.test,", "10001:sts a", "x",    ":",
                                         "10:sts a.test;",  "-1:a,",       " 1:a,"};

static void
a_bad_frame_ends_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_frames / sizeof *bad_frames; i++) {
        struct desk *d = open_desk(CONN_QUERY);
        void *own = d;

        print_message("%s\n", bad_frames[i]);
        send_frame(d, "sts [192.0.2.1]");
        send_bytes(d, bad_frames[i], strlen(bad_frames[i]));
        assert_true(listen_on(d));
        assert_string_equal(d->heard, "9:NOTFOUND ,"); /* what was asked before is answered */
        assert_null(d->conn);
        assert_int_equal(d->lab->stats.bad_frames, 1);
        tear_down(&own);
    }
}

static void
the_largest_frame_is_taken(void **state)
{
    struct desk *d = *state;
    char *frame = malloc(10020);
    int head = sprintf(frame, "10000:sts ");

    memset(frame + head, 'a', 10000 - 4);
    frame[head + 10000 - 4] = ',';
    send_bytes(d, frame, (size_t)head + 10000 - 3);
    assert_heard(d, "9:NOTFOUND ,");
    free(frame);
}

static void
draining_answers_and_takes_no_more(void **state)
{
    struct desk *d = *state;

    send_frame(d, "sts a.test");
    assert_heard(d, "");
    conn_drain(d->conn);
    assert_heard(d, "");
    send_frame(d, "sts b.test");
    assert_heard(d, "");
    assert_int_equal(d->lab->source.txt_started, 1);
    no_record_for(d, "a.test");
    assert_true(listen_on(d));
    assert_string_equal(d->heard, "9:NOTFOUND ,");
}

/* --- what conn adds to a question ------------------------------------------------ */

static void
hold_long_list(struct lab *lab)
{
    char body[2000] = "version: STSv1\nmode: enforce\nmax_age: 604800\n";

    lab_txt(lab, "id1");
    for (int i = 0; i < 40; i++)
        sprintf(body + strlen(body), "mx: mx%02d.far.test\n", i);
    lab_fetch_body(lab, body);
}

static void
a_list_too_long_for_sendmail_puts_present_hosts_first(void **state)
{
    static const char first[] = ":OK secure match=mx33.far.test:mx00.far.test:";
    struct desk *d = *state;

    send_frame(d, "sts " LAB_DOMAIN); /* the policy must be fetched first */
    assert_heard(d, "");
    hold_long_list(d->lab);
    assert_heard(d, "");
    lab_mx(d->lab, STS_OK, "mx33.far.test");
    assert_false(listen_on(d));
    assert_non_null(strstr(d->heard, first));
    d->heard_len = 0;
    send_frame(d, "sts " LAB_DOMAIN); /* all is in memory */
    assert_false(listen_on(d));
    assert_non_null(strstr(d->heard, first));
    assert_int_equal(d->lab->source.mx_started, 1);
}

static void
a_host_refused_by_name_looks_at_txt_again(void **state)
{
    struct desk *d = *state;

    lab_hold(d->lab, "id1", "enforce", 86400);
    lab_pass(d->lab, 10);
    send_frame(d, "stsmx " LAB_DOMAIN "/mx." LAB_DOMAIN);
    assert_heard(d, "5:OK ok,");
    assert_int_equal(lab_running(d->lab), FAKE_NOTHING);
    send_frame(d, "stsmx " LAB_DOMAIN "/evil.test");
    assert_heard(d, "9:NOTFOUND ,");
    assert_int_equal(lab_running(d->lab), FAKE_TXT);
}

/* --- control sockets ---------------------------------------------------------------- */

static void
a_command_is_answered(void **state)
{
    struct desk *d = open_desk(CONN_CONTROL);
    void *own = d;

    (void)state;
    send_frame(d, "stats");
    assert_false(listen_on(d));
    assert_non_null(strstr(d->heard, ":OK {"));
    d->heard_len = 0;
    send_frame(d, "sts [192.0.2.1]"); /* no maps here */
    assert_false(listen_on(d));
    assert_non_null(strstr(d->heard, ":ERR 64 "));
    tear_down(&own);
}

static void
a_command_under_way_may_lose_its_client(void **state)
{
    struct desk *d = open_desk(CONN_CONTROL);
    void *own = d;

    (void)state;
    send_frame(d, "refresh " LAB_DOMAIN);
    assert_heard(d, "");
    conn_close(d->conn);
    lab_txt_fails(d->lab, STS_NO_RECORD, 0);
    tear_down(&own);
}

static void
strangers_are_refused(void **state)
{
    struct desk *d = open_desk(CONN_FORBIDDEN);
    void *own = d;

    (void)state;
    send_frame(d, "flush --all");
    send_frame(d, "flush --all");
    assert_true(listen_on(d));
    assert_string_equal(
        d->heard, "70:ERR 77 not permitted: root, the daemon's user or its socket-group only,");
    assert_null(d->conn);
    tear_down(&own);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(answers_come_in_the_order_of_the_questions),
        TEST(a_frame_may_come_byte_by_byte),
        TEST(more_questions_than_are_taken_at_once),
        TEST(no_more_than_the_limit_is_under_way),
        TEST(a_half_close_still_gets_its_answers),
        TEST(who_hangs_up_is_forgotten),
        cmocka_unit_test(a_bad_frame_ends_the_connection),
        TEST(the_largest_frame_is_taken),
        TEST(draining_answers_and_takes_no_more),
        TEST(a_list_too_long_for_sendmail_puts_present_hosts_first),
        TEST(a_host_refused_by_name_looks_at_txt_again),
        cmocka_unit_test(a_command_is_answered),
        cmocka_unit_test(a_command_under_way_may_lose_its_client),
        cmocka_unit_test(strangers_are_refused),
    };

    log_open("test_conn_engine", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
