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

/* So many records that the file is longer than one that never held any; the last commit brought
 * PER_COMMIT of them. */
enum { RECORDS = 1000, PER_COMMIT = 50, BEFORE = RECORDS - PER_COMMIT, PAGE = 4096, TRIALS = 40 };
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
static size_t len;
static size_t newer; /* where its newer head is, and the older */
static size_t older;

static void
fill_store(const char *path)
{
    char why[256];
    struct store_db *db;

    assert_int_equal(store_db_open(path, SAMPLE_STORE_SIZE, STORE_DB_REPAIR, &db, why, sizeof why),
                     STORE_DB_OK);
    for (int i = 0; i < RECORDS; i++) {
        struct record record = sample_record(i, 1);
        struct buf form;

        if (i % PER_COMMIT == 0)
            assert_int_equal(store_db_begin(db), STORE_DB_OK);
        buf_init(&form, RECORD_MAX);
        record_encode(&record, NULL, &form);
        assert_int_equal(store_db_put(db, &record, form.data, form.len), STORE_DB_OK);
        buf_done(&form);
        if (i % PER_COMMIT == PER_COMMIT - 1)
            assert_int_equal(store_db_commit(db), STORE_DB_OK);
    }
    assert_int_equal(store_db_sync(db), STORE_DB_OK);
    store_db_close(db);
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
    fill_store(sample_path("policies.mdb", path));
    assert_int_equal(stat(path, &st), 0);
    len = (size_t)st.st_size;
    sound = alloc_bytes(len);
    bytes = alloc_bytes(len);
    f = fopen(path, "rb");
    assert_non_null(f);
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

/* Writes `bytes` as the store and opens it as the daemon does. Returns how many records it holds.
 */
static int
held(void)
{
    char path[SAMPLE_PATH];
    struct store *store;
    FILE *f = fopen(sample_path("policies.mdb", path), "wb");
    int count = 0;
    uint64_t seq;

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
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

/* The head of an empty store before a long file is not believed. */
static void
test_head_of_an_empty_store(void **state)
{
    (void)state;
    memset(bytes + newer + ENTRIES_AT, 0, ROOT_AT - ENTRIES_AT);
    memset(bytes + newer + ROOT_AT, 0xff, LAST_PAGE_AT - ROOT_AT);
    assert_int_equal(held(), BEFORE);
    assert_kept();
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
        cmocka_unit_test_setup_teardown(test_random_damage_to_either_head, setup, teardown),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
