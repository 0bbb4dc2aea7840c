/* What a thread beside the answering one is born with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>

#include "cached/thread.h"

struct seen {
    int nice;
    sigset_t blocked;
};

static void *
look_around(void *arg)
{
    struct seen *seen = arg;

    seen->nice = getpriority(PRIO_PROCESS, 0);
    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    return seen;
}

static struct seen
start_one(void)
{
    struct seen seen = {0};
    pthread_t thread;
    void *result;

    assert_int_equal(thread_start(&thread, "looker", look_around, &seen), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &seen);
    return seen;
}

static void
test_it_takes_second_place(void **state)
{
    int mine = getpriority(PRIO_PROCESS, 0);
    int expected = mine + THREAD_NICE < 19 ? mine + THREAD_NICE : 19;

    (void)state;
    assert_int_equal(start_one().nice, expected);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), mine);
}

static void
test_only_signals_of_a_crash_reach_it(void **state)
{
    struct seen seen = start_one();
    sigset_t mine;

    (void)state;
    assert_true(sigismember(&seen.blocked, SIGTERM));
    assert_true(sigismember(&seen.blocked, SIGHUP));
    assert_false(sigismember(&seen.blocked, SIGSEGV));
    assert_false(sigismember(&seen.blocked, SIGBUS));
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_false(sigismember(&mine, SIGTERM));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_takes_second_place),
        cmocka_unit_test(test_only_signals_of_a_crash_reach_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
