/* What a thread beside the answering one is born with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>

#include "cached/thread.h"

static void *
look_around(void *arg)
{
    pthread_sigmask(SIG_SETMASK, NULL, arg);
    return arg;
}

static sigset_t
start_one(void)
{
    sigset_t seen;
    pthread_t thread;
    void *result;

    assert_int_equal(thread_start(&thread, "looker", look_around, &seen), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &seen);
    return seen;
}

static void
test_only_signals_of_a_crash_reach_it(void **state)
{
    sigset_t seen = start_one(), mine;

    (void)state;
    assert_true(sigismember(&seen, SIGTERM));
    assert_true(sigismember(&seen, SIGHUP));
    assert_false(sigismember(&seen, SIGSEGV));
    assert_false(sigismember(&seen, SIGBUS));
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_false(sigismember(&mine, SIGTERM));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_signals_of_a_crash_reach_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
