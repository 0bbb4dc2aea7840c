/* What comes of a rescue when its children cannot be had, come to nothing or never end, and when
 * the result cannot be put in place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cached/store_db.h"
#include "cached/store_rescue.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/cached/store_samples.h"

enum { RECORDS = 500, PER_COMMIT = 50 };

/* --- the system, which fails as it is told to ----------------------------------------------- */

static int forks, fork_fails_at; /* the number of the fork that fails; 0: none */
static int exit_early_at, exit_status;
static bool renaming_fails;
static unsigned records_per_child; /* then it hangs; 0: it does not */
static int64_t now_ms;

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __real_waitpid(pid_t, int *status, int options);
pid_t __wrap_waitpid(pid_t, int *status, int options);
unsigned __wrap_alarm(unsigned seconds);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
enum store_db_status __real_store_db_next(struct store_db *, char *domain, struct buf *);
enum store_db_status __wrap_store_db_next(struct store_db *, char *domain, struct buf *);
enum store_db_status __real_store_db_previous(struct store_db *, char *domain, struct buf *);
enum store_db_status __wrap_store_db_previous(struct store_db *, char *domain, struct buf *);
enum store_db_status __real_store_db_index_next(struct store_db *, enum store_db_index,
                                                struct store_db_place *);
enum store_db_status __wrap_store_db_index_next(struct store_db *, enum store_db_index,
                                                struct store_db_place *);

pid_t
__wrap_fork(void)
{
    pid_t child;

    if (++forks == fork_fails_at) {
        errno = EAGAIN;
        return -1;
    }
    child = __real_fork();
    if (child == 0 && forks == exit_early_at)
        _exit(exit_status);
    return child;
}

/* A child that was patient for three seconds took them. */
pid_t
__wrap_waitpid(pid_t pid, int *status, int options)
{
    pid_t child = __real_waitpid(pid, status, options);

    if (child > 0 && WIFSIGNALED(*status) && WTERMSIG(*status) == SIGALRM)
        clock_fake(now_ms += 3000, 1790000000);
    return child;
}

/* Only who hangs waits for it: not long. */
unsigned
__wrap_alarm(unsigned seconds)
{
    (void)seconds;
    return 0;
}

int
__wrap_rename(const char *from, const char *to)
{
    if (renaming_fails && strstr(from, ".new") != NULL) {
        errno = EIO;
        return -1;
    }
    return __real_rename(from, to);
}

static void
hang_if_it_is_time(void)
{
    static unsigned seen;

    if (records_per_child > 0 && ++seen >= records_per_child)
        raise(SIGALRM);
}

enum store_db_status
__wrap_store_db_next(struct store_db *db, char *domain, struct buf *bytes)
{
    hang_if_it_is_time();
    return __real_store_db_next(db, domain, bytes);
}

enum store_db_status
__wrap_store_db_previous(struct store_db *db, char *domain, struct buf *bytes)
{
    hang_if_it_is_time();
    return __real_store_db_previous(db, domain, bytes);
}

enum store_db_status
__wrap_store_db_index_next(struct store_db *db, enum store_db_index index,
                           struct store_db_place *place)
{
    enum store_db_status status = __real_store_db_index_next(db, index, place);

    hang_if_it_is_time(); /* behind a place of its own each time */
    return status;
}

/* --- helpers ---------------------------------------------------------------------------------- */

static char path[SAMPLE_PATH], suspect[SAMPLE_PATH], why[256];

static void
write_store(void)
{
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

/* The first source loses so much that the second is tried. */
static void
damage_pages(void)
{
    sample_overwrite_page("policies.mdb", "mx3");
}

static bool
run_rescue(void)
{
    const struct store_files files = {path, suspect, SAMPLE_STORE_SIZE};

    forks = 0;
    why[0] = '\0';
    return store_rescue(&files, true, why, sizeof why);
}

static uint64_t
held(void)
{
    struct store_db *db;
    uint64_t count;

    assert_int_equal(store_db_open(path, SAMPLE_STORE_SIZE, STORE_DB_LOOK, &db, why, sizeof why),
                     STORE_DB_OK);
    assert_int_equal(store_db_count(db, &count), STORE_DB_OK);
    store_db_close(db);
    return count;
}

static void
assert_nothing_left_behind(void)
{
    assert_false(sample_exists("policies.mdb.new"));
    assert_false(sample_exists("policies.mdb.trial"));
    assert_false(sample_exists("policies.mdb.head"));
}

static int
setup(void **state)
{
    (void)state;
    log_open("test", true, LOG_LEVEL_ERROR);
    sample_directory_make();
    sample_path("policies.mdb", path);
    sample_path("suspect", suspect);
    clock_fake(now_ms = 1000000, 1790000000);
    write_store();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    fork_fails_at = exit_early_at = exit_status = 0;
    renaming_fails = false;
    records_per_child = 0;
    sample_directory_remove();
    return 0;
}

/* --- the tests -------------------------------------------------------------------------------- */

/* How many children the first source takes. */
static int
children_of_the_first(void)
{
    int children;

    damage_pages();
    for (children = 1;; children++) {
        exit_early_at = children;
        exit_status = STORE_DB_FAILED;
        if (run_rescue())
            return children - 1;
        assert_nothing_left_behind();
        assert_false(sample_exists("policies.mdb.damaged"));
    }
}

/* Each first child that fails keeps the daemon from starting, with nothing touched; from the second
 * source on what there is is taken. */
static void
test_failure_of_a_later_source(void **state)
{
    static const struct {
        int fork_fails, status;
    } cases[] = {{1, 0}, {0, STORE_DB_FAILED}, {0, STORE_DB_NEWER}, {0, ALLOC_EXIT}};
    uint64_t best;
    int later;

    (void)state;
    later = children_of_the_first() + 1;
    best = held();
    assert_true(best > RECORDS / 2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unlink(path);
        write_store();
        damage_pages();
        fork_fails_at = cases[i].fork_fails ? later : 0;
        exit_early_at = cases[i].fork_fails ? 0 : later;
        exit_status = cases[i].status;
        if (!run_rescue())
            fail_msg("case %zu: %s", i, why);
        assert_int_equal(forks, later);
        assert_int_equal(held(), best);
        assert_nothing_left_behind();
    }
}

static void
test_failure_of_the_first_source(void **state)
{
    static const struct {
        int fork_fails, status;
    } cases[] = {{1, 0}, {0, STORE_DB_FAILED}, {0, STORE_DB_NEWER}, {0, ALLOC_EXIT}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fork_fails_at = cases[i].fork_fails ? 1 : 0;
        exit_early_at = cases[i].fork_fails ? 0 : 1;
        exit_status = cases[i].status;
        assert_false(run_rescue());
        assert_int_equal(held(), RECORDS);
        assert_nothing_left_behind();
        assert_false(sample_exists("policies.mdb.damaged"));
    }
}

static void
test_result_that_cannot_be_put_in_place(void **state)
{
    (void)state;
    renaming_fails = true;
    assert_false(run_rescue());
    assert_non_null(strstr(why, "cannot be replaced"));
    assert_int_equal(held(), RECORDS);
    assert_nothing_left_behind();
    assert_false(sample_exists("policies.mdb.damaged"));
}

/* Mail waits: where nothing is saved, it is given up in time. */
static void
test_children_that_only_hang(void **state)
{
    int64_t began_ms = now_ms;

    (void)state;
    records_per_child = 1;
    assert_true(run_rescue());
    assert_in_range(now_ms - began_ms, 2 * 10000, 2 * 13000);
    assert_false(sample_exists("policies.mdb")); /* nothing was saved: it is made anew */
    assert_true(sample_exists("policies.mdb.damaged"));
}

/* But not while each child saves something. */
static void
test_children_that_hang_and_save(void **state)
{
    int64_t began_ms = now_ms;

    (void)state;
    records_per_child = 100;
    assert_true(run_rescue());
    assert_true(now_ms - began_ms > 2 * 13000);
    assert_true(held() > RECORDS / 2);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_failure_of_a_later_source),
        WITH_STORE(test_failure_of_the_first_source),
        WITH_STORE(test_result_that_cannot_be_put_in_place),
        WITH_STORE(test_children_that_only_hang),
        WITH_STORE(test_children_that_hang_and_save),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
