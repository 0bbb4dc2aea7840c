/* Who crowds the store, and what becomes of him and of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cached/store_crowd.h"
#include "cached/store_writer.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/cached/store_samples.h"

enum { TODAY = 20000, DAY_S = 86400, SMALL = 2 << 20, OTHERS = 400, EVIL = 6000, BODY = 150 };

/* --- who it is ------------------------------------------------------------------------------- */

/* A crowd of 1,000 records: so many of each kind, a stranger's domain for the rest. */
static const struct row {
    const char *name, *pattern, *beside;
    int count, beside_count;
    size_t bytes;
    const char *want; /* NULL: nobody */
} rows[] = {
    {"strangers", "", NULL, 0, 0, 100, NULL},
    {"a fifth below one domain", "a%d.evil.test", NULL, 200, 0, 100, NULL},
    {"a third below one domain", "a%d.evil.test", NULL, 333, 0, 100, "evil.test"},
    {"a third, deep below", "a.b%d.c%1$d.evil.test", NULL, 333, 0, 100, "evil.test"},
    {"nearly all", "a%d.evil.test", NULL, 990, 0, 100, "evil.test"},
    {"a tenth, but large", "a%d.evil.test", NULL, 100, 0, 60000, "evil.test"},
    {"a fifth below a public suffix", "a%d.evil.co.uk", "b%d.co.uk", 200, 300, 100, NULL},
    {"a third below one of its domains", "a%d.evil.co.uk", "b%d.co.uk", 333, 300, 100,
     "evil.co.uk"},
    {"a third shares a public suffix", "a%d.co.uk", NULL, 333, 0, 100, NULL},
    {"two fifths, two of a public suffix", "a%d.evil.co.uk", "b%d.ill.co.uk", 200, 200, 100, NULL},
    {"names of one label", "a%d", NULL, 900, 0, 100, NULL},
};

static void
fill(struct store_crowd *crowd, const struct row *row)
{
    char domain[DOMAIN_SIZE];

    for (int i = 0; i < 1000; i++) { /* mixed: 7 and 1,000 have no common part */
        int n = i * 7 % 1000;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        if (n < row->count)
            snprintf(domain, sizeof domain, row->pattern, n);
        else if (n < row->count + row->beside_count)
            snprintf(domain, sizeof domain, row->beside, n);
        else
            snprintf(domain, sizeof domain, "mail.s%d.example", n);
#pragma GCC diagnostic pop
        store_crowd_add(crowd, domain, n < row->count ? row->bytes : 100);
    }
}

static void
test_who_has_too_much(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static const struct store_crowd empty;
        struct store_crowd crowd = empty;
        char suffix[DOMAIN_SIZE] = "";
        uint64_t excess = 0;
        bool found;

        print_message("%s\n", rows[i].name);
        fill(&crowd, &rows[i]);
        found = store_crowd_find(&crowd, suffix, &excess);
        assert_int_equal(found, rows[i].want != NULL);
        if (!found)
            continue;
        assert_string_equal(suffix, rows[i].want);
        assert_true(excess > 0 && excess < crowd.total);
    }
}

static void
test_what_is_an_organisations(void **state)
{
    (void)state;
    assert_true(store_crowd_holds("evil.test", "evil.test"));
    assert_true(store_crowd_holds("evil.test", "a.evil.test"));
    assert_true(store_crowd_holds("evil.test", "a.b.evil.test"));
    assert_false(store_crowd_holds("evil.test", "notevil.test"));
    assert_false(store_crowd_holds("evil.test", "evil.test.example"));
    assert_false(store_crowd_holds("evil.test", "test"));
    assert_true(store_crowd_holds("co.uk", "co.uk"));
    assert_false(store_crowd_holds("co.uk", "victim.co.uk"));
}

/* --- what becomes of them ----------------------------------------------------------------------
 */

static int
setup(void **state)
{
    (void)state;
    log_open("test", true, LOG_LEVEL_ERROR);
    clock_fake(1000000, INT64_C(1) * TODAY * DAY_S);
    sample_directory_make();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    sample_directory_remove();
    return 0;
}

static void
put(struct store *store, const char *domain, int64_t asked_day)
{
    static char body[BODY];
    struct record record = sample_record(1, 1);

    memset(body, 'b', sizeof body);
    snprintf(record.domain, sizeof record.domain, "%s", domain);
    record.asked_day = asked_day;
    record.body = (struct span){body, sizeof body};
    store_put(store, &record);
}

static void
put_others(struct store *store, int from, int to, int64_t asked_day)
{
    char domain[SAMPLE_DOMAIN_SIZE];

    for (int n = from; n < to; n++) {
        sample_domain(n, domain);
        put(store, domain, asked_day);
    }
    store_flush(store);
}

/* Domains may have as many sub-domains as they like, each with a valid policy that is in use. */
static void
attack(struct store *store, const char *const *attackers, int count)
{
    char domain[64];

    for (int n = 0; n < EVIL; n++) {
        snprintf(domain, sizeof domain, "m%d.%s", n, attackers[n % count]);
        put(store, domain, TODAY);
        if (n % 500 == 499)
            store_flush(store);
    }
    store_flush(store);
}

static int
count_others(struct store *store, int from, int to)
{
    char domain[SAMPLE_DOMAIN_SIZE];
    struct record record;
    struct buf bytes;
    int count = 0;

    buf_init(&bytes, RECORD_MAX);
    for (int n = from; n < to; n++) {
        sample_domain(n, domain);
        count += store_get(store, domain, &bytes, &record);
    }
    buf_done(&bytes);
    return count;
}

static void
test_one_domain_pushes_out_only_its_own(void **state)
{
    static const char *const attackers[] = {"evil.test"};
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;

    (void)state;
    put_others(store, 0, OTHERS, TODAY);
    put_others(store, OTHERS, 2 * OTHERS, TODAY - STORE_KEEP_DAYS - 10);
    attack(store, attackers, 1);
    store_stats(store, &stats);
    assert_true(stats.evicted > 0); /* or it was never full */
    assert_int_equal(count_others(store, 0, 2 * OTHERS), 2 * OTHERS);

    /* and newcomers find room */
    put_others(store, 2 * OTHERS, 3 * OTHERS, TODAY);
    store_stats(store, &stats);
    assert_int_equal(count_others(store, 0, 3 * OTHERS), 3 * OTHERS);
    assert_int_equal(stats.write_errors, 0);
    assert_true(stats.policies > 3 * OTHERS + 500); /* the attacker has his share */
    assert_true(stats.bytes_used <= stats.bytes_max);
    store_close(store);
}

/* Three who share nothing with the others but the public suffix, and are asked for later. */
static void
test_neighbours_below_a_public_suffix_keep_theirs(void **state)
{
    static const char *const attackers[] = {"evil.co.uk", "ill.co.uk", "vile.co.uk"};
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;
    struct record record;
    struct buf bytes;
    char domain[64];
    int held = 0;

    (void)state;
    for (int n = 0; n < OTHERS; n++) {
        snprintf(domain, sizeof domain, "victim%d.co.uk", n);
        put(store, domain, TODAY - 1);
    }
    store_flush(store);
    attack(store, attackers, 3);
    store_stats(store, &stats);
    assert_true(stats.evicted > 0); /* or it was never full */

    buf_init(&bytes, RECORD_MAX);
    for (int n = 0; n < OTHERS; n++) {
        snprintf(domain, sizeof domain, "victim%d.co.uk", n);
        held += store_get(store, domain, &bytes, &record);
    }
    buf_done(&bytes);
    assert_int_equal(held, OTHERS);
    store_close(store);
}

int
main(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_has_too_much),
        cmocka_unit_test(test_what_is_an_organisations),
        IN_DIRECTORY(test_one_domain_pushes_out_only_its_own),
        IN_DIRECTORY(test_neighbours_below_a_public_suffix_keep_theirs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
