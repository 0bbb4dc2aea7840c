/* A full table of connections: who is let in, who has to go, on a real socket with a fake query
 * engine and a clock that the test turns. */
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
#include <sys/un.h>
#include <unistd.h>

#include "cached/listener.h"
#include "cached/settings.h"
#include "common/clock.h"
#include "tests/fake/fake_query.h"

enum { ROOM = 4 };

struct desk {
    char directory[64], listen_spec[96], control_spec[96];
    char *listen_items[1];
    struct settings settings;
    struct query_engine engine;
    struct stats stats;
    struct event_base *base;
    struct listeners *listeners;
    int clients[3 * ROOM];
    size_t count;
    int64_t now_ms;
};

static void
pass(struct desk *d, int64_t seconds)
{
    d->now_ms += seconds * SECOND_MS;
    clock_fake(d->now_ms, 1790000000 + d->now_ms / SECOND_MS);
}

static int
set_up(void **state)
{
    struct desk *d = alloc_zero(1, sizeof *d);
    struct conn_service service;
    char why[200] = "";

    strcpy(d->directory, "/tmp/sts-listener-XXXXXX");
    assert_non_null(mkdtemp(d->directory));
    snprintf(d->listen_spec, sizeof d->listen_spec, "unix:%s/query", d->directory);
    snprintf(d->control_spec, sizeof d->control_spec, "unix:%s/control", d->directory);
    d->listen_items[0] = d->listen_spec;
    d->settings.listen.items = d->listen_items;
    d->settings.listen.count = 1;
    d->settings.control = d->control_spec;
    d->settings.socket_mode = 0600;
    d->engine.judgement = (struct judgement){
        .verdict = VERDICT_NONE, .reason = STS_NO_RECORD, .domain = "a.test", .detail = ""};
    d->base = event_base_new();
    pass(d, 1000);
    d->listeners = listeners_open(&d->settings, why, sizeof why);
    if (d->listeners == NULL)
        fail_msg("%s", why);
    service = (struct conn_service){
        .base = d->base, .engine = &d->engine, .stats = &d->stats, .settings = &d->settings};
    listeners_start(d->listeners, &service, ROOM);
    *state = d;
    return 0;
}

static int
tear_down(void **state)
{
    struct desk *d = *state;

    for (size_t i = 0; i < d->count; i++)
        close(d->clients[i]);
    listeners_close(d->listeners);
    event_base_free(d->base);
    assert_int_equal(rmdir(d->directory), 0);
    free(d);
    return 0;
}

static void
turn(struct desk *d)
{
    for (int i = 0; i < 4; i++)
        event_base_loop(d->base, EVLOOP_NONBLOCK);
}

static int
add_client(struct desk *d)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(to.sun_path, sizeof to.sun_path, "%s/query", d->directory);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    d->clients[d->count++] = fd;
    turn(d);
    return fd;
}

static void
fill(struct desk *d)
{
    for (int i = 0; i < ROOM; i++)
        add_client(d);
    assert_int_equal(listeners_connections(d->listeners), ROOM);
}

/* True when the daemon answers on this connection. */
static bool
is_served(struct desk *d, int fd)
{
    static const char question[] = "10:sts a.test,";
    char reply[64];

    if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) < 0)
        return false;
    turn(d);
    return recv(fd, reply, sizeof reply, 0) > 0;
}

static void
test_a_full_table_refuses_and_serves_on(void **state)
{
    struct desk *d = *state;

    fill(d);
    pass(d, LISTENER_IDLE_MIN_S - 1);
    for (int i = 0; i < ROOM; i++)
        assert_false(is_served(d, add_client(d)));
    assert_int_equal(d->stats.connections_refused, ROOM);
    for (int i = 0; i < ROOM; i++)
        assert_true(is_served(d, d->clients[i]));
}

static void
test_the_one_idle_longest_goes(void **state)
{
    struct desk *d = *state;

    fill(d);
    pass(d, LISTENER_IDLE_MIN_S);
    assert_true(is_served(d, d->clients[0])); /* not the oldest connection: the longest idle */
    pass(d, 1);
    assert_true(is_served(d, add_client(d)));
    assert_false(is_served(d, d->clients[1]));
    assert_true(is_served(d, d->clients[0]));
    assert_true(is_served(d, d->clients[2]));
    assert_int_equal(listeners_connections(d->listeners), ROOM);
}

static void
test_who_waits_for_an_answer_stays(void **state)
{
    struct desk *d = *state;

    fill(d);
    d->engine.later = true;
    assert_false(is_served(d, d->clients[0]));
    d->engine.later = false;
    for (int i = 1; i < ROOM; i++) /* now nobody asked as long ago as the first */
        assert_true(is_served(d, d->clients[i]));
    pass(d, LISTENER_IDLE_MIN_S + 1);
    assert_true(is_served(d, add_client(d)));
    fake_query_answer(&d->engine);
    turn(d);
    assert_true(recv(d->clients[0], (char[64]){0}, 64, 0) > 0);
    assert_false(is_served(d, d->clients[1]));
}

static void
test_who_leaves_makes_room(void **state)
{
    struct desk *d = *state;

    fill(d);
    shutdown(d->clients[2], SHUT_RDWR);
    turn(d);
    assert_int_equal(listeners_connections(d->listeners), ROOM - 1);
    assert_true(is_served(d, add_client(d)));
    assert_int_equal(d->stats.connections_refused, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_full_table_refuses_and_serves_on),
        TEST(test_the_one_idle_longest_goes),
        TEST(test_who_waits_for_an_answer_stays),
        TEST(test_who_leaves_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
