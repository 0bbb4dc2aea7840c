/* Who crowds the store, and what becomes of him and of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cached/store_crowd.h"
#include "cached/store_room.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/cached/store_samples.h"

enum {
    TODAY = 20000,
    LONG_AGO = TODAY - STORE_KEEP_DAYS - 10,
    DAY_S = 86400,
    SMALL = 2 << 20,
    OTHERS = 400,
    EVIL = 6000,
    BODY = 150,
    LARGE = 6000
};

/* --- how much is whose ----------------------------------------------------------------------- */

/* A crowd of 1,000 records: so many of each kind, a stranger's domain for the rest. */
static const struct row {
    const char *name, *pattern, *beside;
    int count, beside_count;
    size_t bytes;
    const char *of;
    int own; /* so many of the first kind are its organisation's */
} rows[] = {
    {"strangers", "", NULL, 0, 0, 100, "mail.s7.example", 0},
    {"a fifth below one domain", "a%d.evil.test", NULL, 200, 0, 100, "evil.test", 200},
    {"a third, deep below", "a.b%d.c%1$d.evil.test", NULL, 333, 0, 100, "x.evil.test", 333},
    {"nearly all", "a%d.evil.test", NULL, 990, 0, 100, "x.evil.test", 990},
    {"all", "a%d.evil.test", NULL, 1000, 0, 100, "x.evil.test", 1000},
    {"somebody else", "a%d.evil.test", NULL, 990, 0, 100, "good.test", 0},
    {"a tenth, but large", "a%d.evil.test", NULL, 100, 0, 60000, "x.evil.test", 100},
    {"a third below one of a public suffix's", "a%d.evil.co.uk", "b%d.co.uk", 333, 300, 100,
     "x.evil.co.uk", 333},
    {"a neighbour there", "a%d.evil.co.uk", "b%d.co.uk", 333, 300, 100, "x.co.uk", 0},
    {"many of a public suffix", "a%d.co.uk", NULL, 900, 0, 100, "a7.co.uk", 1},
    {"names of one label", "a%d", NULL, 900, 0, 100, "a7", 1},
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
test_how_much_is_whose(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static const struct store_crowd empty;
        struct store_crowd crowd = empty;
        const struct row *row = &rows[i];
        double all = (double)row->count * (double)row->bytes + (1000 - row->count) * 100.0;
        double want = row->own * (double)row->bytes / all, part;

        print_message("%s\n", row->name);
        fill(&crowd, row);
        part = store_crowd_part(&crowd, row->of, 0);
        assert_true(part <= want + 1e-9);
        assert_true(part >= want - 1.0 / (STORE_CROWD_PLACES + 1));
    }
}

static void
test_more_and_less(void **state)
{
    static const struct store_crowd empty;
    struct store_crowd crowd = empty;

    (void)state;
    assert_true(store_crowd_part(&crowd, "a.test", 0) < 0.001);
    assert_true(store_crowd_part(&crowd, "a.test", 5) > 0.999);
    store_crowd_add(&crowd, "a.test", 300);
    store_crowd_add(&crowd, "b.test", 100);
    assert_float_equal(store_crowd_part(&crowd, "b.test", 0), 0.25, 0.001);
    assert_float_equal(store_crowd_part(&crowd, "b.test", 200), 0.5, 0.001);
    store_crowd_take(&crowd, "x.a.test", 200);
    assert_float_equal(store_crowd_part(&crowd, "a.test", 0), 0.5, 0.001);
    store_crowd_take(&crowd, "a.test", 5000);
    store_crowd_take(&crowd, "a.test", 5000);
    assert_true(store_crowd_part(&crowd, "a.test", 0) < 0.001);
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
put_large(struct store *store, const char *domain, int64_t asked_day, size_t len)
{
    static char body[LARGE];
    struct record record = sample_record(1, 1);

    memset(body, 'b', sizeof body);
    snprintf(record.domain, sizeof record.domain, "%s", domain);
    record.asked_day = asked_day;
    record.body = (struct span){body, len};
    store_put(store, &record);
}

static void
put(struct store *store, const char *domain, int64_t asked_day)
{
    put_large(store, domain, asked_day, BODY);
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
count_held(struct store *store, const char *prefix, int count, const char *suffix)
{
    char domain[64];
    struct record record;
    struct buf bytes;
    int held = 0;

    buf_init(&bytes, RECORD_MAX);
    for (int n = 0; n < count; n++) {
        snprintf(domain, sizeof domain, "%s%d.%s", prefix, n, suffix);
        held += store_get(store, domain, &bytes, &record);
    }
    buf_done(&bytes);
    return held;
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

static const char *const evil[] = {"evil.test"};

/* Asked for lately, they stay, of a crowd, too: what has no room is told of, and is not kept. */
static void
test_policies_in_use_of_one_domain_stay(void **state)
{
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;
    int held;

    (void)state;
    attack(store, evil, 1);
    store_stats(store, &stats);
    held = count_held(store, "m", EVIL, evil[0]);
    assert_int_equal(stats.evicted, 0);
    assert_true(held > 500);
    assert_int_equal(held + stats.write_errors, EVIL);
    assert_int_equal(count_held(store, "m", held, evil[0]), held); /* the first ones */

    attack(store, evil, 1); /* those that are there can be renewed all the same */
    store_stats(store, &stats);
    assert_int_equal(stats.policies, held);
    assert_int_equal(stats.write_errors, 2 * (EVIL - held));
    store_close(store);
}

static void
test_one_domain_pushes_out_nobody(void **state)
{
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;
    uint64_t refused;

    (void)state;
    put_others(store, 0, OTHERS, TODAY);
    put_others(store, OTHERS, 2 * OTHERS, LONG_AGO);
    attack(store, evil, 1);
    store_stats(store, &stats);
    refused = stats.write_errors;
    assert_true(refused > 0); /* or it never had its share */
    assert_int_equal(count_others(store, 0, 2 * OTHERS), 2 * OTHERS);

    /* and newcomers find room */
    put_others(store, 2 * OTHERS, 3 * OTHERS, TODAY);
    store_stats(store, &stats);
    assert_int_equal(count_others(store, 0, 3 * OTHERS), 3 * OTHERS);
    assert_int_equal(stats.write_errors, refused);
    assert_int_equal(stats.evicted, 0);
    assert_true(stats.policies > 3 * OTHERS + 400); /* the attacker has his share */
    assert_true(stats.bytes_used <= stats.bytes_max);
    store_close(store);
}

static void
test_several_domains_leave_room(void **state)
{
    static const char *const attackers[] = {"evil.test", "ill.test", "vile.test", "bad.test"};
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;
    uint64_t refused;

    (void)state;
    attack(store, attackers, 4);
    store_stats(store, &stats);
    refused = stats.write_errors;
    assert_true(refused > 0);
    put_others(store, 0, OTHERS / 2, TODAY);
    store_stats(store, &stats);
    assert_int_equal(count_others(store, 0, OTHERS / 2), OTHERS / 2);
    assert_int_equal(stats.write_errors, refused);
    assert_int_equal(stats.evicted, 0);
    store_close(store);
}

/* As small ones they had their share. */
static void
test_policies_that_grow_leave_room(void **state)
{
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;
    char domain[64];
    uint64_t refused;

    (void)state;
    attack(store, evil, 1);
    for (int n = 0; n < EVIL; n++) {
        snprintf(domain, sizeof domain, "m%d.%s", n, evil[0]);
        put_large(store, domain, TODAY, LARGE);
    }
    store_flush(store);
    store_stats(store, &stats);
    refused = stats.write_errors;
    put_others(store, 0, OTHERS, TODAY);
    store_stats(store, &stats);
    assert_int_equal(count_others(store, 0, OTHERS), OTHERS);
    assert_int_equal(stats.write_errors, refused);
    store_close(store);
}

/* Who has his share gives up what he has not used for long, and nobody else does, for his new ones.
 */
static void
test_own_old_ones_go(void **state)
{
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;
    uint64_t refused;
    char domain[64];

    (void)state;
    put_others(store, 0, OTHERS, LONG_AGO - 1);
    put_others(store, OTHERS, 2 * OTHERS, LONG_AGO + 1);
    for (int n = 0; n < EVIL; n++) {
        snprintf(domain, sizeof domain, "old%d.%s", n, evil[0]);
        put(store, domain, LONG_AGO);
    }
    store_flush(store);
    store_stats(store, &stats);
    assert_true(stats.evicted > EVIL / 2);
    assert_int_equal(stats.write_errors, 0);

    attack(store, evil, 1); /* new ones for all his old ones, and no more */
    store_stats(store, &stats);
    refused = stats.write_errors;
    assert_true(refused > 0);
    assert_int_equal(count_held(store, "old", EVIL, evil[0]), 0);
    assert_int_equal(count_held(store, "m", EVIL, evil[0]), EVIL - refused);
    assert_int_equal(count_others(store, 0, 2 * OTHERS), 2 * OTHERS);
    store_close(store);
}

/* Three who share nothing with the others but the public suffix, and are asked for later. */
static void
test_neighbours_below_a_public_suffix_keep_theirs(void **state)
{
    static const char *const attackers[] = {"evil.co.uk", "ill.co.uk", "vile.co.uk"};
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;
    char domain[64];
    uint64_t refused;

    (void)state;
    for (int n = 0; n < OTHERS; n++) {
        snprintf(domain, sizeof domain, "victim%d.co.uk", n);
        put(store, domain, TODAY - 1);
        if (n == OTHERS / 2)
            attack(store, attackers, 3);
    }
    store_flush(store);
    store_stats(store, &stats);
    refused = EVIL - stats.policies + OTHERS;
    assert_true(refused > 0); /* or they never had their share */
    assert_int_equal(stats.write_errors, refused);
    assert_int_equal(count_held(store, "victim", OTHERS, "co.uk"), OTHERS);
    store_close(store);
}

int
main(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_much_is_whose),
        cmocka_unit_test(test_more_and_less),
        cmocka_unit_test(test_what_is_an_organisations),
        IN_DIRECTORY(test_policies_in_use_of_one_domain_stay),
        IN_DIRECTORY(test_one_domain_pushes_out_nobody),
        IN_DIRECTORY(test_several_domains_leave_room),
        IN_DIRECTORY(test_policies_that_grow_leave_room),
        IN_DIRECTORY(test_own_old_ones_go),
        IN_DIRECTORY(test_neighbours_below_a_public_suffix_keep_theirs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
