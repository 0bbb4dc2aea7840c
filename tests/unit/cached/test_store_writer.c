#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cached/cache_lmdb.h"
#include "cached/store_room.h"
#include "cached/store_writer.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/cached/store_samples.h"

enum { SMALL = 1 << 20, MANY = 4000, TODAY = 20700, LONG_AGO = TODAY - 200, DAY_S = 86400 };

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
put_asked_on(struct store *store, int n, int64_t day, size_t body_len)
{
    static char body[65536];
    struct record record = sample_record(n, 1);

    memset(body, 'b', sizeof body);
    record.asked_day = day;
    record.body = (struct span){body, body_len};
    store_put(store, &record);
}

static bool
holds(struct store *store, int n)
{
    struct record record;
    struct buf bytes;
    char domain[SAMPLE_DOMAIN_SIZE];
    bool held;

    sample_domain(n, domain);
    buf_init(&bytes, RECORD_MAX);
    held = store_get(store, domain, &bytes, &record);
    buf_done(&bytes);
    return held;
}

static void
assert_file_within(int64_t size)
{
    char path[SAMPLE_PATH];
    struct stat st;

    assert_int_equal(stat(sample_path("policies.mdb", path), &st), 0);
    assert_true(st.st_size <= size);
}

static void
test_full_store_evicts_what_was_unused_longest(void **state)
{
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;

    (void)state;
    for (int n = 0; n < MANY; n++) {
        put_asked_on(store, n, LONG_AGO + n / 40, 150);
        if (n % 500 == 499)
            store_flush(store);
    }
    store_flush(store);
    store_stats(store, &stats);
    assert_int_equal(stats.write_errors, 0);
    assert_int_equal(stats.policies + stats.evicted, MANY);
    assert_true(stats.policies > 800);
    assert_true(stats.evicted > 0);
    assert_true(stats.bytes_used <= stats.bytes_max);
    for (int n = 0; n < MANY; n += 40) { /* one of each day */
        if ((uint64_t)n + 40 <= stats.evicted)
            assert_false(holds(store, n));
        if ((uint64_t)n >= stats.evicted)
            assert_true(holds(store, n));
    }
    store_close(store);
    assert_file_within(SMALL);
}

static void
test_policies_in_use_are_never_evicted(void **state)
{
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;
    uint64_t kept;

    (void)state;
    for (int n = 0; n < MANY; n++)
        put_asked_on(store, n, TODAY - STORE_KEEP_DAYS + n % 20, 139);
    store_flush(store);
    store_stats(store, &stats);
    kept = stats.policies;
    assert_int_equal(stats.evicted, 0);
    assert_true(stats.write_errors > 0);
    assert_int_equal(kept + stats.write_errors, MANY);
    assert_true(holds(store, 0));
    assert_false(holds(store, MANY - 1));

    /* those that are there can be renewed all the same */
    for (int round = 0; round < 20; round++) {
        for (int n = 0; n < 200; n++)
            put_asked_on(store, n, TODAY, 139);
        store_flush(store);
    }
    store_stats(store, &stats);
    assert_int_equal(stats.write_errors, MANY - kept);
    assert_int_equal(stats.policies, kept);

    /* removals make room */
    for (int n = 0; n < 400; n++) {
        char domain[SAMPLE_DOMAIN_SIZE];

        sample_domain(n, domain);
        store_delete(store, domain);
    }
    put_asked_on(store, MANY, TODAY, 139);
    store_flush(store);
    put_asked_on(store, MANY + 1, TODAY, 139);
    store_flush(store);
    assert_true(holds(store, MANY + 1));

    /* and so does time: 40 days on all but the last are out of use */
    clock_fake(2000000, INT64_C(1) * (TODAY + 40) * DAY_S);
    for (int n = MANY + 2; n < MANY + 1500; n++)
        put_asked_on(store, n, TODAY + 40, 139);
    store_flush(store);
    store_stats(store, &stats);
    assert_true(stats.evicted > 500);
    assert_true(holds(store, MANY + 1499));
    store_close(store);
    assert_file_within(SMALL);
}

static void
test_large_records_find_room(void **state)
{
    struct store *store = sample_open_size(SMALL);
    struct store_stats stats;

    (void)state;
    for (int n = 0; n < 1500; n++)
        put_asked_on(store, n, LONG_AGO, 150);
    store_flush(store);
    for (int n = 1500; n < 1700; n++) {
        put_asked_on(store, n, LONG_AGO + 1 + n - 1500, n % 2 ? 150 : 6000);
        store_flush(store);
        assert_true(holds(store, n));
    }
    store_stats(store, &stats);
    assert_int_equal(stats.write_errors, 0);
    store_close(store);
    assert_file_within(SMALL);
}

static void
test_flush_covers_everything_before(void **state)
{
    struct store *store = sample_open();
    struct store_stats stats;

    (void)state;
    for (int round = 0; round < 30; round++) {
        for (int n = 0; n < 400; n++)
            put_asked_on(store, n + 400 * round, TODAY, 100);
        store_flush(store);
        store_stats(store, &stats);
        assert_int_equal(stats.policies, 400 * (round + 1));
    }
    store_flush(store);
    store_close(store);
}

/* Another process that keeps LMDB's writers out, from when it is told to until its end. */
struct intruder {
    pid_t pid;
    int fd;
};

static void
intrude(int fd)
{
    char path[SAMPLE_PATH], word;
    MDB_env *env;
    MDB_txn *txn;

    if (read(fd, &word, 1) != 1 || mdb_env_create(&env) != 0 ||
        mdb_env_open(env, sample_path("policies.mdb", path), MDB_NOSUBDIR, 0600) != 0 ||
        mdb_txn_begin(env, NULL, 0, &txn) != 0 || write(fd, &word, 1) != 1)
        _exit(1);
    (void)read(fd, &word, 1);
    mdb_txn_abort(txn);
    _exit(0);
}

/* Before the store is open: a child has none of its threads. */
static struct intruder
intruder_start(void)
{
    struct intruder in;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    in.pid = fork();
    if (in.pid == 0) {
        close(ends[0]);
        intrude(ends[1]);
    }
    close(ends[1]);
    in.fd = ends[0];
    return in;
}

static void
intruder_begin(const struct intruder *in)
{
    char word = 'x';

    assert_int_equal(write(in->fd, &word, 1), 1);
    assert_int_equal(read(in->fd, &word, 1), 1);
}

static void
intruder_end(const struct intruder *in)
{
    int status;

    close(in->fd);
    assert_int_equal(waitpid(in->pid, &status, 0), in->pid);
    assert_int_equal(status, 0);
}

/* While the writer waits: the first change may be in its hands already, all others are one. */
static void
test_changes_of_one_domain_share_a_write(void **state)
{
    struct intruder intruder = intruder_start();
    struct store *store = sample_open();
    struct store_stats stats;

    (void)state;
    intruder_begin(&intruder);
    for (int i = 0; i < 1000; i++)
        put_asked_on(store, 1, TODAY, 100);
    intruder_end(&intruder);
    store_flush(store);
    store_stats(store, &stats);
    assert_in_range(stats.written, 1, 2);
    assert_int_equal(stats.policies, 1);
    store_close(store);
}

static void
count_due(const char *domain, void *arg)
{
    assert_string_equal(domain, "d000001.example");
    ++*(int *)arg;
}

static void
test_later_change_counts_whole(void **state)
{
    struct store *store = sample_open();
    struct record record = sample_record(1, 1);
    int due = 0;

    (void)state;
    store_put(store, &record);
    record.refresh_s = 1000;
    store_put(store, &record);
    store_flush(store);
    assert_int_equal(store_due(store, 1000, 5, count_due, &due), 1);
    assert_int_equal(due, 1);
    store_close(store);
}

/* The number of the last commit, as the heads of the file have it. */
static uint64_t
last_commit(void)
{
    enum { NUMBER_AT = 144 };
    uint64_t numbers[2];
    char path[SAMPLE_PATH];
    int fd = open(sample_path("policies.mdb", path), O_RDONLY);

    for (int head = 0; head < 2; head++)
        assert_int_equal(pread(fd, &numbers[head], sizeof numbers[head],
                               head * sysconf(_SC_PAGESIZE) + NUMBER_AT),
                         sizeof numbers[head]);
    close(fd);
    return numbers[numbers[0] < numbers[1]];
}

/* One of them may go by itself; nobody waits for those that follow, so they wait for each other. */
static void
test_changes_that_follow_share_a_commit(void **state)
{
    enum { CHANGES = 15 };
    struct store *store = sample_open();
    uint64_t before, commits;
    struct timespec begin, end;
    int64_t took_ms;

    (void)state;
    put_asked_on(store, 0, TODAY, 139);
    store_flush(store);
    before = last_commit();
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int n = 1; n <= CHANGES; n++) {
        put_asked_on(store, n, TODAY, 139);
        usleep(1000);
    }
    store_flush(store);
    clock_gettime(CLOCK_MONOTONIC, &end);
    took_ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
    commits = last_commit() - before;
    assert_in_range(commits, 1, took_ms / 50 + 3);
    assert_true(holds(store, CHANGES));
    store_close(store);
}

/* And nobody needs to ask for it. */
static void
test_a_change_is_written_by_itself(void **state)
{
    struct store *store = sample_open();
    struct store_stats stats = {0};

    (void)state;
    for (int n = 0; n < 3; n++) {
        put_asked_on(store, n, TODAY, 139);
        for (int tries = 0; tries < 5000 && stats.written <= (uint64_t)n; tries++) {
            usleep(1000);
            store_stats(store, &stats);
        }
        assert_int_equal(stats.written, n + 1);
    }
    store_close(store);
}

/* As on a full disk: nothing is written to any file. */
static void
refuse_writes(bool refuse)
{
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = refuse ? 0 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool
seen(const struct record *record, void *arg)
{
    (void)record;
    *(int *)arg += 1;
    return true;
}

/* Puts samples 1 and 2, and removes 1 while the disk is full; what is seen of them then. */
static void
remove_on_a_full_disk(struct store *store, bool *held, int *walked)
{
    char domain[SAMPLE_DOMAIN_SIZE];

    put_asked_on(store, 1, TODAY, 100);
    put_asked_on(store, 2, TODAY, 100);
    store_flush(store);
    sample_domain(1, domain);
    refuse_writes(true);
    store_delete(store, domain);
    store_flush(store);
    *held = holds(store, 1);
    store_walk(store, NULL, seen, walked);
}

static void
test_removal_outlives_a_full_disk(void **state)
{
    struct store *store = sample_open();
    struct store_stats full, stats = {.policies = 2};
    bool held;
    int walked = 0;

    (void)state;
    remove_on_a_full_disk(store, &held, &walked);
    store_stats(store, &full);
    refuse_writes(false);
    assert_false(held);
    assert_int_equal(walked, 1);
    assert_int_equal(full.policies, 2);
    assert_int_equal(full.write_errors, 1);
    for (int tries = 0; tries < 1000 && stats.policies == 2; tries++) {
        usleep(10000);
        store_stats(store, &stats);
    }
    assert_int_equal(stats.policies, 1);
    assert_int_equal(stats.write_errors, 1);
    store_close(store);
    store = sample_open();
    assert_false(holds(store, 1));
    assert_true(holds(store, 2));
    store_close(store);
}

/* A policy fetched since is no reason to bring the removed one back. */
static void
test_write_that_fails_behind_a_removal(void **state)
{
    struct store *store = sample_open();
    bool held, held_new, held_then;
    int walked = 0;

    (void)state;
    remove_on_a_full_disk(store, &held, &walked);
    put_asked_on(store, 1, TODAY, 5000);
    held_new = holds(store, 1);
    store_flush(store);
    held_then = holds(store, 1);
    refuse_writes(false);
    assert_false(held);
    assert_true(held_new);
    assert_false(held_then);
    store_close(store); /* tries once more */
    store = sample_open();
    assert_false(holds(store, 1));
    store_close(store);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_full_store_evicts_what_was_unused_longest),
        IN_DIRECTORY(test_policies_in_use_are_never_evicted),
        IN_DIRECTORY(test_large_records_find_room),
        IN_DIRECTORY(test_flush_covers_everything_before),
        IN_DIRECTORY(test_changes_of_one_domain_share_a_write),
        IN_DIRECTORY(test_later_change_counts_whole),
        IN_DIRECTORY(test_changes_that_follow_share_a_commit),
        IN_DIRECTORY(test_a_change_is_written_by_itself),
        IN_DIRECTORY(test_removal_outlives_a_full_disk),
        IN_DIRECTORY(test_write_that_fails_behind_a_removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
