#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/proto.h"
#include "milter/asker.h"
#include "tests/fake/slow.h"

/* --- a daemon in a thread ------------------------------------------------------------
 * Answers `secure` by the first label: "wait" after the time that it is told, "prompt" after 4 ms,
 * "hang" never, "other" for another domain, "temp" with TEMP, "pend" with pending, after 30 ms,
 * unless it may wait; all else at once. */

static struct sockspec spec;
static char directory[] = "/tmp/test_asker.XXXXXX", path[64];
static int listener;
static int questions, waiting, most_waiting, connections;

static bool
begins(const char *domain, const char *label)
{
    return strncmp(domain, label, strlen(label)) == 0;
}

static void
send_reply(int fd, const char *text)
{
    struct buf frame;

    buf_init(&frame, ANSWER_MAX);
    proto_encode(&frame, text, strlen(text));
    /* Who did not wait for it has closed. */
    assert_true(send(fd, frame.data, frame.len, MSG_NOSIGNAL) >= 0 || errno == EPIPE);
    buf_done(&frame);
}

static void
answer(int fd, const char *domain, int wait_ms)
{
    char text[600];
    int now = __atomic_add_fetch(&waiting, wait_ms > 0, __ATOMIC_RELAXED);

    if (now > __atomic_load_n(&most_waiting, __ATOMIC_RELAXED))
        __atomic_store_n(&most_waiting, now, __ATOMIC_RELAXED);
    if (begins(domain, "wait"))
        poll(NULL, 0, wait_ms);
    if (begins(domain, "prompt"))
        poll(NULL, 0, 4);
    if (begins(domain, "pend") && wait_ms == 0)
        poll(NULL, 0, 30);
    __atomic_sub_fetch(&waiting, wait_ms > 0, __ATOMIC_RELAXED);
    snprintf(text, sizeof text,
             "OK verdict=%s domain=%s mode=enforce id=1 max_age=86400 expires=1790000000 "
             "mx=mx.test hosts=mx.test source=memory reason=ok",
             begins(domain, "pend") && wait_ms == 0 ? "pending" : "secure",
             begins(domain, "other") ? "elsewhere.test" : domain);
    send_reply(fd, begins(domain, "temp") ? "TEMP overload" : text);
}

static void *
serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char bytes[400], key[300];
    ssize_t got;

    while ((got = recv(fd, bytes, sizeof bytes - 1, 0)) > 0) {
        int wait_ms;
        char *domain = key;
        bytes[got] = '\0';
        if (sscanf(bytes, "%*d:verdict %299s wait=%d,", key, &wait_ms) != 2)
            break;
        __atomic_add_fetch(&questions, 1, __ATOMIC_RELAXED);
        if (*domain == '[') {
            domain++;
            domain[strlen(domain) - 1] = '\0';
        }
        if (!begins(domain, "hang"))
            answer(fd, domain, wait_ms);
    }
    close(fd);
    return NULL;
}

static void *
accept_all(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        pthread_t thread;
        __atomic_add_fetch(&connections, 1, __ATOMIC_RELAXED);
        pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

static pthread_t acceptor;

static int
start_daemon(void **state)
{
    char why[100], text[80];

    (void)state;
    snprintf(text, sizeof text, "unix:%s", path);
    if (!sockspec_parse(text, &spec, why, sizeof why))
        return -1;
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path);
    if (bind(listener, (const struct sockaddr *)&spec.addr, spec.len) != 0 ||
        listen(listener, 100) != 0)
        return -1;
    questions = waiting = most_waiting = connections = 0;
    return pthread_create(&acceptor, NULL, accept_all, NULL);
}

static int
stop_daemon(void **state)
{
    (void)state;
    shutdown(listener, SHUT_RDWR);
    pthread_join(acceptor, NULL);
    close(listener);
    unlink(path);
    return 0;
}

/* --- helpers --------------------------------------------------------------------- */

static struct nexthop
hop_to(const char *domain)
{
    struct nexthop hop;

    nexthop_parse(domain, strlen(domain), &hop);
    return hop;
}

static bool
ask(struct asker *a, const char *domain, int64_t *budget_ms)
{
    struct nexthop hop = hop_to(domain);
    struct answer_view view;

    if (!asker_ask(a, &hop, budget_ms, &view))
        return false;
    assert_string_equal(view.domain, hop.domain);
    answer_view_done(&view);
    return true;
}

static int64_t
since(int64_t began_ms)
{
    return clock_boot_ms() - began_ms;
}

/* --- tests ----------------------------------------------------------------------- */

static void
asks_on_one_connection(void **state)
{
    struct asker *a = asker_new(&spec);
    int64_t budget_ms = 500;

    (void)state;
    assert_true(ask(a, "a.test", &budget_ms));
    assert_true(ask(a, "[b.test]:25", &budget_ms));
    assert_true(ask(a, "c.test", &budget_ms));
    assert_int_equal(questions, 3);
    assert_int_equal(connections, 1);
    asker_free(a);
}

/* Fifty times four milliseconds; a slow machine may be charged for a few. */
static void
prompt_answers_cost_nothing(void **state)
{
    struct asker *a = asker_new(&spec);
    int64_t budget_ms = 1000;

    (void)state;
    for (int i = 0; i < 50; i++)
        assert_true(ask(a, "prompt.test", &budget_ms));
    assert_true(budget_ms > 850);
    asker_free(a);
}

static void
waits_once_within_the_budget(void **state)
{
    struct asker *a = asker_new(&spec);
    int64_t budget_ms = 200, began_ms = clock_boot_ms();

    (void)state;
    assert_true(ask(a, "wait1.test", &budget_ms));
    assert_in_range(since(began_ms), 190, 440);
    assert_true(budget_ms <= 10);
    budget_ms = 0;
    began_ms = clock_boot_ms();
    assert_true(ask(a, "wait2.test", &budget_ms));
    assert_true(since(began_ms) < 150);
    asker_free(a);
}

static void
asks_nothing_beyond_the_budget(void **state)
{
    struct asker *a = asker_new(&spec);
    int64_t budget_ms = -ASKER_GRACE_MS;

    (void)state;
    assert_false(ask(a, "a.test", &budget_ms));
    assert_int_equal(questions, 0);
    budget_ms++;
    (void)ask(a, "a.test", &budget_ms); /* a millisecond may do, or not */
    for (int i = 0; i < 200 && __atomic_load_n(&questions, __ATOMIC_RELAXED) == 0; i++)
        poll(NULL, 0, 10);
    assert_int_equal(questions, 1);
    asker_free(a);
}

static void
a_hanging_daemon_costs_one_timeout(void **state)
{
    struct asker *a = asker_new(&spec);
    int64_t began_ms = clock_boot_ms(), budget_ms = 100;

    (void)state;
    assert_false(ask(a, "hang.test", &budget_ms));
    assert_in_range(since(began_ms), 340, 1500);
    for (int i = 0; i < 100; i++) {
        budget_ms = 100;
        assert_false(ask(a, "a.test", &budget_ms));
        assert_int_equal(budget_ms, 100);
    }
    assert_int_equal(questions, 1);
    poll(NULL, 0, ASKER_RETRY_MS + 50);
    assert_true(ask(a, "a.test", &budget_ms));
    assert_int_equal(connections, 2); /* the late answer would have come on the first */
    asker_free(a);
}

static void
a_wrong_reply_is_no_answer(void **state)
{
    static const char *const domains[] = {"other.test", "temp.test"};

    (void)state;
    for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++) {
        struct asker *a = asker_new(&spec);
        int64_t budget_ms = 100;
        assert_false(ask(a, domains[i], &budget_ms));
        poll(NULL, 0, ASKER_RETRY_MS + 50);
        assert_true(ask(a, "a.test", &budget_ms));
        asker_free(a);
    }
    assert_int_equal(connections, 4);
}

static void
a_dead_daemon_is_tried_again(void **state)
{
    struct asker *a = asker_new(&spec);
    int64_t budget_ms = 100;

    stop_daemon(state);
    assert_false(ask(a, "a.test", &budget_ms));
    assert_int_equal(start_daemon(state), 0);
    assert_false(ask(a, "a.test", &budget_ms));
    poll(NULL, 0, ASKER_RETRY_MS + 50);
    assert_true(ask(a, "a.test", &budget_ms));
    asker_free(a);
}

static void *
ask_slowly(void *arg)
{
    int64_t budget_ms = 300 * slow_factor();
    intptr_t is_answered = ask(arg, "wait.test", &budget_ms);

    return (void *)is_answered;
}

/* libmilter's pool: many callbacks at once, and only one may wait. */
static void
one_callback_waits(void **state)
{
    enum { CALLBACKS = 20 };
    int callbacks = slow_factor() > 1 ? 3 : CALLBACKS; /* all within the asker's grace */
    struct asker *a = asker_new(&spec);
    int64_t began_ms = clock_boot_ms();
    pthread_t threads[CALLBACKS];
    void *is_answered;

    (void)state;
    for (int i = 0; i < callbacks; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_slowly, a), 0);
    for (int i = 0; i < callbacks; i++) {
        pthread_join(threads[i], &is_answered);
        assert_non_null(is_answered);
    }
    assert_int_equal(questions, callbacks);
    assert_int_equal(most_waiting, 1);
    assert_true(since(began_ms) < 1000 * slow_factor());
    asker_free(a);
}

static void *
ask_prompt(void *arg)
{
    int64_t budget_ms = 500;
    intptr_t is_answered = ask(arg, "prompt.test", &budget_ms);

    return (void *)is_answered;
}

/* Cached answers take the place of the one who waits for moments only: who needs time gets it. */
static void
waits_after_a_moment(void **state)
{
    struct asker *a = asker_new(&spec);
    struct nexthop hop = hop_to("pend.test");

    (void)state;
    for (int i = 0; i < 10; i++) {
        int64_t budget_ms = 500;
        struct answer_view view;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, ask_prompt, a), 0);
        poll(NULL, 0, 2);
        assert_true(asker_ask(a, &hop, &budget_ms, &view));
        pthread_join(thread, NULL);
        assert_int_equal(view.verdict, VERDICT_SECURE);
        answer_view_done(&view);
    }
    asker_free(a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, start_daemon, stop_daemon)
        TEST(asks_on_one_connection),
        TEST(prompt_answers_cost_nothing),
        TEST(waits_once_within_the_budget),
        TEST(asks_nothing_beyond_the_budget),
        TEST(a_hanging_daemon_costs_one_timeout),
        TEST(a_wrong_reply_is_no_answer),
        TEST(a_dead_daemon_is_tried_again),
        TEST(one_callback_waits),
        TEST(waits_after_a_moment),
    };
    int failed;

    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof path, "%s/sock", directory);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
