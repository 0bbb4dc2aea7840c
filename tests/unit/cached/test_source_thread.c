/* The source thread: its jobs are cancelled, many at a time, reloaded, dropped at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/cached/source_lab.h"

#define A4 DNS_A, .ttl_s = 60, .records = {{0, "192.0.2.1"}}

static const struct fake_answer txt_answers[] = {
    {"_mta-sts.one.test", DNS_TXT, .ttl_s = 77, .records = {{0, "v=STSv1; id=1;"}}},
    {"_mta-sts.none.test", DNS_TXT, .error = STS_NO_RECORD, .ttl_s = 300},
};

static void
test_cancel(void **state)
{
    struct got dropped = {0}, kept = {0};
    struct source_job *job;

    (void)state;
    fake_dns_set(txt_answers, sizeof(txt_answers) / sizeof(*txt_answers));
    source_cancel(NULL);
    job = source_txt(lab.source, "one.test", lab_on_txt, &dropped);
    source_txt(lab.source, "one.test", lab_on_txt, &kept);
    usleep(50000); /* the result waits for us */
    source_cancel(job);
    lab_wait_for(&kept, 1);
    lab_run_for(50);
    assert_int_equal(dropped.calls, 0);
}

static void
test_many(void **state)
{
    enum { MANY = 4096 };
    struct got got = {0};

    (void)state;
    fake_dns_set(txt_answers, sizeof(txt_answers) / sizeof(*txt_answers));
    for (int i = 0; i < MANY; i++)
        source_txt(lab.source, "none.test", lab_on_txt, &got);
    lab_wait_for(&got, MANY);
}

static const struct fake_answer slow_answers[] = {
    {"_mta-sts.slow.test", DNS_TXT, .delay_ms = 60000},
    {"mta-sts.slow.test", DNS_A, .delay_ms = 60000},
    {"mta-sts.slow.test", DNS_AAAA, .error = STS_NO_RECORD},
    {"slow.test", DNS_MX, .delay_ms = 60000},
    {"mta-sts.v4.test", A4},
    {"mta-sts.v4.test", DNS_AAAA, .error = STS_NO_RECORD},
};

static const struct fake_answer quick_answers[] = {
    {"_mta-sts.slow.test", DNS_TXT, .records = {{0, "now"}}},
    {"mta-sts.slow.test", DNS_A, .error = STS_NO_RECORD},
    {"mta-sts.slow.test", DNS_AAAA, .error = STS_NO_RECORD},
    {"slow.test", DNS_MX, .records = {{0, "a.test"}}},
    {"mta-sts.v4.test", A4},
    {"mta-sts.v4.test", DNS_AAAA, .error = STS_NO_RECORD},
};

/* Starts one job of each kind, and one that has come to its fetch; none will end. */
static void
start_slow_jobs(struct got got[4])
{
    int started = fake_fetch.started;

    fake_dns_set(slow_answers, sizeof(slow_answers) / sizeof(*slow_answers));
    fake_fetch.delay_ms = 900;
    fake_fetch.outcome = (struct fetch_result){.error = STS_OK, .body = "policy", .len = 6};
    source_txt(lab.source, "slow.test", lab_on_txt, &got[0]);
    source_fetch(lab.source, "slow.test", lab_on_fetch, &got[1]);
    source_mx(lab.source, "slow.test", 0, lab_on_mx, &got[2]);
    source_fetch(lab.source, "v4.test", lab_on_fetch, &got[3]);
    while (fake_fetch.started == started)
        lab_run_for(5);
}

static void
test_reload(void **state)
{
    struct got got[4] = {0};
    char why[100] = "";

    (void)state;
    start_slow_jobs(got);
    fake_dns_set(quick_answers, sizeof(quick_answers) / sizeof(*quick_answers));
    fake_fetch.delay_ms = 0;
    assert_true(source_reload(lab.source, &lab.settings, why, sizeof(why)));
    for (size_t i = 0; i < 4; i++)
        if (got[i].calls == 0)
            lab_wait_for(&got[i], 1);
    lab_run_for(50);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(got[i].calls, 1);
    assert_string_equal(got[0].text, "now ");
    assert_int_equal(got[1].error, STS_NO_HOST);
    assert_string_equal(got[2].text, "a.test ");
    assert_string_equal(got[3].text, "policy ");
}

static void
test_bad_reload_keeps_the_old(void **state)
{
    struct got got = {0};
    char why[100] = "";

    (void)state;
    fake_dns_set(txt_answers, sizeof(txt_answers) / sizeof(*txt_answers));
    fake_dns_refusal = "no such server";
    assert_false(source_reload(lab.source, &lab.settings, why, sizeof(why)));
    assert_string_equal(why, "no such server");
    fake_dns_refusal = NULL;
    fake_fetch.refusal = "no such file";
    assert_false(source_reload(lab.source, &lab.settings, why, sizeof(why)));
    assert_string_equal(why, "no such file");
    assert_null(source_new(lab.base, &lab.settings, why, sizeof(why)));
    fake_fetch.refusal = NULL;
    source_txt(lab.source, "one.test", lab_on_txt, &got);
    lab_wait_for(&got, 1);
}

static void
test_free_drops_all(void **state)
{
    struct got got[4] = {0}, unread = {0};
    char why[100];

    (void)state;
    start_slow_jobs(got);
    source_txt(lab.source, "not-in-table.test", lab_on_txt, &unread);
    usleep(50000); /* its result lies in our mailbox */
    source_free(lab.source);
    lab_run_for(50);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(got[i].calls, 0);
    assert_int_equal(unread.calls, 0);
    fake_fetch.delay_ms = 0;
    lab.source = source_new(lab.base, &lab.settings, why, sizeof(why));
    assert_non_null(lab.source);
}

static _Atomic int signals_on_other_threads;
static pthread_t main_thread;

static void
on_signal(int number)
{
    (void)number;
    if (!pthread_equal(pthread_self(), main_thread))
        signals_on_other_threads++;
}

/* While the main thread holds a signal back, the process has no other thread that takes it. */
static void
test_signals_stay_with_the_main_thread(void **state)
{
    sigset_t one, pending;

    (void)state;
    main_thread = pthread_self();
    signal(SIGUSR1, on_signal);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    kill(getpid(), SIGUSR1);
    usleep(50000);
    sigpending(&pending);
    assert_true(sigismember(&pending, SIGUSR1));
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    assert_int_equal(signals_on_other_threads, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_bad_reload_keeps_the_old),
        cmocka_unit_test(test_free_drops_all),
        cmocka_unit_test(test_signals_stay_with_the_main_thread),
    };
    return cmocka_run_group_tests(tests, source_lab_set_up, source_lab_tear_down);
}
