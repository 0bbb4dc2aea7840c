/* What is saved of a store of which LMDB's heads, its first two pages, are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cached/store_db.h"
#include "cached/store_rescue.h"
#include "common/log.h"
#include "tests/unit/cached/store_samples.h"

/* The last commit brought PER_COMMIT of them. */
enum { RECORDS = 400, PER_COMMIT = 50, BEFORE = RECORDS - PER_COMMIT, PAGE = 4096, TRIALS = 40 };
enum {
    FLAGS_AT = 10,
    MAGIC_AT = 16,
    PAGE_SIZE_AT = 40,
    ENTRIES_AT = 120,
    ROOT_AT = 128,
    LAST_PAGE_AT = 136
};
enum { NUMBER_AT = 144 };

static char *sound, *bytes; /* the file, and a copy to be damaged */
static size_t len, sound_len;
static size_t newer; /* where its newer head is, and the older */
static size_t older;

static struct store_db *
open_alone(void)
{
    char path[SAMPLE_PATH], why[256];
    struct store_db *db;

    assert_int_equal(store_db_open(sample_path("policies.mdb", path), SAMPLE_STORE_SIZE,
                                   STORE_DB_REPAIR, &db, why, sizeof why),
                     STORE_DB_OK);
    return db;
}

static void
put(struct store_db *db, int n, uint64_t seq)
{
    struct record record = sample_record(n, seq);
    struct buf form;

    buf_init(&form, RECORD_MAX);
    record_encode(&record, NULL, &form);
    assert_int_equal(store_db_put(db, &record, form.data, form.len), STORE_DB_OK);
    buf_done(&form);
}

static void
fill_store(int records)
{
    struct store_db *db = open_alone();

    for (int i = 0; i < records; i++) {
        if (i % PER_COMMIT == 0)
            assert_int_equal(store_db_begin(db), STORE_DB_OK);
        put(db, i, 1);
        if (i % PER_COMMIT == PER_COMMIT - 1)
            assert_int_equal(store_db_commit(db), STORE_DB_OK);
    }
    assert_int_equal(store_db_sync(db), STORE_DB_OK);
    store_db_close(db);
}

static FILE *
open_file(const char *mode)
{
    char path[SAMPLE_PATH];
    FILE *f = fopen(sample_path("policies.mdb", path), mode);

    assert_non_null(f);
    return f;
}

static uint64_t
number_at(size_t at)
{
    uint64_t number;

    memcpy(&number, sound + at, sizeof number);
    return number;
}

static int
group_setup(void **state)
{
    char path[SAMPLE_PATH];
    struct stat st;
    FILE *f;

    (void)state;
    log_open("test", true, LOG_LEVEL_ERROR);
    sample_directory_make();
    fill_store(RECORDS);
    assert_int_equal(stat(sample_path("policies.mdb", path), &st), 0);
    len = sound_len = (size_t)st.st_size;
    sound = alloc_bytes(len);
    bytes = alloc_bytes(len);
    f = open_file("rb");
    assert_int_equal(fread(sound, 1, len, f), len);
    fclose(f);
    sample_directory_remove();
    newer = number_at(NUMBER_AT) > number_at(PAGE + NUMBER_AT) ? 0 : PAGE;
    older = PAGE - newer;
    assert_int_equal(number_at(newer + NUMBER_AT), number_at(older + NUMBER_AT) + 1);
    return 0;
}

static int
group_teardown(void **state)
{
    (void)state;
    free(sound);
    free(bytes);
    return 0;
}

static int
setup(void **state)
{
    (void)state;
    sample_directory_make();
    memcpy(bytes, sound, len);
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
write_bytes(void)
{
    FILE *f = open_file("wb");

    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* Writes `bytes` as the store and opens it as the daemon does. Returns how many records it holds.
 */
static int
held(void)
{
    struct store *store;
    int count = 0;
    uint64_t seq;

    write_bytes();
    store = sample_open();
    for (int n = 0; n < RECORDS; n++)
        count += sample_held(store, n, &seq);
    store_close(store);
    assert_false(sample_exists("policies.mdb.new"));
    assert_false(sample_exists("policies.mdb.trial"));
    assert_false(sample_exists("policies.mdb.head"));
    return count;
}

/* The old file must be kept as it was found. */
static void
assert_kept(void)
{
    char path[SAMPLE_PATH], *kept = alloc_bytes(len);
    FILE *f = fopen(sample_path("policies.mdb.damaged", path), "rb");

    assert_non_null(f);
    assert_int_equal(fread(kept, 1, len, f), len);
    assert_memory_equal(kept, bytes, len);
    fclose(f);
    free(kept);
    unlink(path);
}

static void
test_one_head_overwritten(void **state)
{
    static const int fillings[] = {0, 0xff, 'x'};

    (void)state;
    for (size_t i = 0; i < sizeof fillings / sizeof fillings[0]; i++) {
        memset(bytes + older, fillings[i], PAGE);
        assert_int_equal(held(), RECORDS);
        assert_kept();
        memcpy(bytes, sound, len);
        memset(bytes + newer, fillings[i], PAGE);
        assert_int_equal(held(), BEFORE);
        assert_kept();
        memcpy(bytes, sound, len);
    }
}

static void
test_both_heads_overwritten(void **state)
{
    (void)state;
    memset(bytes, 'x', (size_t)2 * PAGE);
    assert_int_equal(held(), 0);
    assert_kept();
}

/* Heads that LMDB takes for sound ones and that lead nowhere, or only to some of the pages. */
static void
test_subtle_damage(void **state)
{
    static const struct {
        const char *name;
        size_t at;
        uint64_t value;
    } cases[] = {
        {"no root", ROOT_AT, UINT64_MAX},
        {"a root behind the end", ROOT_AT, 1 << 30},
        {"a root that is a head", ROOT_AT, 1},
        {"a few of the pages", LAST_PAGE_AT, 20},
        {"no pages", LAST_PAGE_AT, 1},
        {"more pages than a file can have", LAST_PAGE_AT, (uint64_t)1 << 50},
        {"the older one seems to be newer", NUMBER_AT, 0},
        {"another page size", PAGE_SIZE_AT, 8192},
        {"no flags", FLAGS_AT, 0},
        {"no magic", MAGIC_AT, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int count;

        memcpy(bytes + newer + cases[i].at, &cases[i].value,
               cases[i].at == FLAGS_AT ? 2 : sizeof cases[i].value);
        count = held();
        if (count < BEFORE)
            fail_msg("%s: %d held", cases[i].name, count);
        memcpy(bytes, sound, len);
    }
}

/* The head of an empty store is not believed when there were commits. */
static void
test_head_of_an_empty_store(void **state)
{
    (void)state;
    memset(bytes + newer + ENTRIES_AT, 0, ROOT_AT - ENTRIES_AT);
    memset(bytes + newer + ROOT_AT, 0xff, LAST_PAGE_AT - ROOT_AT);
    assert_int_equal(held(), BEFORE);
    assert_kept();
}

/* A file that was made, and never committed to: no store was lost. */
static void
test_a_new_file_is_not_damaged(void **state)
{
    (void)state;
    for (size_t head = 0; head <= PAGE; head += PAGE) {
        memset(bytes + head + ENTRIES_AT, 0, ROOT_AT - ENTRIES_AT);
        memset(bytes + head + ROOT_AT, 0xff, LAST_PAGE_AT - ROOT_AT);
        memset(bytes + head + NUMBER_AT, 0, sizeof(uint64_t));
    }
    len = (size_t)2 * PAGE;
    assert_int_equal(held(), 0);
    assert_false(sample_exists("policies.mdb.damaged"));
    len = sound_len;
}

/* The last commit renews a record and removes `removed` others behind it. */
static void
commit_removals(int removed)
{
    struct store_db *db = open_alone();
    char domain[SAMPLE_DOMAIN_SIZE];

    assert_int_equal(store_db_begin(db), STORE_DB_OK);
    put(db, 0, 99);
    for (int n = 1; n <= removed; n++) {
        sample_domain(n, domain);
        assert_int_equal(store_db_delete(db, domain), STORE_DB_OK);
    }
    assert_int_equal(store_db_commit(db), STORE_DB_OK);
    assert_int_equal(store_db_sync(db), STORE_DB_OK);
    store_db_close(db);
}

/* A damaged page of records is no reason to go back to the older head, which has what the last
 * commit removed, too: a policy that was flushed by force would come back. */
static void
test_damaged_page_undoes_no_commit(void **state)
{
    static const struct {
        int removed;
        const char *damaged; /* the pages with this on them */
        int most_lost;
    } cases[] = {
        {1, "mx355.example", 40},
        {20, "mx355.example", 40},
        {300, "mx355.example", 40},
        {20, "d0003", 140}, /* so many that the other head is tried */
    };
    char path[SAMPLE_PATH];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int removed = cases[i].removed, count = 0;
        struct store *store;
        uint64_t seq = 0;

        write_bytes();
        commit_removals(removed);
        sample_overwrite_page("policies.mdb", cases[i].damaged);
        assert_int_equal(fclose(fopen(sample_path("suspect", path), "wb")), 0);
        store = sample_open();
        assert_true(sample_held(store, 0, &seq));
        assert_int_equal(seq, 99);
        for (int n = 1; n < RECORDS; n++) {
            bool is_held = sample_held(store, n, &seq);

            count += is_held;
            if (n <= removed && is_held)
                fail_msg("%d removed: record %d is back", removed, n);
        }
        assert_in_range(count, RECORDS - 1 - removed - cases[i].most_lost,
                        RECORDS - 1 - removed - 1);
        store_close(store);
    }
}

static void
test_random_damage_to_either_head(void **state)
{
    uint32_t seed = 7;

    (void)state;
    for (int i = 0; i < TRIALS; i++) {
        char *head = bytes + (i % 2 ? newer : older);
        int count;

        for (int n = 0; n < 1 + i % 8; n++) {
            seed = seed * 1664525 + 1013904223;
            head[(seed >> 8) % (NUMBER_AT + 8)] = (char)(seed >> 24);
        }
        count = held();
        if (count < BEFORE)
            fail_msg("trial %d: %d held", i, count);
        memcpy(bytes, sound, len);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_head_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_heads_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_subtle_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head_of_an_empty_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_new_file_is_not_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_page_undoes_no_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_damage_to_either_head, setup, teardown),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
