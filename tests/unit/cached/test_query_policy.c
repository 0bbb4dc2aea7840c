/* A policy in force: what ends it, what does not, and what comes before it refuses a host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/fake/query_lab.h"

enum { WEEK_S = 7 * 86400 };

/* --- a policy in force ----------------------------------------------------------- */

static void
a_policy_is_rechecked_after_the_ttl_in_the_background(void **state)
{
    struct lab *lab = *state;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, LAB_TTL_S - 1);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
    lab_pass(lab, 1);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab_running(lab), FAKE_TXT);
    lab_txt(lab, "id1");
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
    lab_pass(lab, LAB_TTL_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "id2");
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_fetch(lab, "testing", WEEK_S);
    lab_assert_now(lab, VERDICT_TESTING, STS_OK);
    assert_int_equal(lab->stats.weakened, 1);
}

enum trouble { TXT_GONE, TXT_SEVERAL, TXT_SERVFAIL, FETCH_FAILS, BODY_BAD };

static void
meet(struct lab *lab, enum trouble trouble)
{
    static const struct span two[] = {{"v=STSv1; id=a;", 14}, {"v=STSv1; id=b;", 14}};
    static const struct txt_result several = {.ttl_s = 60, .records = two, .count = 2};

    switch (trouble) {
    case TXT_GONE:
        lab_txt_fails(lab, STS_NO_RECORD, 60);
        break;
    case TXT_SEVERAL:
        fake_source_end_txt(&lab->source, LAB_DOMAIN, &several);
        break;
    case TXT_SERVFAIL:
        lab_txt_fails(lab, STS_DNS_SERVFAIL, 0);
        break;
    case FETCH_FAILS:
        lab_txt(lab, "id2");
        lab_fetch_fails(lab, STS_TLS_EXPIRED);
        break;
    case BODY_BAD:
        lab_txt(lab, "id2");
        lab_fetch_body(lab, "version: STSv1\nmode: none\nmax_age: soon\n");
        break;
    }
}

/* RFC 8461 s3.1, s3.3: nothing but a new valid policy ends one before its term. */
static void
no_trouble_ends_a_policy_before_its_term(void **state)
{
    (void)state;
    for (int trouble = TXT_GONE; trouble <= BODY_BAD; trouble++) {
        struct lab *lab = lab_new();
        struct asker asker;

        print_message("trouble %d\n", trouble);
        lab_hold(lab, "id1", "enforce", 3600);
        lab_pass(lab, 3600 - 30);
        lab_assert_now(lab, VERDICT_SECURE, STS_OK);
        meet(lab, trouble);
        if (lab_running(lab) == FAKE_FETCH) /* the refresh was due, too */
            lab_fetch_fails(lab, STS_TLS_EXPIRED);
        lab_pass(lab, 29);
        lab_assert_now(lab, VERDICT_SECURE, STS_OK);
        lab_pass(lab, 1);
        lab_ask(lab, &asker);
        if (!asker.at_once) {
            lab_txt_fails(lab, STS_NO_RECORD, 60);
            lab_assert_told(&asker, VERDICT_NONE, STS_NO_RECORD);
        }
        lab_assert_told(&asker, VERDICT_NONE, asker.reason);
        assert_false(asker.has_policy);
        lab_free(lab);
    }
}

static void
a_day_old_policy_is_fetched_whatever_its_id(void **state)
{
    struct lab *lab = *state;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, 86400);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "id1");
    assert_int_equal(lab_running(lab), FAKE_FETCH);
    lab_fetch_fails(lab, STS_TIMEOUT);
    assert_int_equal(lab->stats.refreshes_failed, 1);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
}

/* RFC 8461 s3.1: no record, no discovery, however often it is looked for. */
static void
without_a_record_nothing_is_fetched(void **state)
{
    struct lab *lab = *state;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    for (int i = 0; i < 3; i++) {
        lab_pass(lab, LAB_TTL_S);
        lab_assert_now(lab, VERDICT_SECURE, STS_OK);
        lab_txt_fails(lab, STS_NO_RECORD, LAB_TTL_S);
        assert_int_equal(lab_running(lab), FAKE_NOTHING);
    }
    assert_int_equal(lab->source.txt_started, 4);
    assert_int_equal(lab->source.fetch_started, 1);
}

/* Whatever time the failed answer was good for. */
static void
a_record_that_could_not_be_asked_for_is_asked_for_in_a_minute(void **state)
{
    struct lab *lab = *state;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, LAB_TTL_S);
    for (int i = 0; i < 3; i++) {
        lab_assert_now(lab, VERDICT_SECURE, STS_OK);
        lab_txt_fails(lab, STS_DNS_SERVFAIL, 300);
        lab_pass(lab, 59);
        lab_assert_now(lab, VERDICT_SECURE, STS_OK);
        assert_int_equal(lab_running(lab), FAKE_NOTHING);
        lab_pass(lab, 1);
    }
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab_running(lab), FAKE_TXT);
}

static void
ids_are_compared_byte_by_byte(void **state)
{
    struct lab *lab = *state;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, LAB_TTL_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "Id1");
    assert_int_equal(lab_running(lab), FAKE_FETCH);
    lab_fetch_fails(lab, STS_TIMEOUT);
    lab_pass(lab, LAB_TTL_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "ID1"); /* nor is this the one that failed */
    assert_int_equal(lab_running(lab), FAKE_FETCH);
    lab_fetch(lab, "testing", WEEK_S);
    lab_assert_now(lab, VERDICT_TESTING, STS_OK);
}

static const struct {
    const char *name;
    unsigned max_age_s;
    int64_t age_s, retry_s;
} retries[] = {
    {"after an hour at most", WEEK_S, 86400, 3600},
    {"after an eighth of the time left", 86400, 82080, 540},
    {"after five minutes at least", 3600, 3250, 300},
};

/* RFC 8461 s3.3, s10.2: neither at once nor only when the policy is about to end. */
static void
a_failed_refresh_is_tried_again_in_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof retries / sizeof retries[0]; i++) {
        struct lab *lab = lab_new();

        print_message("%s\n", retries[i].name);
        lab_hold(lab, "id1", "enforce", retries[i].max_age_s);
        lab_pass(lab, retries[i].age_s);
        lab_assert_now(lab, VERDICT_SECURE, STS_OK);
        lab_txt(lab, "id1");
        lab_fetch_fails(lab, STS_TIMEOUT);
        assert_int_equal(cache_get(lab->cache, LAB_DOMAIN, false)->refresh_s,
                         lab->boot_ms / 1000 + retries[i].retry_s);
        lab_pass(lab, retries[i].retry_s - 1);
        lab_assert_now(lab, VERDICT_SECURE, STS_OK);
        lab_txt(lab, "id1");
        assert_int_equal(lab_running(lab), FAKE_NOTHING);
        lab_pass(lab, 1);
        lab_assert_now(lab, VERDICT_SECURE, STS_OK);
        lab_txt(lab, "id1");
        assert_int_equal(lab_running(lab), FAKE_FETCH);
        lab_free(lab);
    }
}

/* Nobody but the domain's owner can have brought it back: there is no other node that heard it. */
static void
an_earlier_id_is_news_to_a_host_alone(void **state)
{
    struct lab *lab = *state;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    for (const char *const *id = (const char *const[]){"id2", "id1", NULL}; *id != NULL; id++) {
        lab_pass(lab, 400);
        lab_assert_now(lab, VERDICT_SECURE, STS_OK);
        lab_txt(lab, *id);
        assert_int_equal(lab_running(lab), FAKE_FETCH);
        lab_fetch(lab, "enforce", WEEK_S);
    }
}

/* --- what the operator hears ------------------------------------------------------- */

static int own_stderr;
static FILE *caught;

static void
catch_log(void)
{
    caught = tmpfile();
    own_stderr = dup(STDERR_FILENO);
    dup2(fileno(caught), STDERR_FILENO);
    log_open("test_query_policy", true, LOG_LEVEL_WARNING);
}

/* What was logged since. */
static const char *
caught_log(void)
{
    static char text[2 * LOG_LINE_MAX];
    size_t len;

    log_open("test_query_policy", true, LOG_LEVEL_ERROR);
    dup2(own_stderr, STDERR_FILENO);
    close(own_stderr);
    rewind(caught);
    len = fread(text, 1, sizeof text - 1, caught);
    fclose(caught);
    text[len] = '\0';
    return text;
}

static const struct {
    const char *mode;
    struct fetch_result result;
    const char *line;
} failed_refreshes[] = {
    {"enforce",
     {.error = STS_TIMEOUT},
     "warning: the policy of example.com could not be refreshed: timeout; the cached one stays in "
     "force for 518400 s\n"},
    {"testing",
     {.error = STS_HTTP_STATUS, .http_status = 503, .detail = "HTTP status 503"},
     "warning: the policy of example.com could not be refreshed: http-status: HTTP status 503; the "
     "cached one stays in force for 518400 s\n"},
    {"none", {.error = STS_TIMEOUT}, ""},
};

/* RFC 8461 s3.3: whoever suppresses a policy until it ends is noticed long before. */
static void
a_failed_refresh_tells_the_time_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof failed_refreshes / sizeof failed_refreshes[0]; i++) {
        struct lab *lab = lab_new();
        struct asker asker;

        lab_hold(lab, "id1", failed_refreshes[i].mode, WEEK_S);
        lab_pass(lab, 86400);
        lab_ask(lab, &asker);
        assert_true(asker.at_once);
        lab_txt(lab, "id1");
        catch_log();
        fake_source_end_fetch(&lab->source, LAB_DOMAIN, &failed_refreshes[i].result);
        assert_string_equal(caught_log(), failed_refreshes[i].line);
        lab_free(lab);
    }
}

static void
a_weaker_policy_raises_an_alarm(void **state)
{
    struct lab *lab = *state;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, LAB_TTL_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "id2");
    catch_log();
    lab_fetch(lab, "testing", WEEK_S);
    assert_string_equal(caught_log(), "warning: alarm: the policy of example.com became weaker: "
                                      "mode enforce to testing, id id1 to id2\n");
    lab_pass(lab, LAB_TTL_S);
    lab_assert_now(lab, VERDICT_TESTING, STS_OK);
    lab_txt(lab, "id3");
    catch_log();
    lab_fetch(lab, "enforce", WEEK_S);
    assert_string_equal(caught_log(), "");
}

static void
a_policy_for_other_hosts_raises_an_alarm(void **state)
{
    struct lab *lab = *state;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, LAB_TTL_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "id2");
    catch_log();
    lab_fetch_body(lab, "version: STSv1\nmode: enforce\nmx: mx.elsewhere.test\nmax_age: 604800\n");
    assert_string_equal(caught_log(), "warning: alarm: the policy of example.com became weaker: "
                                      "mode enforce to enforce, id id1 to id2, no mx in common\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_set_up, lab_tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_policy_is_rechecked_after_the_ttl_in_the_background),
        cmocka_unit_test(no_trouble_ends_a_policy_before_its_term),
        TEST(a_day_old_policy_is_fetched_whatever_its_id),
        TEST(without_a_record_nothing_is_fetched),
        TEST(a_record_that_could_not_be_asked_for_is_asked_for_in_a_minute),
        TEST(ids_are_compared_byte_by_byte),
        cmocka_unit_test(a_failed_refresh_is_tried_again_in_time),
        cmocka_unit_test(a_failed_refresh_tells_the_time_left),
        TEST(a_weaker_policy_raises_an_alarm),
        TEST(a_policy_for_other_hosts_raises_an_alarm),
        TEST(an_earlier_id_is_news_to_a_host_alone),
    };

    log_open("test_query_policy", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
