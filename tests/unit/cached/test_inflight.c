/* How many resolutions run at a time, and for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/log.h"
#include "tests/fake/query_lab.h"

enum { WEEK_S = 7 * 86400 };

static void
too_many_resolutions_are_overload(void **state)
{
    struct lab *lab = *state;
    static struct asker askers[QUERY_RUNNING_MAX];
    struct asker one_more;
    char domain[32];

    for (int i = 0; i < QUERY_RUNNING_MAX; i++) {
        snprintf(domain, sizeof domain, "d%d.test", i);
        lab_put(lab, (struct question){.domain = domain, .wait_ms = -1}, &askers[i]);
        assert_false(askers[i].at_once);
    }
    lab_ask(lab, &one_more);
    lab_assert_told(&one_more, VERDICT_UNKNOWN, STS_OVERLOAD);
    assert_int_equal(query_running(lab->engine), QUERY_RUNNING_MAX);
    lab_put(lab, (struct question){.domain = "d7.test", .wait_ms = -1}, &one_more);
    assert_false(one_more.at_once); /* joining one is no new one */
    query_cancel(one_more.token);
}

static void
flood(struct lab *lab, const char *below, struct asker *askers, int count)
{
    char domain[64];

    for (int i = 0; i < count; i++) {
        snprintf(domain, sizeof domain, "d%d.%s", i, below);
        lab_put(lab, (struct question){.domain = domain, .wait_ms = -1}, &askers[i]);
        assert_false(askers[i].at_once);
    }
}

/* What one organisation can have: all but what is kept for newcomers and for its policies. */
enum { MOST = QUERY_RUNNING_MAX - 2 * QUERY_SHARE_MAX };

static void
one_organisation_leaves_room(void **state)
{
    static const struct txt_result nothing = {.error = STS_NO_RECORD, .ttl_s = LAB_TTL_S};
    struct question one_more = {.domain = "more.evil.co.uk", .wait_ms = -1};
    static struct asker askers[MOST], others[2 * QUERY_SHARE_MAX];
    struct lab *lab = *state;
    struct asker asker;
    char domain[32];

    flood(lab, "evil.co.uk", askers, MOST);
    for (int i = 0; i < 2; i++) {
        lab_put(lab, one_more, &asker);
        lab_assert_told(&asker, VERDICT_UNKNOWN, STS_OVERLOAD);
        lab_put(lab, (struct question){.domain = "d7.evil.co.uk", .wait_ms = -1}, &asker);
        assert_false(asker.at_once); /* joining one is no new one */
    }
    fake_source_end_txt(&lab->source, "d0.evil.co.uk", &nothing); /* leaves its place */
    lab_put(lab, one_more, &asker);
    assert_false(asker.at_once);
    lab_put(lab, (struct question){.domain = "evil.co.uk", .wait_ms = -1}, &asker);
    lab_assert_told(&asker, VERDICT_UNKNOWN, STS_OVERLOAD);

    for (int i = 0; i < 2 * QUERY_SHARE_MAX; i++) {
        snprintf(domain, sizeof domain, "others%d.co.uk", i);
        lab_put(lab, (struct question){.domain = domain, .wait_ms = -1}, &others[i]);
        assert_false(others[i].at_once);
    }
    assert_int_equal(query_running(lab->engine), QUERY_RUNNING_MAX);
    lab_put(lab, (struct question){.domain = "last.co.uk", .wait_ms = -1}, &asker);
    lab_assert_told(&asker, VERDICT_UNKNOWN, STS_OVERLOAD);
}

/* While the first has so many, the second has its share. */
static void
a_second_organisation_has_an_eighth(void **state)
{
    static struct asker askers[MOST], second[QUERY_SHARE_MAX];
    struct lab *lab = *state;
    struct asker asker;

    flood(lab, "evil.co.uk", askers, MOST);
    flood(lab, "ill.co.uk", second, QUERY_SHARE_MAX);
    lab_put(lab, (struct question){.domain = "more.ill.co.uk", .wait_ms = -1}, &asker);
    lab_assert_told(&asker, VERDICT_UNKNOWN, STS_OVERLOAD);
    lab_put(lab, (struct question){.domain = "others.co.uk", .wait_ms = -1}, &asker);
    assert_false(asker.at_once);
}

static void
a_flood_of_names_keeps_no_policy_from_renewal(void **state)
{
    static struct asker askers[MOST], others[QUERY_SHARE_MAX + 1];
    struct lab *lab = *state;
    struct asker asker;
    char domain[32];

    lab_hold(lab, "id1", "enforce", WEEK_S);
    lab_pass(lab, 86400);
    flood(lab, LAB_DOMAIN, askers, MOST);
    lab_put(lab, (struct question){.domain = "more." LAB_DOMAIN, .wait_ms = -1}, &asker);
    lab_assert_told(&asker, VERDICT_UNKNOWN, STS_OVERLOAD);
    for (int i = 0; i <= QUERY_SHARE_MAX; i++) {
        snprintf(domain, sizeof domain, "others%d.co.uk", i);
        lab_put(lab, (struct question){.domain = domain, .wait_ms = -1}, &others[i]);
        assert_false(others[i].at_once);
    }
    assert_true(query_refresh(lab->engine, LAB_DOMAIN));
    lab_txt(lab, "id2");
    lab_fetch(lab, "enforce", WEEK_S);
    lab_ask_mx(lab, &asker);
    assert_int_equal(lab_running(lab), FAKE_MX);
    lab_mx(lab, STS_OK, "mx.example.com");
    assert_int_equal(asker.verdict, VERDICT_SECURE);
}

static void
hold(struct lab *lab, const char *domain)
{
    static const char text[] = "v=STSv1; id=1;",
                      body[] = "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 604800\n";
    const struct span record = {text, sizeof text - 1};
    const struct txt_result txt = {.ttl_s = LAB_TTL_S, .records = &record, .count = 1};
    const struct fetch_result fetch = {.http_status = 200, .body = body, .len = sizeof body - 1};
    struct asker asker;

    lab_put(lab, (struct question){.domain = domain, .wait_ms = -1}, &asker);
    fake_source_end_txt(&lab->source, domain, &txt);
    fake_source_end_fetch(&lab->source, domain, &fetch);
    assert_true(asker.has_policy);
}

/* Nor do policies below one registrable domain keep newcomers out. */
static void
a_flood_of_policies_leaves_room(void **state)
{
    static struct asker askers[MOST];
    struct lab *lab = *state;
    struct asker asker;
    char domain[32];
    int begun = 0;

    for (int i = 0; i < QUERY_SHARE_MAX + 100; i++) {
        snprintf(domain, sizeof domain, "p%d.evil.co.uk", i);
        hold(lab, domain);
    }
    lab_pass(lab, 86400);
    flood(lab, "evil.co.uk", askers, MOST);
    for (int i = 0; i < QUERY_SHARE_MAX + 100; i++) {
        snprintf(domain, sizeof domain, "p%d.evil.co.uk", i);
        begun += query_refresh(lab->engine, domain);
    }
    assert_int_equal(begun, QUERY_SHARE_MAX);
    lab_put(lab, (struct question){.domain = "others.co.uk", .wait_ms = -1}, &asker);
    assert_false(asker.at_once);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_set_up, lab_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(too_many_resolutions_are_overload),
        TEST(one_organisation_leaves_room),
        TEST(a_second_organisation_has_an_eighth),
        TEST(a_flood_of_names_keeps_no_policy_from_renewal),
        TEST(a_flood_of_policies_leaves_room),
    };

    log_open("test_inflight", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
