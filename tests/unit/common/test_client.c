#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/client.h"
#include "common/clock.h"

enum { REPLY_MAX = 1000, SOON_MS = 5000, SHORT_MS = 150, ACTS_MAX = 8, BIG = 400000 };

/* What the server does on one connection, act by act; then it closes. */
struct act {
    enum { READ, WRITE, PAUSE, DRIP, HOLD } what;
    const char *text; /* READ: the request that must come; WRITE, DRIP: the bytes to send */
    int ms;
};

struct connection {
    struct act acts[ACTS_MAX]; /* ends at an act without text and ms */
};

/* A server that plays its connections in order, then closes its listener. */
struct server {
    char path[64];
    int listener;
    const struct connection *script;
    size_t connections, accepted;
    bool mismatch;
    int release[2]; /* closed by the test to end every HOLD */
    pthread_t thread;
};

static struct sockspec spec;
static struct server server;
static char directory[] = "/tmp/test_client.XXXXXX";

static void
read_exactly(int fd, const char *wanted)
{
    size_t len = strlen(wanted), at = 0;
    char *got = calloc(1, len + 1);

    while (at < len) {
        ssize_t n = recv(fd, got + at, len - at, 0);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    if (memcmp(got, wanted, len) != 0)
        server.mismatch = true;
    free(got);
}

static void
play(int fd, const struct connection *c)
{
    for (const struct act *a = c->acts; a->text != NULL || a->ms != 0; a++) {
        struct pollfd p = {.fd = server.release[0], .events = POLLIN};

        switch (a->what) {
        case READ:
            read_exactly(fd, a->text);
            break;
        case WRITE:
            send(fd, a->text, strlen(a->text), MSG_NOSIGNAL);
            break;
        case PAUSE:
            poll(NULL, 0, a->ms);
            break;
        case DRIP:
            for (const char *at = a->text; *at; at++) {
                send(fd, at, 1, MSG_NOSIGNAL);
                poll(NULL, 0, a->ms);
            }
            break;
        case HOLD:
            poll(&p, 1, SOON_MS);
            break;
        }
    }
}

static void *
serve(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < server.connections; i++) {
        struct pollfd ready[2] = {{.fd = server.listener, .events = POLLIN},
                                  {.fd = server.release[0], .events = POLLIN}};
        int fd;

        poll(ready, 2, SOON_MS);
        fd = accept(server.listener, NULL, NULL);
        if (fd < 0)
            break;
        server.accepted++;
        play(fd, &server.script[i]);
        close(fd);
    }
    close(server.listener);
    return NULL;
}

static struct client *
start(const struct connection *script, size_t connections)
{
    char why[200];

    server.listener = sockspec_listen(&spec, 0600, (gid_t)-1, why, sizeof why);
    assert_true(server.listener >= 0);
    assert_int_equal(pipe(server.release), 0);
    server.script = script;
    server.connections = connections;
    server.accepted = 0;
    server.mismatch = false;
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    return client_new(&spec, REPLY_MAX);
}

/* Ends the server; how many connections it had. */
static size_t
stop(struct client *c)
{
    client_free(c);
    close(server.release[1]);
    pthread_join(server.thread, NULL);
    close(server.release[0]);
    unlink(sockspec_path(&spec));
    assert_false(server.mismatch);
    return server.accepted;
}

static void
ask(struct client *c, const char *request, int timeout_ms, enum client_status wanted,
    const char *reply)
{
    struct buf got;
    enum client_status status;

    buf_init(&got, REPLY_MAX);
    buf_add_string(&got, "from before");
    status = client_ask(c, request, strlen(request), timeout_ms, &got);
    if (status != wanted || strcmp(buf_string(&got), reply) != 0)
        fail_msg("status %d (wanted %d), reply \"%s\" (wanted \"%s\")", (int)status, (int)wanted,
                 buf_string(&got), reply);
    buf_done(&got);
}

/* --- what goes well ------------------------------------------------------------- */

static void
test_two_questions_on_one_connection(void **state)
{
    static const struct connection script[] = {{{{READ, "9:verdict a,", 0},
                                                 {WRITE, "4:OK x,", 0},
                                                 {READ, "9:verdict b,", 0},
                                                 {WRITE, "4:OK y,", 0},
                                                 {HOLD, NULL, 1}}}};
    struct client *c = start(script, 1);

    (void)state;
    ask(c, "verdict a", SOON_MS, CLIENT_OK, "OK x");
    ask(c, "verdict b", SOON_MS, CLIENT_OK, "OK y");
    assert_int_equal(stop(c), 1);
}

static void
test_reply_in_pieces(void **state)
{
    static const struct connection script[] = {
        {{{READ, "1:a,", 0}, {DRIP, "12:OK secure =x,", 5}, {HOLD, NULL, 1}}}};
    struct client *c = start(script, 1);

    (void)state;
    ask(c, "a", SOON_MS, CLIENT_OK, "OK secure =x");
    stop(c);
}

static void
test_empty_reply(void **state)
{
    static const struct connection script[] = {
        {{{READ, "1:a,", 0}, {WRITE, "0:,", 0}, {HOLD, NULL, 1}}}};
    struct client *c = start(script, 1);

    (void)state;
    ask(c, "a", SOON_MS, CLIENT_OK, "");
    stop(c);
}

static void
test_request_larger_than_the_socket_buffer(void **state)
{
    char *request = malloc(BIG + 1), *frame = malloc(BIG + 20);
    struct connection script[] = {
        {{{PAUSE, NULL, 50}, {READ, frame, 0}, {WRITE, "2:OK,", 0}, {HOLD, NULL, 1}}}};
    struct client *c;

    (void)state;
    memset(request, 'x', BIG);
    request[BIG] = '\0';
    snprintf(frame, BIG + 20, "%d:%s,", BIG, request);
    c = start(script, 1);
    ask(c, request, SOON_MS, CLIENT_OK, "OK");
    stop(c);
    free(request);
    free(frame);
}

static void
test_closed_while_we_write(void **state)
{
    static const struct connection script[] = {{{{PAUSE, NULL, 50}}}};
    char *request = calloc(1, BIG + 1);
    struct client *c = start(script, 1);

    (void)state;
    memset(request, 'x', BIG);
    ask(c, request, SOON_MS, CLIENT_NO_CONNECTION, ""); /* and no SIGPIPE */
    stop(c);
    free(request);
}

/* --- a kept connection that is gone ------------------------------------------------ */

static void
test_closed_while_idle(void **state)
{
    static const struct connection script[] = {
        {{{READ, "1:a,", 0}, {WRITE, "4:OK 1,", 0}}},
        {{{READ, "1:b,", 0}, {WRITE, "4:OK 2,", 0}, {HOLD, NULL, 1}}}};
    struct client *c = start(script, 2);

    (void)state;
    ask(c, "a", SOON_MS, CLIENT_OK, "OK 1");
    poll(NULL, 0, 30);
    ask(c, "b", SOON_MS, CLIENT_OK, "OK 2");
    assert_int_equal(stop(c), 2);
}

static void
test_closed_after_the_question(void **state)
{
    static const struct connection script[] = {
        {{{READ, "1:a,", 0}, {WRITE, "4:OK 1,", 0}, {READ, "1:b,", 0}}},
        {{{READ, "1:b,", 0}, {WRITE, "4:OK 2,", 0}, {HOLD, NULL, 1}}}};
    struct client *c = start(script, 2);

    (void)state;
    ask(c, "a", SOON_MS, CLIENT_OK, "OK 1");
    ask(c, "b", SOON_MS, CLIENT_OK, "OK 2");
    assert_int_equal(stop(c), 2);
}

static void
test_closed_twice(void **state)
{
    static const struct connection script[] = {
        {{{READ, "1:a,", 0}, {WRITE, "4:OK 1,", 0}, {READ, "1:b,", 0}, {WRITE, "9:OK", 0}}},
        {{{READ, "1:b,", 0}, {WRITE, "9:OK", 0}}},
        {{{READ, "1:c,", 0}, {WRITE, "4:OK 3,", 0}, {HOLD, NULL, 1}}}};
    struct client *c = start(script, 3);

    (void)state;
    ask(c, "a", SOON_MS, CLIENT_OK, "OK 1");
    ask(c, "b", SOON_MS, CLIENT_NO_CONNECTION, "");
    assert_string_equal(client_fault(c, CLIENT_NO_CONNECTION),
                        "the cache daemon cannot be reached: it closed the connection");
    ask(c, "c", SOON_MS, CLIENT_OK, "OK 3");
    assert_int_equal(stop(c), 3);
}

/* A new connection that fails is not tried again: the server is there and says no. */
static void
test_new_connection_closed(void **state)
{
    static const struct connection script[] = {
        {{{READ, "1:a,", 0}}}, {{{READ, "1:b,", 0}, {WRITE, "2:OK,", 0}, {HOLD, NULL, 1}}}};
    struct client *c = start(script, 2);

    (void)state;
    ask(c, "a", SOON_MS, CLIENT_NO_CONNECTION, "");
    ask(c, "b", SOON_MS, CLIENT_OK, "OK");
    assert_int_equal(stop(c), 2);
}

/* Bytes that nobody asked for are never the answer to the next question. */
static void
test_bytes_while_idle(void **state)
{
    static const struct connection script[] = {
        {{{READ, "1:a,", 0},
          {WRITE, "4:OK 1,", 0},
          {PAUSE, NULL, 20},
          {WRITE, "5:OK no,", 0},
          {PAUSE, NULL, 200}}},
        {{{READ, "1:b,", 0}, {WRITE, "4:OK 2,", 0}, {HOLD, NULL, 1}}}};
    struct client *c = start(script, 2);

    (void)state;
    ask(c, "a", SOON_MS, CLIENT_OK, "OK 1");
    poll(NULL, 0, 60);
    ask(c, "b", SOON_MS, CLIENT_OK, "OK 2");
    assert_int_equal(stop(c), 2);
}

/* --- time ------------------------------------------------------------------------- */

static void
ask_in_vain(struct client *c)
{
    int64_t start_ms = clock_boot_ms();

    ask(c, "a", SHORT_MS, CLIENT_TIMEOUT, "");
    assert_in_range(clock_boot_ms() - start_ms, SHORT_MS - 10, SHORT_MS + 1000);
}

/* The late answer to "a" must not become the answer to "b". */
static void
test_late_answer(void **state)
{
    static const struct connection script[] = {
        {{{READ, "1:a,", 0}, {PAUSE, NULL, SHORT_MS + 50}, {WRITE, "7:OK late,", 0}}},
        {{{READ, "1:b,", 0}, {WRITE, "4:OK b,", 0}, {HOLD, NULL, 1}}}};
    struct client *c = start(script, 2);

    (void)state;
    ask_in_vain(c);
    ask(c, "b", SOON_MS, CLIENT_OK, "OK b");
    assert_int_equal(stop(c), 2);
}

static void
test_half_an_answer(void **state)
{
    static const struct connection script[] = {
        {{{READ, "1:a,", 0}, {WRITE, "8:OK s", 0}, {HOLD, NULL, 1}}}};
    struct client *c = start(script, 1);

    (void)state;
    ask_in_vain(c);
    stop(c);
}

/* One deadline over all: a server that sends a byte now and then does not prolong it. */
static void
test_dripping_answer(void **state)
{
    static const struct connection script[] = {
        {{{READ, "1:a,", 0}, {DRIP, "90:OK aaaaaaaaaaaaaaaaaaaaaaaaaa", 40}, {HOLD, NULL, 1}}}};
    struct client *c = start(script, 1);

    (void)state;
    ask_in_vain(c);
    stop(c);
}

static void
test_server_that_never_accepts(void **state)
{
    struct client *c = start(NULL, 0);
    int listener, others[20];
    char why[200];

    (void)state;
    pthread_join(server.thread, NULL);
    unlink(sockspec_path(&spec));
    listener = sockspec_listen(&spec, 0600, (gid_t)-1, why, sizeof why);
    assert_true(listener >= 0);
    ask_in_vain(c);
    assert_int_equal(listen(listener, 1), 0);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        others[i] = sockspec_connect(&spec);
    ask_in_vain(c); /* the backlog is full */
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (others[i] >= 0)
            close(others[i]);
    }
    close(listener);
    client_free(c);
    close(server.release[0]);
    close(server.release[1]);
    unlink(sockspec_path(&spec));
}

/* --- replies that are none ----------------------------------------------------------- */

static void
test_bad_replies(void **state)
{
    static const char *const replies[] = {
        "hello\r\n", "4:OK x;", "04:OK x,",     "4:OK x,4:OK y,",
        "4:OK x, ",  "1001:",   "99999999999:", "-1:,",
    };

    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct connection script[] = {
            {{{READ, "1:a,", 0}, {WRITE, replies[i], 0}, {HOLD, NULL, 1}}}};
        struct client *c = start(script, 1);

        ask(c, "a", SOON_MS, CLIENT_BAD_REPLY, "");
        stop(c);
    }
}

static void
test_largest_reply(void **state)
{
    char wanted[REPLY_MAX + 1], frame[REPLY_MAX + 20];
    struct connection script[] = {{{{READ, "1:a,", 0}, {WRITE, frame, 0}, {HOLD, NULL, 1}}}};
    struct client *c;

    (void)state;
    memset(wanted, 'y', REPLY_MAX);
    wanted[REPLY_MAX] = '\0';
    snprintf(frame, sizeof frame, "%d:%s,", REPLY_MAX, wanted);
    c = start(script, 1);
    ask(c, "a", SOON_MS, CLIENT_OK, wanted);
    stop(c);
}

/* --- nobody there ---------------------------------------------------------------------- */

static void
test_no_server(void **state)
{
    struct client *c = client_new(&spec, REPLY_MAX);
    char why[200];

    (void)state;
    ask(c, "a", SOON_MS, CLIENT_NO_CONNECTION, "");
    assert_string_equal(client_fault(c, CLIENT_NO_CONNECTION),
                        "the cache daemon cannot be reached: No such file or directory");
    close(sockspec_listen(&spec, 0600, (gid_t)-1, why, sizeof why));
    ask(c, "a", SOON_MS, CLIENT_NO_CONNECTION, "");
    assert_string_equal(client_fault(c, CLIENT_NO_CONNECTION),
                        "the cache daemon cannot be reached: Connection refused");
    unlink(sockspec_path(&spec));
    client_free(c);
}

static void
test_refused_over_tcp(void **state)
{
    struct sockspec nobody;
    struct client *c;
    char why[200];

    (void)state;
    assert_true(sockspec_parse("inet:1@127.0.0.1", &nobody, why, sizeof why));
    c = client_new(&nobody, REPLY_MAX);
    ask(c, "a", SOON_MS, CLIENT_NO_CONNECTION, "");
    assert_string_equal(client_fault(c, CLIENT_NO_CONNECTION),
                        "the cache daemon cannot be reached: Connection refused");
    client_free(c);
}

static void
test_no_permission(void **state)
{
    struct client *c = client_new(&spec, REPLY_MAX);
    char why[200];
    int listener = sockspec_listen(&spec, 0000, (gid_t)-1, why, sizeof why);

    (void)state;
    assert_true(listener >= 0);
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0); /* modes do not bind root */
    ask(c, "a", SOON_MS, CLIENT_NO_PERMISSION, "");
    assert_string_equal(client_fault(c, CLIENT_NO_PERMISSION),
                        "the socket of the cache daemon may not be used: Permission denied");
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    close(listener);
    unlink(sockspec_path(&spec));
    client_free(c);
}

static int
set_up(void **state)
{
    char text[100], why[200];

    (void)state;
    if (mkdtemp(directory) == NULL || chmod(directory, 0711) != 0)
        return -1;
    snprintf(text, sizeof text, "unix:%s/s", directory);
    return sockspec_parse(text, &spec, why, sizeof why) ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    return rmdir(directory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_questions_on_one_connection),
        cmocka_unit_test(test_reply_in_pieces),
        cmocka_unit_test(test_empty_reply),
        cmocka_unit_test(test_request_larger_than_the_socket_buffer),
        cmocka_unit_test(test_closed_while_we_write),
        cmocka_unit_test(test_closed_while_idle),
        cmocka_unit_test(test_closed_after_the_question),
        cmocka_unit_test(test_closed_twice),
        cmocka_unit_test(test_new_connection_closed),
        cmocka_unit_test(test_bytes_while_idle),
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_half_an_answer),
        cmocka_unit_test(test_dripping_answer),
        cmocka_unit_test(test_server_that_never_accepts),
        cmocka_unit_test(test_bad_replies),
        cmocka_unit_test(test_largest_reply),
        cmocka_unit_test(test_no_server),
        cmocka_unit_test(test_refused_over_tcp),
        cmocka_unit_test(test_no_permission),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
