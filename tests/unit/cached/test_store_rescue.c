#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cached/cache_lmdb.h"
#include "cached/store_db.h"
#include "cached/store_guard.h"
#include "common/log.h"
#include "tests/unit/cached/store_samples.h"

enum { RECORDS = 1000, TRIALS = 24, PER_COMMIT = 100 };

/* A store with RECORDS records that were written over a few times, as a file in memory. */
static char *sound;
static size_t sound_len;
static int records = RECORDS; /* in it */

static void
write_file(const char *name, const char *bytes, size_t len)
{
    char path[SAMPLE_PATH];
    FILE *f = fopen(sample_path(name, path), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void
put_record(struct store_db *db, const struct record *record)
{
    struct buf bytes;

    buf_init(&bytes, RECORD_MAX);
    record_encode(record, NULL, &bytes);
    assert_int_equal(store_db_put(db, record, bytes.data, bytes.len), STORE_DB_OK);
    buf_done(&bytes);
}

/* Not through the store, whose thread makes its batches by the clock: each run must damage the same
 * file. */
static void
make_sound_file(void)
{
    char path[SAMPLE_PATH], why[256];
    struct store_db *db;
    struct stat st;
    FILE *f;

    assert_int_equal(store_db_open(sample_path("policies.mdb", path), SAMPLE_STORE_SIZE,
                                   STORE_DB_REPAIR, &db, why, sizeof why),
                     STORE_DB_OK);
    for (int i = 0; i < 3 * records; i++) {
        struct record record = sample_record(i % records, 1 + (uint64_t)(i / records));

        if (i % PER_COMMIT == 0)
            assert_int_equal(store_db_begin(db), STORE_DB_OK);
        put_record(db, &record);
        if (i % PER_COMMIT == PER_COMMIT - 1)
            assert_int_equal(store_db_commit(db), STORE_DB_OK);
    }
    assert_int_equal(store_db_sync(db), STORE_DB_OK);
    store_db_close(db);
    assert_int_equal(stat(sample_path("policies.mdb", path), &st), 0);
    sound_len = (size_t)st.st_size;
    sound = alloc_bytes(sound_len);
    f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(sound, 1, sound_len, f), sound_len);
    fclose(f);
}

static int
group_setup(void **state)
{
    (void)state;
    log_open("test", true, LOG_LEVEL_ERROR);
    sample_directory_make();
    make_sound_file();
    sample_directory_remove();
    return 0;
}

static int
group_teardown(void **state)
{
    (void)state;
    free(sound);
    return 0;
}

static int
setup(void **state)
{
    (void)state;
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

/* Opens the store, reads all, writes all. Returns how many were held, -1 when what was written is
 * not there. */
static int
use_store(void)
{
    struct store *store = sample_open();
    uint64_t seq;
    int held = 0;

    for (int n = 0; n < records; n++)
        held += sample_held(store, n, &seq);
    for (int n = 0; n < records; n++) {
        struct record record = sample_record(n, 9);
        store_put(store, &record);
    }
    store_flush(store);
    for (int n = 0; n < records; n++) {
        if (!sample_held(store, n, &seq))
            held = -1;
    }
    store_close(store);
    return held;
}

/* The same in a child. Returns how many were held, -1 when it died. */
static int
use_store_apart(void)
{
    int fds[2], held = -1, status;
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    if (child == 0) {
        int count = use_store();
        _exit(write(fds[1], &count, sizeof count) != sizeof count);
    }
    close(fds[1]);
    if (read(fds[0], &held, sizeof held) != sizeof held)
        held = -1;
    close(fds[0]);
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? held : -1;
}

/* The look at the start finds nearly all damage. What it overlooked may still end the process once
 * (`*deaths` counts), or LMDB notices while writing: then the next start mends it. */
static int
used_safely(const char *trial, int number, int *deaths)
{
    int held = use_store_apart();

    if (held >= 0)
        return held;
    ++*deaths;
    if (!sample_exists("suspect"))
        fail_msg("%s %d: the process died and left no mark", trial, number);
    held = use_store_apart();
    if (held < 0)
        fail_msg("%s %d: the process died twice", trial, number);
    return held;
}

static void
forget_kept(void)
{
    char path[SAMPLE_PATH];

    unlink(sample_path("policies.mdb.damaged", path));
    unlink(sample_path("suspect", path));
}

/* A small random generator of our own: the same trials on every machine. */
static uint32_t
next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void
test_overwritten_bytes(void **state)
{
    uint32_t seed = 1;
    char *bytes = alloc_bytes(sound_len);
    int64_t total = 0;
    int deaths = 0;

    (void)state;
    for (int i = 0; i < TRIALS; i++) {
        size_t at = next_random(&seed) % (sound_len - 64);

        memcpy(bytes, sound, sound_len);
        for (size_t k = 0; k < 64; k++)
            bytes[at + k] = (char)next_random(&seed);
        write_file("policies.mdb", bytes, sound_len);
        total += used_safely("bytes overwritten in trial", i, &deaths);
        forget_kept();
    }
    print_message("%d trials: %.2f %% of the records were held\n", TRIALS,
                  100.0 * (double)total / (TRIALS * (double)RECORDS));
    assert_true(deaths <= TRIALS / 20);
    assert_true(total > (int64_t)TRIALS * RECORDS * 95 / 100);
    free(bytes);
}

enum { WAYS = 100, FEW_RECORDS = 300, PAGE_SIZE = 4096 };

/* One of seven kinds of damage to `*len` bytes; there is room for a page more. True: the end was
 * cut off. */
static bool
damage(char *bytes, size_t *len, uint32_t *seed)
{
    size_t pages = *len / PAGE_SIZE, at = next_random(seed) % *len;
    char *page = bytes + next_random(seed) % pages * PAGE_SIZE;
    char *other = bytes + next_random(seed) % pages * PAGE_SIZE;

    switch (next_random(seed) % 7) {
    case 0:
        bytes[at] = (char)(bytes[at] ^ (1 << next_random(seed) % 8));
        break;
    case 1:
        for (size_t n = next_random(seed) % 512; n > 0 && at < *len; n--)
            bytes[at++] = (char)next_random(seed);
        break;
    case 2:
        memset(page, 0, PAGE_SIZE);
        break;
    case 3:
        memset(page, 0xff, PAGE_SIZE);
        break;
    case 4:
        memmove(page, other, PAGE_SIZE);
        break;
    case 5:
        *len = at;
        return true;
    default: /* within the head of a page: counts, flags, offsets */
        for (int n = 0; n < 4; n++)
            page[next_random(seed) % 32] = (char)next_random(seed);
    }
    return false;
}

/* AddressSanitizer would end the process where libLMDB, misled by a damaged page, hands the kernel
 * more bytes than it has: without it the write goes on, and what is told of that is for the test.
 */
const char *__asan_default_suppressions(void);

const char *
__asan_default_suppressions(void)
{
    return "interceptor_via_lib:liblmdb";
}

/* STS_FAULT_SEED asks for another hundred. With the usual one libLMDB writes beyond its memory. */
static void
test_a_hundred_random_ways(void **state)
{
    const char *wanted = getenv("STS_FAULT_SEED");
    uint32_t seed = wanted != NULL ? (uint32_t)strtoul(wanted, NULL, 10) : 1795562131;
    int64_t held[2] = {0}; /* of files that were not cut, and that were */
    int ways[2] = {0}, deaths = 0;

    (void)state;
    print_message("again with STS_FAULT_SEED=%u\n", seed);
    free(sound);
    records = FEW_RECORDS;
    make_sound_file();
    for (int i = 0; i < WAYS; i++) {
        char *bytes = alloc_bytes(sound_len);
        size_t len = sound_len;
        bool is_cut = false;

        memcpy(bytes, sound, sound_len);
        for (uint32_t n = 1 + next_random(&seed) % 3; n > 0 && len > 2 * (size_t)PAGE_SIZE; n--)
            is_cut |= damage(bytes, &len, &seed);
        write_file("policies.mdb", bytes, len);
        held[is_cut] += used_safely("random way", i, &deaths);
        ways[is_cut]++;
        forget_kept();
        free(bytes);
    }
    for (int i = 0; i < 2; i++)
        print_message("%d ways%s: %.1f %% of the records were held\n", ways[i],
                      i == 0 ? "" : " that cut the file",
                      100.0 * (double)held[i] / (ways[i] * (double)FEW_RECORDS));
    /* Damage takes the records of its pages, and those that only a damaged branch leads to. With
     * the end of the file most often the root is gone, and with it nearly all: nothing is asked
     * there but that the store can be used. */
    assert_true(held[0] >= (int64_t)ways[0] * FEW_RECORDS * 9 / 10);
}

static void
test_overwritten_pages(void **state)
{
    uint32_t seed = 2;
    char *bytes = alloc_bytes(sound_len);
    int deaths = 0;

    (void)state;
    for (int i = 0; i < TRIALS / 2; i++) {
        size_t at = next_random(&seed) % (sound_len / 4096 - 4) * 4096;

        memcpy(bytes, sound, sound_len);
        memset(bytes + at, i % 2 ? 0 : 0xff, (size_t)4 * 4096);
        write_file("policies.mdb", bytes, sound_len);
        (void)used_safely("pages overwritten in trial", i, &deaths);
        forget_kept();
    }
    assert_true(deaths <= TRIALS / 20);
    free(bytes);
}

static void
test_truncated(void **state)
{
    static const size_t cuts[] = {1, 100, 4095, 4096, 4097, 8192, 12288};
    int deaths = 0;

    (void)state;
    for (size_t i = 0; i < 10; i++) {
        size_t len = i < sizeof cuts / sizeof cuts[0] ? cuts[i] : sound_len / 10 * i;

        write_file("policies.mdb", sound, len);
        (void)used_safely("cut in trial", (int)i, &deaths);
        assert_true(sample_exists("policies.mdb.damaged"));
        forget_kept();
    }
    write_file("policies.mdb", sound, 0);
    assert_int_equal(used_safely("emptied", 0, &deaths), 0);
    assert_int_equal(deaths, 0);
    assert_false(sample_exists("policies.mdb.damaged"));
}

static void
test_foreign_file(void **state)
{
    static char garbage[100000];

    (void)state;
    memset(garbage, 'x', sizeof garbage);
    write_file("policies.mdb", garbage, sizeof garbage);
    assert_int_equal(use_store(), 0);
    assert_true(sample_exists("policies.mdb.damaged"));
    assert_int_equal(use_store(), RECORDS);
}

static void
test_suspect_store_is_copied_whole(void **state)
{
    char path[SAMPLE_PATH];
    struct stat st;

    (void)state;
    write_file("policies.mdb", sound, sound_len);
    for (int i = 0; i < 12; i++) {
        char kept[40];

        write_file("suspect", "", 0);
        assert_int_equal(use_store(), RECORDS);
        assert_false(sample_exists("suspect"));
        snprintf(kept, sizeof kept, i == 0 ? "policies.mdb.damaged" : "policies.mdb.damaged.%d", i);
        assert_int_equal(sample_exists(kept), i < 10);
    }
    assert_false(sample_exists("policies.mdb.new"));
    assert_int_equal(stat(sample_path("policies.mdb", path), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* A kill in the midst of a rescue leaves the old file and the mark: it begins again. */
static void
test_interrupted_rescue_begins_again(void **state)
{
    (void)state;
    write_file("policies.mdb", sound, sound_len);
    write_file("policies.mdb.damaged", sound, sound_len);
    write_file("policies.mdb.new", "half of a file", 14);
    write_file("suspect", "", 0);
    assert_int_equal(use_store(), RECORDS);
    assert_true(sample_exists("policies.mdb.damaged.1"));
}

/* Every record that is sound is saved when the damage is to one record only. */
static void
test_unsound_record_is_left_behind(void **state)
{
    char *bytes = alloc_bytes(sound_len);
    char want[80];

    (void)state;
    memcpy(bytes, sound, sound_len);
    snprintf(want, sizeof want, "sts1 policy\ndomain: d000777.example\nseq: 3\n");
    for (size_t at = 0; at + sizeof want < sound_len; at++) {
        if (memcmp(bytes + at, want, strlen(want)) == 0)
            bytes[at + strlen(want) - 2] = '2';
    }
    write_file("policies.mdb", bytes, sound_len);
    write_file("suspect", "", 0);
    assert_int_equal(use_store(), RECORDS - 1);
    free(bytes);
}

/* LMDB frees as many pages as the first page of a long value says, which may take gigabytes. */
static void
test_wrong_page_count(void **state)
{
    enum { PAGE = 4096, FLAGS_AT = 10, PAGES_AT = 12, OVERFLOW = 4 };
    const uint32_t wrong = 1000000;
    char *bytes = alloc_bytes(sound_len);
    int changed = 0;

    (void)state;
    memcpy(bytes, sound, sound_len);
    for (size_t at = 0; at + PAGE <= sound_len; at += PAGE) {
        uint16_t flags;

        memcpy(&flags, bytes + at + FLAGS_AT, sizeof flags);
        if (flags == OVERFLOW) {
            memcpy(bytes + at + PAGES_AT, &wrong, sizeof wrong);
            changed++;
        }
    }
    assert_true(changed > 0);
    write_file("policies.mdb", bytes, sound_len);
    assert_int_equal(use_store(), RECORDS);
    assert_true(sample_exists("policies.mdb.damaged"));
    free(bytes);
}

/* LMDB maps as much as its head says: what no machine has is damage, and no lack of memory. */
static void
test_impossible_sizes(void **state)
{
    enum { PAGE = 4096, MAP_SIZE_AT = 32, LAST_PAGE_AT = 136 };
    static const struct {
        size_t at;
        int held;
    } cases[] = {{MAP_SIZE_AT, RECORDS}, {LAST_PAGE_AT, 0}};
    const uint64_t wrong = (uint64_t)1 << 50;
    char *bytes = alloc_bytes(sound_len);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(bytes, sound, sound_len);
        for (size_t head = 0; head < 2; head++)
            memcpy(bytes + head * PAGE + cases[i].at, &wrong, sizeof wrong);
        write_file("policies.mdb", bytes, sound_len);
        assert_int_equal(use_store(), cases[i].held);
        assert_int_equal(use_store(), RECORDS);
        assert_int_equal(sample_exists("policies.mdb.damaged"), cases[i].held == 0);
        forget_kept();
    }
    free(bytes);
}

/* --- who makes the mark -------------------------------------------------- */

static int
die_inside(void *signal)
{
    store_guard_enter();
    raise(*(int *)signal);
    return 0;
}

static int
die_outside(void *signal)
{
    store_guard_enter();
    store_guard_leave();
    raise(*(int *)signal);
    return 0;
}

static int
fault_inside(void *nothing)
{
    const volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)nothing;
    store_guard_enter();
    return *page;
}

static void
test_mark_is_made_by_a_crash_inside_only(void **state)
{
    static const struct {
        int signal;
        int (*work)(void *);
        bool marked;
    } cases[] = {
        {SIGSEGV, die_inside, true},  {SIGBUS, die_inside, true},    {SIGABRT, die_inside, true},
        {SIGFPE, die_inside, true},   {SIGSEGV, fault_inside, true}, {SIGKILL, die_inside, false},
        {SIGTERM, die_inside, false}, {SIGSEGV, die_outside, false}, {SIGABRT, die_outside, false},
    };
    static const int plain_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    enum { PLAIN = sizeof plain_signals / sizeof plain_signals[0] };
    char path[SAMPLE_PATH];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sigaction before[PLAIN], plain = {.sa_handler = SIG_DFL};
        int signal = cases[i].signal, status;

        /* the sanitizers and cmocka have handlers of their own, which would exit */
        for (int k = 0; k < PLAIN; k++)
            sigaction(plain_signals[k], &plain, &before[k]);
        store_guard_install(sample_path("suspect", path));
        status = sample_in_child(cases[i].work, &signal);
        store_guard_remove();
        for (int k = 0; k < PLAIN; k++)
            sigaction(plain_signals[k], &before[k], NULL);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), cases[i].signal);
        if (sample_exists("suspect") != cases[i].marked)
            fail_msg("case %zu", i);
        unlink(path);
    }
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_overwritten_bytes),
        IN_DIRECTORY(test_overwritten_pages),
        IN_DIRECTORY(test_truncated),
        IN_DIRECTORY(test_foreign_file),
        IN_DIRECTORY(test_suspect_store_is_copied_whole),
        IN_DIRECTORY(test_interrupted_rescue_begins_again),
        IN_DIRECTORY(test_unsound_record_is_left_behind),
        IN_DIRECTORY(test_wrong_page_count),
        IN_DIRECTORY(test_impossible_sizes),
        IN_DIRECTORY(test_mark_is_made_by_a_crash_inside_only),
        IN_DIRECTORY(test_a_hundred_random_ways), /* the last: it makes another file */
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
