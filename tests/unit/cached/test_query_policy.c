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

/* --- refusals ---------------------------------------------------------------------- */

static void
hold_unlisted(struct lab *lab)
{
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, 11);
    lab_ask_mx(lab, &asker);
    lab_mx(lab, STS_OK, "mx.elsewhere.test");
    assert_int_equal(asker.answers, 0);
    assert_int_equal(lab_running(lab), FAKE_TXT);
    query_cancel(asker.token);
}

static void
a_refusal_waits_for_a_fresh_record(void **state)
{
    struct lab *lab = *state;
    struct asker asker;
    size_t looked;

    hold_unlisted(lab);
    lab_ask_mx(lab, &asker);
    lab_txt(lab, "id1");
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
    looked = lab->source.txt_started;
    lab_pass(lab, 9);
    lab_ask_mx(lab, &asker); /* at most once in 10 s */
    assert_true(asker.at_once);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
    assert_int_equal(lab->source.txt_started, looked);
    lab_pass(lab, 1);
    lab_ask_mx(lab, &asker);
    assert_false(asker.at_once);
    assert_int_equal(lab->source.txt_started, looked + 1);
    query_cancel(asker.token);
}

static void
a_changed_id_rescues_from_refusal(void **state)
{
    struct lab *lab = *state;
    struct asker asker, joins;

    hold_unlisted(lab);
    lab_ask_mx(lab, &asker);
    lab_txt(lab, "id2");
    assert_int_equal(asker.answers, 0); /* not before the new policy was seen */
    lab_ask_mx(lab, &joins);
    assert_int_equal(joins.answers, 0);
    lab_fetch_body(lab, "version: STSv1\nmode: enforce\nmx: mx.elsewhere.test\nmax_age: 86400\n");
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    lab_assert_told(&joins, VERDICT_SECURE, STS_OK);
    assert_string_equal(asker.hosts, "mx.elsewhere.test");
}

static void
a_failed_rescue_refuses(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    hold_unlisted(lab);
    lab_ask_mx(lab, &asker);
    lab_txt(lab, "id2");
    lab_fetch_fails(lab, STS_TIMEOUT);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
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

/* The fetch of the new id takes so long that the look before it is no fresh one when it fails. */
static void
a_refusal_waits_for_one_record_only(void **state)
{
    struct lab *lab = *state;
    struct asker asker;
    size_t looked;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_ask_mx(lab, &asker);
    lab_mx(lab, STS_OK, "mx.elsewhere.test");
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
    lab_pass(lab, 11);
    looked = lab->source.txt_started;
    lab_ask_mx(lab, &asker);
    assert_int_equal(lab_running(lab), FAKE_TXT);
    lab_txt(lab, "id2");
    lab_pass(lab, 11);
    lab_fetch_fails(lab, STS_TIMEOUT);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_MX_NOT_LISTED);
    assert_int_equal(lab_running(lab), FAKE_NOTHING);
    assert_int_equal(lab->source.txt_started, looked + 1);
}

/* RFC 7505: no policy makes such a domain take mail. */
static void
a_null_mx_waits_for_no_rescue(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_ask_mx(lab, &asker);
    lab_mx(lab, STS_NULL_MX, NULL);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_NULL_MX);
    lab_pass(lab, LAB_TTL_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    lab_txt(lab, "id2");
    assert_int_equal(lab_running(lab), FAKE_FETCH);
    lab_ask_mx(lab, &asker);
    assert_true(asker.at_once);
    lab_assert_told(&asker, VERDICT_REFUSE, STS_NULL_MX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_set_up, lab_tear_down)

/* --- DANE ------------------------------------------------------------------ */

/* A reload turns it on: what was looked up without it is looked up again. */
static void
a_set_looked_up_without_dane_is_of_no_use(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_ask_mx(lab, &asker);
    assert_false(lab->source.with_dane);
    lab_mx(lab, STS_OK, "mx1." LAB_DOMAIN);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    lab->settings.dane = true;
    lab_ask_mx(lab, &asker);
    assert_false(asker.at_once);
    lab_mx_dane(lab, "mx1." LAB_DOMAIN, DANE_USABLE);
    lab_assert_told(&asker, VERDICT_DANE, STS_OK);
    lab_ask_mx(lab, &asker);
    assert_true(asker.at_once);
    lab_assert_told(&asker, VERDICT_DANE, STS_OK);
    lab->settings.dane = false;
    lab_ask_mx(lab, &asker);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab->source.mx_started, 2);
}

/* DANE is turned on while the set is looked up without it: asked again, and then answered. */
static void
dane_turned_on_meanwhile(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_ask_mx(lab, &asker);
    lab->settings.dane = true;
    lab_mx(lab, STS_OK, "mx1." LAB_DOMAIN);
    assert_int_equal(asker.answers, 0);
    lab_mx_dane(lab, "mx1." LAB_DOMAIN, DANE_FAILED);
    lab_assert_told(&asker, VERDICT_SECURE, STS_DNS_SERVFAIL);
}

/* Time is up while the hosts are looked at again: what DANE said of them last still counts, for
 * MTA-STS must not override it. */
static void
a_deadline_does_not_undo_dane(void **state)
{
    struct lab *lab = *state;
    struct asker asker;

    lab->settings.dane = true;
    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_put(lab, (struct question){.wait_ms = LAB_SOON_MS, .want_mx = true}, &asker);
    lab_wait(lab, &asker);
    lab_assert_told(&asker, VERDICT_SECURE, STS_DEADLINE);
    lab_mx_dane(lab, "mx1." LAB_DOMAIN, DANE_USABLE);
    lab_pass(lab, 301);
    lab_put(lab, (struct question){.wait_ms = LAB_SOON_MS, .want_mx = true}, &asker);
    lab_wait(lab, &asker);
    lab_assert_told(&asker, VERDICT_DANE, STS_DEADLINE);
    lab_mx_dane(lab, "mx1." LAB_DOMAIN, DANE_NONE);
    lab_pass(lab, 301);
    lab_put(lab, (struct question){.wait_ms = LAB_SOON_MS, .want_mx = true}, &asker);
    lab_wait(lab, &asker);
    lab_assert_told(&asker, VERDICT_SECURE, STS_DEADLINE);
}

/* Who does not ask about the hosts (Sendmail's name) waits for no DNS. */
static void
dane_is_nothing_to_a_plain_question(void **state)
{
    struct lab *lab = *state;

    lab->settings.dane = true;
    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_assert_now(lab, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab->source.mx_started, 0);
}

static bool
needs_mx(const struct judgement *j)
{
    return j->verdict == VERDICT_SECURE;
}

/* Sendmail's list is too long, which the policy tells: one question all the same, once answered. */
static void
an_asker_may_need_the_hosts_after_all(void **state)
{
    struct question question = {.wait_ms = LAB_SOON_MS, .needs_mx = needs_mx};
    struct lab *lab = *state;
    struct asker asker, plain;

    lab_put(lab, question, &asker);
    lab_put(lab, (struct question){.wait_ms = LAB_SOON_MS}, &plain);
    lab_txt(lab, "id1");
    lab_fetch(lab, "enforce", WEEK_S);
    lab_assert_told(&plain, VERDICT_SECURE, STS_OK);
    assert_int_equal(asker.answers, 0);
    lab_mx(lab, STS_OK, "mx1." LAB_DOMAIN);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab->stats.questions, 2);
    lab_pass(lab, 601); /* the set is too old */
    lab_put(lab, question, &asker);
    assert_false(asker.at_once);
    if (lab_running(lab) == FAKE_TXT)
        lab_txt(lab, "id1");
    lab_mx(lab, STS_OK, "mx1." LAB_DOMAIN);
    lab_assert_told(&asker, VERDICT_SECURE, STS_OK);
    assert_int_equal(lab->stats.questions, 3);
    lab_put(lab, question, &asker);
    assert_true(asker.at_once);
    assert_int_equal(lab->stats.questions, 4);
}

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
        TEST(a_refusal_waits_for_a_fresh_record),
        TEST(a_changed_id_rescues_from_refusal),
        TEST(a_failed_rescue_refuses),
        TEST(an_earlier_id_is_news_to_a_host_alone),
        TEST(a_refusal_waits_for_one_record_only),
        TEST(a_null_mx_waits_for_no_rescue),
        TEST(a_set_looked_up_without_dane_is_of_no_use),
        TEST(dane_turned_on_meanwhile),
        TEST(a_deadline_does_not_undo_dane),
        TEST(dane_is_nothing_to_a_plain_question),
        TEST(an_asker_may_need_the_hosts_after_all),
    };

    log_open("test_query_policy", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
