#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cached/cache_lmdb.h"
#include "common/alloc.h"
#include "tests/unit/cached/store_samples.h"

enum { KILL_ROUNDS = 20, KILL_DOMAINS = 300 };

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

static void
put(struct store *store, int n, uint64_t seq)
{
    struct record record = sample_record(n, seq);

    store_put(store, &record);
}

static void delete (struct store *store, int n)
{
    char domain[DOMAIN_SIZE];

    sample_domain(n, domain);
    store_delete(store, domain);
}

static void
test_survives_a_restart(void **state)
{
    struct store *store = sample_open();
    struct store_stats stats;
    struct stat st;
    char path[SAMPLE_PATH];
    uint64_t seq;

    (void)state;
    for (int n = 0; n < 1000; n++)
        put(store, n, 1);
    delete (store, 7);
    store_close(store);
    assert_int_equal(stat(sample_path("policies.mdb", path), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    store = sample_open();
    for (int n = 0; n < 1000; n++)
        assert_int_equal(sample_held(store, n, &seq), n != 7);
    store_stats(store, &stats);
    assert_int_equal(stats.policies, 999);
    assert_true(stats.bytes_used > 999 * 100 && stats.bytes_used < stats.bytes_max);
    assert_int_equal(stats.bytes_max, SAMPLE_STORE_SIZE);
    store_close(store);
    assert_false(sample_exists("policies.mdb.damaged"));
    assert_false(sample_exists("suspect"));
}

static void
test_reads_what_is_not_yet_on_disk(void **state)
{
    struct store *store = sample_open();
    uint64_t seq = 0;

    (void)state;
    assert_false(sample_held(store, 1, &seq));
    for (uint64_t i = 1; i <= 2000; i++) {
        put(store, 1, i);
        assert_true(sample_held(store, 1, &seq));
        assert_int_equal(seq, i);
        delete (store, 1);
        assert_false(sample_held(store, 1, &seq));
        put(store, 2, i);
    }
    store_flush(store);
    assert_false(sample_held(store, 1, &seq));
    assert_true(sample_held(store, 2, &seq));
    assert_int_equal(seq, 2000);
    store_close(store);
}

struct walk {
    int first, count, stop_after;
};

static bool
on_record(const struct record *record, void *arg)
{
    struct walk *walk = arg;
    char domain[DOMAIN_SIZE];

    sample_domain(walk->first + walk->count, domain);
    assert_string_equal(record->domain, domain);
    assert_int_equal(record->body.len, sample_record(walk->first + walk->count, 0).body.len);
    return ++walk->count < walk->stop_after;
}

static void
test_walks_in_order(void **state)
{
    struct store *store = sample_open();
    struct walk all = {0, 0, 1000}, part = {51, 0, 20}, end = {0, 0, 1};

    (void)state;
    for (int n = 299; n >= 0; n--)
        put(store, n, 1);
    store_flush(store);
    store_walk(store, NULL, on_record, &all);
    assert_int_equal(all.count, 300);
    store_walk(store, "d000050.example", on_record, &part);
    assert_int_equal(part.count, 20);
    store_walk(store, "d000299.example", on_record, &end);
    assert_int_equal(end.count, 0);
    store_delete(store, "d000299.example");
    store_walk(store, "d000298.example", on_record, &end); /* whether written down yet or not */
    assert_int_equal(end.count, 0);
    store_close(store);
}

struct due {
    int count;
    char domains[8][DOMAIN_SIZE];
};

static void
on_due(const char *domain, void *arg)
{
    struct due *due = arg;

    assert_true(due->count < 8);
    snprintf(due->domains[due->count++], DOMAIN_SIZE, "%s", domain);
}

static void
test_due_earliest_first(void **state)
{
    struct store *store = sample_open();
    struct record late = sample_record(3, 1);
    struct due due = {0}, few = {0};

    (void)state;
    for (int n = 9; n >= 0; n--)
        put(store, n, 1);
    store_flush(store);
    late.refresh_s += 100000;
    store_put(store, &late); /* still queued: the old line in the index must not count */
    delete (store, 4);
    assert_int_equal(store_due(store, 1790040006, 8, on_due, &due), 5);
    assert_string_equal(due.domains[0], "d000000.example");
    assert_string_equal(due.domains[3], "d000005.example");
    assert_string_equal(due.domains[4], "d000006.example");
    store_flush(store);
    assert_int_equal(store_due(store, 1790040006, 2, on_due, &few), 2);
    assert_string_equal(few.domains[1], "d000001.example");
    assert_int_equal(store_due(store, 1790039999, 8, on_due, &few), 0);
    store_close(store);
}

static void
test_second_daemon_is_refused(void **state)
{
    struct store *store = sample_open();
    char why[200] = "", path[SAMPLE_PATH];

    (void)state;
    assert_null(store_open(sample_path(".", path), SAMPLE_STORE_SIZE, why, sizeof why));
    assert_non_null(strstr(why, "another sts-cached runs on"));
    put(store, 1, 1);
    store_close(store);
    store_close(sample_open());
}

static void
test_missing_directory(void **state)
{
    char why[200] = "", path[SAMPLE_PATH];

    (void)state;
    assert_null(store_open(sample_path("a/b", path), SAMPLE_STORE_SIZE, why, sizeof why));
    assert_non_null(strstr(why, "No such file"));
}

/* Changes the file behind the back of the store; a NULL value removes the key. */
static void
tamper(const char *database, const char *key, size_t key_len, const char *value, size_t len)
{
    char path[SAMPLE_PATH], key_copy[300], value_copy[300] = "";
    MDB_val k = {key_len, memcpy(key_copy, key, key_len)}, v = {len, value_copy};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;

    if (value != NULL)
        memcpy(value_copy, value, len);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_open(env, sample_path("policies.mdb", path), MDB_NOSUBDIR, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, database, 0, &dbi), 0);
    if (value != NULL)
        assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    else
        assert_int_equal(mdb_del(txn, dbi, &k, NULL), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static char *
read_store_file(size_t *len)
{
    char path[SAMPLE_PATH], *bytes = alloc_bytes(1 << 20);
    FILE *f = fopen(sample_path("policies.mdb", path), "rb");

    assert_non_null(f);
    *len = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return bytes;
}

static void
test_newer_version_is_left_alone(void **state)
{
    struct store *store = sample_open();
    char why[300] = "", path[SAMPLE_PATH], *before, *after;
    size_t before_len, after_len;

    (void)state;
    put(store, 1, 1);
    store_close(store);
    tamper(NULL, "format", 6, "2", 1);
    for (int suspect = 0; suspect <= 1; suspect++) {
        if (suspect)
            fclose(fopen(sample_path("suspect", path), "w"));
        before = read_store_file(&before_len);
        assert_null(store_open(sample_path(".", path), SAMPLE_STORE_SIZE, why, sizeof why));
        assert_non_null(strstr(why, "newer version"));
        after = read_store_file(&after_len);
        assert_int_equal(before_len, after_len);
        assert_memory_equal(before, after, before_len);
        assert_false(sample_exists("policies.mdb.damaged"));
        free(before);
        free(after);
    }
}

static void
test_unsound_record_is_deleted(void **state)
{
    struct store *store = sample_open();
    struct store_stats stats;
    struct due due = {0};
    uint64_t seq;

    (void)state;
    for (int n = 0; n < 5; n++)
        put(store, n, 1);
    store_close(store);
    tamper("policy", "d000002.example", 15, "sts1 policy\ndomain: d000002.example\n", 36);
    store = sample_open();
    assert_false(sample_held(store, 2, &seq));
    assert_false(sample_held(store, 2, &seq));
    assert_true(sample_held(store, 3, &seq));
    store_flush(store);
    store_stats(store, &stats);
    assert_int_equal(stats.unsound, 1);
    assert_int_equal(stats.policies, 4);
    assert_int_equal(store_due(store, INT64_MAX, 8, on_due, &due), 4);
    put(store, 2, 5);
    store_flush(store);
    assert_true(sample_held(store, 2, &seq));
    store_close(store);
}

static void
test_record_of_another_domain_is_unsound(void **state)
{
    struct store *store = sample_open();
    struct record other = sample_record(1, 1);
    struct buf bytes;
    uint64_t seq;

    (void)state;
    put(store, 2, 1);
    store_close(store);
    other.body.len = 60;
    buf_init(&bytes, RECORD_MAX);
    record_encode(&other, NULL, &bytes);
    assert_true(bytes.len <= 300);
    tamper("policy", "d000002.example", 15, bytes.data, bytes.len);
    buf_done(&bytes);
    store = sample_open();
    assert_false(sample_exists("policies.mdb.damaged"));
    assert_false(sample_held(store, 2, &seq));
    store_close(store);
}

/* As many lines as records, so that the look at the start finds nothing. */
static void
test_wrong_due_lines_go(void **state)
{
    static const char phantom[] = "\0\0\0\0\0\0\0\001d000009.example";
    static const char stale[] = "\0\0\0\0\0\0\0\001d000001.example";
    struct store *store = sample_open();
    struct due due = {0};
    char lines[2][40] = {{0}};

    (void)state;
    for (int n = 0; n < 3; n++) {
        uint64_t when = (uint64_t)sample_record(n, 1).refresh_s;

        put(store, n, 1);
        for (int i = 7; n > 0 && i >= 0; i--, when /= 256)
            lines[n - 1][i] = (char)(when % 256);
    }
    store_close(store);
    sample_domain(1, lines[0] + 8);
    sample_domain(2, lines[1] + 8);
    tamper("due", lines[0], 23, NULL, 0);
    tamper("due", lines[1], 23, NULL, 0);
    tamper("due", stale, 23, "", 0);
    tamper("due", phantom, 23, "", 0);
    store = sample_open();
    assert_false(sample_exists("policies.mdb.damaged"));
    assert_int_equal(store_due(store, INT64_MAX, 1, on_due, &due), 1);
    assert_string_equal(due.domains[0], "d000000.example");
    store_flush(store);
    due.count = 0;
    assert_int_equal(store_due(store, INT64_MAX, 8, on_due, &due), 2);
    assert_string_equal(due.domains[1], "d000001.example");
    store_close(store);
}

/* Puts rounds of all domains and tells through the pipe which round was flushed. */
static void
put_until_killed(int acknowledge, uint64_t round)
{
    struct store *store = sample_open();

    for (;; round++) {
        for (int n = 0; n < KILL_DOMAINS; n++)
            put(store, n, round);
        store_flush(store);
        if (write(acknowledge, &round, sizeof round) != (ssize_t)sizeof round)
            _exit(1);
    }
}

static void
test_kill_loses_nothing(void **state)
{
    uint64_t acknowledged = 0;

    (void)state;
    for (int kills = 0; kills < KILL_ROUNDS; kills++) {
        uint64_t seen, seq;
        int fds[2], status;
        struct store *store;
        pid_t child;

        assert_int_equal(pipe(fds), 0);
        child = fork();
        if (child == 0)
            put_until_killed(fds[1], acknowledged + 1);
        close(fds[1]);
        assert_int_equal(read(fds[0], &acknowledged, sizeof acknowledged), sizeof acknowledged);
        usleep((useconds_t)(kills * 1500));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        while (read(fds[0], &seen, sizeof seen) == sizeof seen)
            acknowledged = seen;
        close(fds[0]);

        store = sample_open();
        for (int n = 0; n < KILL_DOMAINS; n++) {
            assert_true(sample_held(store, n, &seq));
            assert_true(seq >= acknowledged);
        }
        store_close(store);
        assert_false(sample_exists("suspect"));
        assert_false(sample_exists("policies.mdb.damaged"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_survives_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reads_what_is_not_yet_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walks_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_due_earliest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_daemon_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_version_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unsound_record_is_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_of_another_domain_is_unsound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_due_lines_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kill_loses_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
