#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "cached/dns.h"
#include "tests/fake/dns_lab.h"

#define NAME "_mta-sts.example.com"

enum { MANY = 2000, OTHERS = 600 };

static void
say_txt(struct packet *p, const struct dns_question *q)
{
    (void)q;
    packet_txt(p, NAME, "v=STSv1; id=1;");
}

static void
test_name_that_dns_cannot_hold(void **state)
{
    char name[300];
    struct dns_lab lab;

    (void)state;
    memset(name, 'x', sizeof(name));
    for (size_t i = 50; i < 260; i += 50)
        name[i] = '.';
    dns_lab_open(&lab, SCRIPT(say_txt), NULL);
    name[254] = '\0';
    dns_lab_look_up(&lab, name);
    assert_int_equal(lab.result.error, STS_NO_RECORD);
    name[254] = 'x';
    name[299] = '\0';
    dns_lab_look_up(&lab, name);
    assert_int_equal(lab.result.error, STS_NO_RECORD);
    assert_int_equal(dns_server_asked(lab.servers[0]), 0);
    dns_lab_close(&lab);
}

static void
test_cancel(void **state)
{
    struct dns_lab lab;
    struct dns_lab_result result = {0};
    struct dns_lookup *lookup;

    (void)state;
    dns_lab_open(&lab, SCRIPT(say_txt), NULL);
    lookup = dns_lookup_start(lab.dns, NAME, DNS_TXT, dns_lab_on_done, &result);
    dns_lookup_cancel(lookup);
    dns_lookup_cancel(NULL);
    dns_lab_look_up(&lab, NAME);
    assert_int_equal(result.calls, 0);
    dns_lab_close(&lab);
}

static void
test_free_while_running(void **state)
{
    static struct dns_lab_result results[MANY];
    struct dns_lab lab;

    (void)state;
    dns_lab_open(&lab, SCRIPT(say_txt), NULL);
    for (size_t i = 0; i < MANY; i++)
        assert_non_null(dns_lookup_start(lab.dns, NAME, DNS_TXT, dns_lab_on_done, &results[i]));
    dns_lab_close(&lab);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(results[i].calls, 0);
}

static void
set_files(rlim_t soft)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int
count_open_files(void)
{
    int count = 0;

    for (int fd = 0; fd < 2 * MANY; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Only so many run at a time, of one organisation fewer; the others have their turn. A cancelled
 * one makes room. */
static void
test_many(void **state)
{
    static struct dns_lookup *lookups[MANY];
    struct dns_lab_result all = {0}, others = {0};
    struct dns_lab lab;

    (void)state;
    set_files(2 * MANY);
    dns_lab_open(&lab, SCRIPT(say_txt), NULL);
    int before = count_open_files();
    for (size_t i = 0; i < MANY; i++)
        lookups[i] = dns_lookup_start(lab.dns, NAME, DNS_TXT, dns_lab_on_done, &all);
    assert_int_equal(count_open_files(), before + DNS_SHARE_MAX);
    for (size_t i = 0; i < OTHERS; i++)
        assert_non_null(dns_lookup_start(lab.dns, "other.test", DNS_TXT, dns_lab_on_done, &others));
    assert_int_equal(count_open_files(), before + DNS_RUNNING_MAX);
    dns_lookup_cancel(lookups[0]);
    dns_lookup_cancel(lookups[MANY - 1]);
    assert_int_equal(count_open_files(), before + DNS_RUNNING_MAX);
    dns_lab_turn(&lab, &all.calls, MANY - 2);
    dns_lab_turn(&lab, &others.calls, OTHERS);
    assert_int_equal(all.error, STS_OK);
    assert_int_equal(count_open_files(), before);
    dns_lab_close(&lab);
}

static void
test_no_descriptors(void **state)
{
    struct dns_lab lab;

    (void)state;
    dns_lab_open(&lab, SCRIPT(say_txt), NULL);
    set_files(3);
    dns_lab_look_up(&lab, NAME);
    set_files(1024);
    assert_int_equal(lab.result.error, STS_DNS_TIMEOUT);
    assert_non_null(strstr(lab.result.why, "could not be sent"));
    dns_lab_look_up(&lab, NAME);
    assert_int_equal(lab.result.error, STS_OK);
    dns_lab_close(&lab);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_that_dns_cannot_hold),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_free_while_running),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_no_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
