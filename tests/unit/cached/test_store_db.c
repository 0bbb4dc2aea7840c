#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cached/store_db.h"
#include "tests/unit/cached/store_samples.h"

enum { NO_LIMIT_MS = 100000 };

static struct store_db *db;

static int
setup(void **state)
{
    char path[SAMPLE_PATH], why[300];

    (void)state;
    sample_directory_make();
    return store_db_open(sample_path("file", path), SAMPLE_STORE_SIZE, STORE_DB_SHARED, &db, why,
                         sizeof why) != STORE_DB_OK;
}

static int
teardown(void **state)
{
    (void)state;
    store_db_close(db);
    sample_directory_remove();
    return 0;
}

static void
begin(void)
{
    assert_int_equal(store_db_begin(db), STORE_DB_OK);
}

static void
commit(void)
{
    assert_int_equal(store_db_commit(db), STORE_DB_OK);
}

static void
put(const struct record *record)
{
    struct buf bytes;

    buf_init(&bytes, RECORD_MAX);
    record_encode(record, NULL, &bytes);
    assert_int_equal(store_db_put(db, record, bytes.data, bytes.len), STORE_DB_OK);
    buf_done(&bytes);
}

static void
put_number(int n)
{
    struct record record = sample_record(n, 1);

    put(&record);
}

/* Puts bytes that are no record. */
static void
put_unsound(int n)
{
    struct record record = sample_record(n, 1);

    assert_int_equal(store_db_put(db, &record, "nonsense", 8), STORE_DB_OK);
}

static int
count_lines(enum store_db_index index)
{
    struct store_db_place place = {0};
    int count = 0;

    while (store_db_index_next(db, index, &place) == STORE_DB_OK)
        count++;
    return count;
}

static void
assert_counts(unsigned policies, int due, int used)
{
    struct store_db_usage usage;

    store_db_usage(db, &usage);
    assert_int_equal(usage.policies, policies);
    assert_int_equal(count_lines(STORE_DB_DUE), due);
    assert_int_equal(count_lines(STORE_DB_USED), used);
}

static void
test_indexes_keep_in_step(void **state)
{
    struct record moved = sample_record(3, 2);
    char domain[SAMPLE_DOMAIN_SIZE];

    (void)state;
    begin();
    for (int n = 0; n < 10; n++)
        put_number(n);
    commit();
    assert_counts(10, 10, 10);
    moved.refresh_s += 1000;
    moved.asked_day += 1000;
    sample_domain(5, domain);
    begin();
    put(&moved);
    put(&moved);
    assert_int_equal(store_db_delete(db, domain), STORE_DB_OK);
    assert_int_equal(store_db_delete(db, domain), STORE_DB_MISSING);
    commit();
    assert_counts(9, 9, 9);
    assert_true(store_db_check(db, NO_LIMIT_MS));
}

static void
test_unsound_record_leaves_no_lines(void **state)
{
    char domain[SAMPLE_DOMAIN_SIZE];
    size_t size;

    (void)state;
    begin();
    for (int n = 0; n < 4; n++)
        put_number(n);
    put_unsound(1);
    put_unsound(2);
    commit();
    assert_counts(4, 4, 4);
    sample_domain(1, domain);
    begin();
    assert_true(store_db_holds(db, domain, &size));
    assert_true(size > 0);
    assert_int_equal(store_db_delete(db, domain), STORE_DB_OK);
    assert_false(store_db_holds(db, domain, &size));
    assert_int_equal(size, 0);
    put_number(2);
    commit();
    assert_counts(3, 3, 3);
}

static void
test_sweep_removes_lines_of_one_domain(void **state)
{
    char domain[SAMPLE_DOMAIN_SIZE];

    (void)state;
    begin();
    for (int n = 0; n < 4; n++)
        put_number(n);
    sample_domain(2, domain);
    assert_int_equal(store_db_sweep(db, domain), STORE_DB_OK);
    commit();
    assert_counts(4, 3, 3);
    assert_false(store_db_check(db, NO_LIMIT_MS)); /* which is why it does not stay so */
}

static void
test_abort_changes_nothing(void **state)
{
    (void)state;
    begin();
    put_number(1);
    store_db_abort(db);
    store_db_abort(db);
    assert_counts(0, 0, 0);
}

static void
test_steps_both_ways(void **state)
{
    char domain[DOMAIN_SIZE] = "", want[SAMPLE_DOMAIN_SIZE];
    struct buf bytes;

    (void)state;
    begin();
    for (int n = 0; n < 30; n++)
        put_number(n);
    commit();
    buf_init(&bytes, RECORD_MAX);
    for (int n = 0; n < 30; n++) {
        assert_int_equal(store_db_next(db, domain, &bytes), STORE_DB_OK);
        sample_domain(n, want);
        assert_string_equal(domain, want);
        assert_non_null(strstr(buf_string(&bytes), want));
    }
    assert_int_equal(store_db_next(db, domain, &bytes), STORE_DB_MISSING);
    domain[0] = '\0';
    for (int n = 29; n >= 0; n--) {
        assert_int_equal(store_db_previous(db, domain, &bytes), STORE_DB_OK);
        sample_domain(n, want);
        assert_string_equal(domain, want);
    }
    assert_int_equal(store_db_previous(db, domain, &bytes), STORE_DB_MISSING);
    snprintf(domain, sizeof domain, "d000009.exampl"); /* between two */
    assert_int_equal(store_db_next(db, domain, &bytes), STORE_DB_OK);
    assert_string_equal(domain, "d000009.example");
    snprintf(domain, sizeof domain, "zzz");
    assert_int_equal(store_db_previous(db, domain, &bytes), STORE_DB_OK);
    assert_string_equal(domain, "d000029.example");
    buf_done(&bytes);
}

static void
test_index_is_in_order_of_time(void **state)
{
    static const int64_t times[] = {300, 5, 70000, 256, 255, INT64_C(1) << 40};
    static const int64_t sorted[] = {5, 255, 256, 300, 70000, INT64_C(1) << 40};
    struct store_db_place place = {0};

    (void)state;
    begin();
    for (int n = 0; n < 6; n++) {
        struct record record = sample_record(n, 1);

        record.refresh_s = times[n];
        put(&record);
    }
    commit();
    for (int i = 0; i < 6; i++) {
        assert_int_equal(store_db_index_next(db, STORE_DB_DUE, &place), STORE_DB_OK);
        assert_int_equal(place.number, sorted[i]);
    }
    assert_int_equal(store_db_index_next(db, STORE_DB_DUE, &place), STORE_DB_MISSING);
}

static void
test_evicts_by_day(void **state)
{
    uint64_t evicted = 0;

    (void)state;
    begin();
    for (int n = 0; n < 10; n++)
        put_number(n); /* asked for on day 20000 and the nine after it */
    for (int i = 0; i < 4; i++)
        assert_int_equal(store_db_evict(db, 20004, &evicted), STORE_DB_OK);
    assert_int_equal(store_db_evict(db, 20004, &evicted), STORE_DB_MISSING);
    commit();
    assert_int_equal(evicted, 4);
    assert_counts(6, 6, 6);
}

/* The hand goes round, and stops before the day. */
static void
test_evicts_of_one_organisation(void **state)
{
    struct store_db_place hand = {0};
    char domain[SAMPLE_DOMAIN_SIZE];
    uint64_t bytes = 0, before;

    (void)state;
    begin();
    for (int n = 0; n < 10; n++)
        put_number(n);
    sample_domain(6, domain);
    assert_int_equal(store_db_evict_of(db, domain, 20006, &hand, &bytes), STORE_DB_MISSING);
    assert_int_equal(bytes, 0);
    assert_int_equal(store_db_evict_of(db, domain, 20007, &hand, &bytes), STORE_DB_OK);
    assert_true(bytes > 0);
    before = bytes;
    assert_int_equal(store_db_evict_of(db, domain, 20007, &hand, &bytes), STORE_DB_MISSING);
    assert_int_equal(bytes, before);
    sample_domain(5, domain);
    assert_int_equal(store_db_evict_of(db, domain, 20007, &hand, &bytes), STORE_DB_OK);
    sample_domain(2, domain); /* behind it: round once */
    assert_int_equal(store_db_evict_of(db, domain, 20007, &hand, &bytes), STORE_DB_OK);
    commit();
    assert_counts(7, 7, 7);
}

static void
test_evicts_lines_without_a_record(void **state)
{
    struct record moved = sample_record(0, 1);
    uint64_t evicted = 0;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, RECORD_MAX);
    record_encode(&moved, NULL, &bytes);
    begin();
    moved.asked_day = 5; /* the line says another day than the record */
    assert_int_equal(store_db_put(db, &moved, bytes.data, bytes.len), STORE_DB_OK);
    assert_int_equal(store_db_evict(db, 100, &evicted), STORE_DB_OK);
    assert_int_equal(store_db_evict(db, 100, &evicted), STORE_DB_MISSING);
    commit();
    buf_done(&bytes);
    assert_int_equal(evicted, 0);
    assert_counts(1, 1, 0);
}

static void
test_looking_makes_nothing(void **state)
{
    char path[SAMPLE_PATH], why[300];
    struct store_db *other;

    (void)state;
    assert_int_equal(store_db_open(sample_path("none", path), SAMPLE_STORE_SIZE, STORE_DB_LOOK,
                                   &other, why, sizeof why),
                     STORE_DB_FAILED);
    assert_null(other);
    assert_false(sample_exists("none"));
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_indexes_keep_in_step),
        IN_DIRECTORY(test_unsound_record_leaves_no_lines),
        IN_DIRECTORY(test_sweep_removes_lines_of_one_domain),
        IN_DIRECTORY(test_abort_changes_nothing),
        IN_DIRECTORY(test_steps_both_ways),
        IN_DIRECTORY(test_index_is_in_order_of_time),
        IN_DIRECTORY(test_evicts_by_day),
        IN_DIRECTORY(test_evicts_of_one_organisation),
        IN_DIRECTORY(test_evicts_lines_without_a_record),
        IN_DIRECTORY(test_looking_makes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
