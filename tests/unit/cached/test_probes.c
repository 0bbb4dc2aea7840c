/* What is known of MX hosts: one probe a host, kept for its time, and waits that end once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/probes.h"
#include "cached/stats.h"
#include "common/clock.h"
#include "tests/fake/fake_farm.h"
#include "tests/fake/fake_source.h"

#define MX1 "mx1.example.com"
#define MX2 "mx2.example.com"

enum { BOOT_MS = 500 * 1000 * 1000, WALL_S = 1790000000, LIMIT_MS = 60 * 1000 };

struct desk {
    struct event_base *base;
    struct source source;
    struct stats stats;
    struct probes *probes;
    int64_t passed_ms;
};

/* One who waits, and may drop another's wait when told. */
struct waiter {
    struct probes_wait *wait, **drops;
    unsigned told;
};

static void
pass(struct desk *d, int64_t ms)
{
    d->passed_ms += ms;
    clock_fake(BOOT_MS + d->passed_ms, WALL_S + d->passed_ms / 1000);
}

static int
set_up(void **state)
{
    struct desk *d = calloc(1, sizeof *d);

    pass(d, 0);
    d->base = event_base_new();
    d->probes = probes_new(d->base, &d->source, &d->stats);
    *state = d;
    return 0;
}

static int
tear_down(void **state)
{
    struct desk *d = *state;

    probes_free(d->probes);
    assert_int_equal(d->source.running, 0);
    event_base_free(d->base);
    free(d);
    return 0;
}

static void
on_done(void *arg)
{
    struct waiter *w = arg;

    w->told++;
    w->wait = NULL;
    if (w->drops != NULL) {
        probes_cancel(*w->drops);
        *w->drops = NULL;
    }
}

static void
want(struct desk *d, struct waiter *w, const char *one, const char *other)
{
    const char *hosts[] = {one, other};

    w->wait = probes_want(d->probes, hosts, other != NULL ? 2 : 1, LIMIT_MS, on_done, w);
    assert_non_null(w->wait);
    assert_int_equal(w->told, 0);
}

static void
end(struct desk *d, const char *host, enum sts_error error)
{
    struct probe_result result = {.error = error, .expires_s = WALL_S + 86400};

    if (error != STS_OK)
        snprintf(result.detail, sizeof result.detail, "why %s", host);
    fake_source_end_probe(&d->source, host, &result);
}

static void
assert_known(struct desk *d, const char *host, enum sts_error error)
{
    struct probe_memory m = probes_look(d->probes, host);

    assert_int_equal(m.state, PROBE_KNOWN);
    assert_int_equal(m.error, error);
}

static void
assert_state(struct desk *d, const char *host, enum probe_state state)
{
    assert_int_equal(probes_look(d->probes, host).state, state);
}

static void
one_probe_serves_all_who_want_the_host(void **state)
{
    struct desk *d = *state;
    struct waiter w[3] = {{0}};

    assert_state(d, MX1, PROBE_UNKNOWN);
    want(d, &w[0], MX1, NULL);
    assert_state(d, MX1, PROBE_RUNNING);
    pass(d, 700);
    assert_int_equal(probes_look(d->probes, MX1).running_ms, 700);
    want(d, &w[1], MX1, MX2);
    want(d, &w[2], MX2, NULL);
    assert_int_equal(d->source.probe_started, 2);
    assert_int_equal(d->stats.probes_running, 2);
    end(d, MX1, STS_TLS_NAME);
    assert_int_equal(w[0].told + w[1].told, 2);
    assert_int_equal(w[2].told, 0);
    end(d, MX2, STS_OK);
    assert_int_equal(w[0].told + w[1].told + w[2].told, 3);
    assert_known(d, MX1, STS_TLS_NAME);
    assert_string_equal(probes_look(d->probes, MX1).detail, "why " MX1);
    assert_known(d, MX2, STS_OK);
    assert_int_equal(d->stats.probes, 2);
    assert_int_equal(d->stats.probes_failed[STS_TLS_NAME], 1);
    assert_int_equal(d->stats.probes_failed[STS_OK], 0);
    assert_int_equal(d->stats.probes_running, 0);
}

static void
a_result_is_kept_for_its_time(void **state)
{
    static const struct {
        enum sts_error error;
        int64_t cert_left_s, kept_ms;
    } rows[] = {
        {STS_OK, 86400, PROBES_GOOD_MS},
        {STS_OK, 0, PROBES_GOOD_MS}, /* its end is not known */
        {STS_OK, 600, 600 * 1000},   /* not beyond the certificate's end */
        {STS_TLS_EXPIRED, -600, PROBES_BAD_MS},
        {STS_TLS_NAME, 100, PROBES_BAD_MS},
        {STS_CONNECT_REFUSED, 0, PROBES_BAD_MS},
        {STS_TIMEOUT, 0, PROBES_BAD_MS},
        {STS_DNS_SERVFAIL, 0, PROBES_BAD_MS},
    };
    struct desk *d = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct waiter w = {0};
        struct probe_result result = {.error = rows[i].error};

        if (rows[i].cert_left_s != 0)
            result.expires_s = clock_wall_s() + rows[i].cert_left_s;
        want(d, &w, MX1, NULL);
        assert_int_equal(d->source.probe_started, i + 1);
        fake_source_end_probe(&d->source, MX1, &result);
        assert_int_equal(w.told, 1);
        assert_int_equal(probes_look(d->probes, MX1).left_ms, rows[i].kept_ms);
        pass(d, rows[i].kept_ms - 1);
        assert_known(d, MX1, rows[i].error);
        pass(d, 1);
        assert_state(d, MX1, PROBE_UNKNOWN);
    }
}

static void
wanting_what_is_known_begins_nothing(void **state)
{
    struct desk *d = *state;
    struct waiter w[2] = {{0}};

    want(d, &w[0], MX1, NULL);
    end(d, MX1, STS_TLS_NAME);
    want(d, &w[1], MX1, MX2);
    assert_int_equal(d->source.probe_started, 2);
    end(d, MX2, STS_TLS_NAME);
    assert_int_equal(w[1].told, 1);
}

static void
a_cancelled_wait_is_not_told_and_its_probe_goes_on(void **state)
{
    struct desk *d = *state;
    struct waiter w[2] = {{0}};

    want(d, &w[0], MX1, MX2);
    want(d, &w[1], MX1, NULL);
    probes_cancel(w[0].wait);
    end(d, MX1, STS_OK);
    assert_int_equal(w[0].told, 0);
    assert_int_equal(w[1].told, 1);
    end(d, MX2, STS_OK);
    assert_known(d, MX2, STS_OK);
    probes_cancel(NULL);
}

static void
a_callback_may_drop_the_other_waits(void **state)
{
    struct desk *d = *state;
    struct waiter a = {0}, b = {0};

    a.drops = &b.wait;
    b.drops = &a.wait;
    want(d, &a, MX1, MX2);
    want(d, &b, MX2, MX1);
    end(d, MX2, STS_OK);
    assert_int_equal(a.told + b.told, 1);
}

static void
a_wait_ends_at_its_limit(void **state)
{
    struct desk *d = *state;
    struct waiter w = {0};
    const char *host = MX1;

    w.wait = probes_want(d->probes, &host, 1, 1, on_done, &w);
    while (w.told == 0)
        event_base_loop(d->base, EVLOOP_ONCE);
    assert_state(d, MX1, PROBE_RUNNING);
    end(d, MX1, STS_OK);
    assert_int_equal(w.told, 1);
    assert_known(d, MX1, STS_OK);
}

static void
want_number(struct desk *d, size_t i, struct waiter *w)
{
    char name[40];

    snprintf(name, sizeof name, "mx%zu.example.net", i);
    want(d, w, name, NULL);
}

static void
too_many_at_once_are_not_begun(void **state)
{
    struct desk *d = *state;
    struct waiter w = {0};

    for (size_t i = 0; i < PROBES_RUNNING_MAX; i++) {
        assert_state(d, MX1, PROBE_UNKNOWN);
        want_number(d, i, &w);
    }
    assert_known(d, MX1, STS_OVERLOAD);
    want(d, &w, MX1, NULL); /* and whoever wants it all the same waits for its limit */
    assert_int_equal(d->source.probe_started, PROBES_RUNNING_MAX);
    end(d, "mx7.example.net", STS_OK);
    assert_state(d, MX1, PROBE_UNKNOWN);
    assert_int_equal(d->stats.probes_running, PROBES_RUNNING_MAX - 1);
}

static void
the_host_looked_at_longest_ago_is_forgotten(void **state)
{
    struct desk *d = *state;
    struct waiter w = {0};
    char name[40];

    want(d, &w, MX1, NULL); /* runs all the time */
    for (size_t i = 1; i < PROBES_HOSTS_MAX; i++) {
        w.told = 0;
        want_number(d, i, &w);
        snprintf(name, sizeof name, "mx%zu.example.net", i);
        end(d, name, STS_TLS_NAME);
    }
    assert_known(d, "mx1.example.net", STS_TLS_NAME); /* used */
    w.told = 0;
    want(d, &w, MX2, NULL);
    end(d, MX2, STS_OK);
    assert_state(d, MX1, PROBE_RUNNING);
    assert_known(d, "mx1.example.net", STS_TLS_NAME);
    assert_state(d, "mx2.example.net", PROBE_UNKNOWN);
    assert_known(d, "mx3.example.net", STS_TLS_NAME);
    end(d, MX1, STS_OK);
}

static void
new_settings_make_old_results_void(void **state)
{
    struct desk *d = *state;
    struct waiter w = {0};

    want(d, &w, MX1, MX2);
    end(d, MX1, STS_TLS_UNTRUSTED);
    probes_forget(d->probes);
    assert_state(d, MX1, PROBE_UNKNOWN);
    assert_state(d, MX2, PROBE_RUNNING);
    end(d, MX2, STS_OK);
    assert_known(d, MX2, STS_OK);
}

/* --- in a farm ------------------------------------------------------------------------------ */

static void
what_another_node_found_is_taken(void **state)
{
    static const struct {
        struct farm_probe found;
        int64_t kept_ms;
    } rows[] = {
        {{STS_OK, "", 1800}, 1800 * 1000},
        {{STS_OK, "", 7200}, PROBES_GOOD_MS},
        {{STS_TLS_NAME, "why", 100}, 100 * 1000},
        {{STS_TLS_NAME, "why", 1800}, PROBES_BAD_MS}, /* whatever it says */
    };
    struct farm farm = {.up = true};
    struct desk *d = *state;

    probes_join_farm(d->probes, &farm);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct waiter w[2] = {{0}};

        want(d, &w[0], MX1, NULL);
        want(d, &w[1], MX1, NULL);
        assert_state(d, MX1, PROBE_RUNNING);
        fake_farm_end_probe_look(&farm, &rows[i].found);
        assert_int_equal(w[0].told + w[1].told, 2);
        assert_known(d, MX1, rows[i].found.error);
        assert_string_equal(probes_look(d->probes, MX1).detail, rows[i].found.detail);
        assert_int_equal(probes_look(d->probes, MX1).left_ms, rows[i].kept_ms);
        pass(d, rows[i].kept_ms);
    }
    assert_int_equal(d->source.probe_started, 0);
    assert_int_equal(d->stats.probes, 0);
    assert_int_equal(d->stats.probes_running, 0);
    assert_int_equal(farm.probes_shared, 0);
}

static void
what_nobody_knows_is_probed_and_shared(void **state)
{
    struct farm farm = {.up = true};
    struct desk *d = *state;
    struct waiter w = {0};

    probes_join_farm(d->probes, &farm);
    want(d, &w, MX1, NULL);
    fake_farm_end_probe_look(&farm, NULL);
    assert_int_equal(w.told, 0);
    assert_int_equal(d->source.probe_started, 1);
    end(d, MX1, STS_TLS_EXPIRED);
    assert_int_equal(w.told, 1);
    assert_int_equal(farm.probes_shared, 1);
    assert_int_equal(farm.shared_probe.error, STS_TLS_EXPIRED);
    assert_int_equal(farm.shared_probe.left_s, PROBES_BAD_MS / 1000);
    w.told = 0;
    want(d, &w, MX2, NULL); /* and the end comes while the farm is asked */
    probes_free(d->probes);
    assert_null(farm.job);
    d->probes = probes_new(d->base, &d->source, &d->stats);
}

static void
without_redis_each_node_probes(void **state)
{
    struct farm farm = {.up = false};
    struct desk *d = *state;
    struct waiter w = {0};

    probes_join_farm(d->probes, &farm);
    want(d, &w, MX1, NULL);
    assert_int_equal(d->source.probe_started, 1);
    end(d, MX1, STS_OK);
    assert_int_equal(farm.probes_shared, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_probe_serves_all_who_want_the_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_result_is_kept_for_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wanting_what_is_known_begins_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cancelled_wait_is_not_told_and_its_probe_goes_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_callback_may_drop_the_other_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_ends_at_its_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_at_once_are_not_begun, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_host_looked_at_longest_ago_is_forgotten, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_another_node_found_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_knows_is_probed_and_shared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_redis_each_node_probes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_settings_make_old_results_void, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
