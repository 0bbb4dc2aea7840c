/* How full the store is, and whether its pages make sense. */
#include <stdint.h>
#include <string.h>

#include "cached/store_db_lmdb.h"
#include "cached/store_guard.h"
#include "common/clock.h"

enum { FREE_DATABASE = 0, FIRST_DATA_PAGE = 2, PAGE_HEAD = 16, CLOCK_EVERY = 64 };

/* Adds up the pages on the free list: each value is a count and that many page numbers, greatest
 * first. LMDB keeps them for later, so its high-water mark alone does not say how full it is. */
static int
count_free(MDB_txn *txn, size_t last_page, size_t *pages)
{
    MDB_val key, value;
    MDB_cursor *cursor;
    int error = mdb_cursor_open(txn, FREE_DATABASE, &cursor);

    *pages = 0;
    if (error)
        return error;
    while ((error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        size_t count, page, before = last_page + 1;
        const char *at = value.mv_data;

        memcpy(&count, at, sizeof count);
        error = value.mv_size / sizeof count <= count ? MDB_CORRUPTED : 0;
        for (size_t i = 0; !error && i < count; i++, before = page) {
            at += sizeof page;
            memcpy(&page, at, sizeof page);
            if (page >= before || page < FIRST_DATA_PAGE)
                error = MDB_CORRUPTED;
        }
        if (error)
            break;
        *pages += count;
    }
    mdb_cursor_close(cursor);
    return error == MDB_NOTFOUND ? MDB_SUCCESS : error;
}

/* A transaction of its own: the writer asks too. */
static int
measure(struct store_db *db, struct store_db_usage *usage)
{
    MDB_envinfo info;
    MDB_stat stat;
    MDB_txn *txn;
    size_t free_pages = 0;
    int error = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);

    if (error)
        return error;
    mdb_env_info(db->env, &info);
    error = mdb_stat(txn, db->policy, &stat);
    if (!error)
        error = count_free(txn, info.me_last_pgno, &free_pages);
    mdb_txn_abort(txn);
    if (!error) {
        usage->policies = stat.ms_entries;
        usage->bytes_max = info.me_mapsize;
        usage->bytes_used = (uint64_t)(info.me_last_pgno + 1 - free_pages) * stat.ms_psize;
    }
    return error;
}

void
store_db_usage(struct store_db *db, struct store_db_usage *usage)
{
    int error;

    *usage = (struct store_db_usage){0};
    store_guard_enter();
    error = measure(db, usage);
    store_db_insist_on_memory(error);
    if (error)
        *usage = (struct store_db_usage){0};
    store_guard_leave();
}

enum store_db_status
store_db_count(struct store_db *db, uint64_t *policies)
{
    MDB_stat stat = {0};
    MDB_txn *txn;
    int error;

    store_guard_enter();
    error = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
    if (!error) {
        error = mdb_stat(txn, db->policy, &stat);
        mdb_txn_abort(txn);
    }
    store_db_insist_on_memory(error);
    *policies = stat.ms_entries;
    return store_db_leave(error);
}

/* Touches every page of a value. */
static void
touch(const MDB_val *value)
{
    const volatile char *bytes = value->mv_data;

    for (size_t at = 0; at < value->mv_size; at += 512)
        (void)bytes[at];
    if (value->mv_size > 0)
        (void)bytes[value->mv_size - 1];
}

/* A value that begins right behind the head of a page lies on pages of its own; the last field of
 * that head is their number. LMDB believes it when it frees them: a wrong one has it write page
 * numbers for ever, or into gigabytes. */
static bool
is_page_count_right(const MDB_val *value, size_t page_size)
{
    const char *data = value->mv_data;
    uint32_t pages;

    if ((uintptr_t)data % page_size != PAGE_HEAD)
        return true;
    memcpy(&pages, data - sizeof pages, sizeof pages);
    return pages == (PAGE_HEAD + value->mv_size - 1) / page_size + 1;
}

/* Walks one database: as many entries as it claims, in ascending order, all within the file. */
static int
check_database(MDB_txn *txn, MDB_dbi dbi, int64_t end_ms, size_t *entries)
{
    MDB_val key, value, before = {0};
    MDB_cursor *cursor;
    MDB_stat stat;
    size_t seen = 0;
    int error = mdb_stat(txn, dbi, &stat);

    *entries = stat.ms_entries;
    if (!error)
        error = mdb_cursor_open(txn, dbi, &cursor);
    if (error)
        return error;
    while ((error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        touch(&value);
        if (!is_page_count_right(&value, stat.ms_psize))
            error = MDB_CORRUPTED;
        if (seen++ > 0 && mdb_cmp(txn, dbi, &before, &key) >= 0)
            error = MDB_CORRUPTED;
        before = key;
        if (error || (seen % CLOCK_EVERY == 0 && clock_boot_ms() > end_ms))
            break;
    }
    mdb_cursor_close(cursor);
    if (error == MDB_NOTFOUND)
        return seen == stat.ms_entries ? MDB_SUCCESS : MDB_CORRUPTED;
    return error;
}

static int
check_all(struct store_db *db, int64_t end_ms)
{
    size_t policies, due, used, free_pages;
    MDB_envinfo info;
    MDB_txn *txn;
    int error = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);

    if (error)
        return error;
    mdb_env_info(db->env, &info);
    error = count_free(txn, info.me_last_pgno, &free_pages);
    if (!error)
        error = check_database(txn, db->policy, end_ms, &policies);
    if (!error)
        error = check_database(txn, db->index[STORE_DB_DUE], end_ms, &due);
    if (!error)
        error = check_database(txn, db->index[STORE_DB_USED], end_ms, &used);
    if (!error && (due != policies || used != policies))
        error = MDB_CORRUPTED;
    mdb_txn_abort(txn);
    return error;
}

bool
store_db_check(struct store_db *db, int64_t limit_ms)
{
    int error;

    store_guard_enter();
    error = check_all(db, clock_boot_ms() + limit_ms);
    store_db_insist_on_memory(error);
    store_guard_leave();
    return error == MDB_SUCCESS;
}
