/* The page is asked over real sockets; server and clients share this thread and its loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cached/metrics.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/sockspec.h"

enum { REPLY_MAX = 1 << 20, BURST = 100, TURNS_MAX = 3000 };

struct site {
    struct event_base *base;
    struct metrics *metrics;
    struct stats stats;
    struct sockaddr_storage addr;
    socklen_t addr_len;
};

static int
set_up(void **state)
{
    struct site *site = calloc(1, sizeof *site);
    struct sockspec spec;
    char why[200];
    int fd;

    clock_fake(1000 * 1000, 1790000000);
    assert_true(sockspec_parse("inet:0@127.0.0.1", &spec, why, sizeof why));
    fd = sockspec_listen(&spec, 0, (gid_t)-1, why, sizeof why);
    assert_true(fd >= 0);
    site->addr_len = sizeof site->addr;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&site->addr, &site->addr_len), 0);
    site->base = event_base_new();
    site->stats.questions = 4711;
    site->metrics = metrics_new(site->base, fd, &site->stats, NULL, NULL, why, sizeof why);
    assert_non_null(site->metrics);
    *state = site;
    return 0;
}

static int
tear_down(void **state)
{
    struct site *site = *state;

    metrics_free(site->metrics);
    event_base_free(site->base);
    free(site);
    return 0;
}

static int
connect_to(const struct site *site)
{
    int fd = socket(site->addr.ss_family, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&site->addr, site->addr_len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void
turn(struct site *site)
{
    event_base_loop(site->base, EVLOOP_NONBLOCK);
    usleep(1000);
}

/* Reads to the end of the stream; false when it does not come. */
static bool
read_all(struct site *site, int fd, struct buf *reply)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        char bytes[4096];
        ssize_t n;

        turn(site);
        while ((n = read(fd, bytes, sizeof bytes)) > 0)
            buf_add(reply, bytes, (size_t)n);
        if (n == 0 || errno == ECONNRESET)
            return true;
    }
    return false;
}

static void
ask(struct site *site, const char *request, struct buf *reply)
{
    int fd = connect_to(site);

    buf_reset(reply);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    assert_true(read_all(site, fd, reply));
    close(fd);
}

static void
test_pages(void **state)
{
    static const struct {
        const char *request, *status, *contains;
    } rows[] = {
        {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ",
         "\nsts_questions_total 4711\n"},
        {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ",
         "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"},
        {"GET /status HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ", "\"questions\":4711"},
        {"GET /status HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ",
         "Content-Type: application/json\r\n"},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", ""},
        {"GET /metrics/../flush HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", ""},
        {"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 501 ", ""},
        {"nonsense\r\n\r\n", "HTTP/1.", ""},
    };
    struct buf reply;

    buf_init(&reply, REPLY_MAX);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ask(*state, rows[i].request, &reply);
        if (strncmp(buf_string(&reply), rows[i].status, strlen(rows[i].status)) != 0 ||
            strstr(buf_string(&reply), rows[i].contains) == NULL)
            fail_msg("%s -> %s", rows[i].request, buf_string(&reply));
    }
    buf_done(&reply);
}

static void
test_head_is_bounded(void **state)
{
    static char request[64 * 1024] = "GET /metrics HTTP/1.1\r\nX: ";
    struct buf reply;

    memset(request + strlen(request), 'a', sizeof request - strlen(request) - 1);
    buf_init(&reply, REPLY_MAX);
    ask(*state, request, &reply);
    assert_null(strstr(buf_string(&reply), "sts_questions_total"));
    buf_done(&reply);
}

static size_t
open_descriptors(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

/* Who says nothing holds no more than the places there are, and not for long. */
static void
test_connections_are_bounded(void **state)
{
    struct site *site = *state;
    size_t before = open_descriptors();
    int fds[BURST];
    struct buf reply;

    for (size_t i = 0; i < BURST; i++)
        fds[i] = connect_to(site);
    for (size_t i = 0; i < BURST; i++)
        turn(site);
    assert_true(open_descriptors() - before - BURST <= METRICS_CONNECTIONS_MAX);
    clock_fake(1000 * 1000 + METRICS_SECONDS_MAX * 1000 + 1, 1790000000);
    buf_init(&reply, REPLY_MAX);
    assert_true(read_all(site, fds[0], &reply));
    assert_int_equal(reply.len, 0);
    buf_done(&reply);
    for (size_t i = 0; i < BURST; i++)
        close(fds[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_head_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_connections_are_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
