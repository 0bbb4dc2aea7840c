#include "cached/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cached/store_db_lmdb.h"
#include "cached/store_guard.h"
#include "common/log.h"

#define FORMAT_KEY "format"

enum {
    FORMAT_VERSION = 1,
    FORMAT_DIGITS = 9,
    DATABASES = 1 + STORE_DB_INDEXES,
    FILE_MODE = 0600,
    READERS_BYTES = 8192 /* LMDB's own size for its default of 126 readers */
};

enum store_db_status
store_db_status_of(int error)
{
    switch (error) {
    case MDB_SUCCESS:
        return STORE_DB_OK;
    case MDB_NOTFOUND:
        return STORE_DB_MISSING;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return STORE_DB_FULL;
    case MDB_READERS_FULL:
        return STORE_DB_FAILED;
    case EINVAL:          /* sizes in the file that no map can have */
    case MDB_MAP_RESIZED: /* nor this one: nobody else has the file open */
        return STORE_DB_DAMAGED;
    case ENOMEM:
        return STORE_DB_NO_MEMORY;
    default:
        return error < 0 ? STORE_DB_DAMAGED : STORE_DB_FAILED;
    }
}

void
store_db_insist_on_memory(int error)
{
    if (error == ENOMEM)
        alloc_fail();
}

enum store_db_status
store_db_leave(int error)
{
    enum store_db_status status = store_db_status_of(error);

    store_guard_leave();
    if (status == STORE_DB_DAMAGED || status == STORE_DB_NO_MEMORY)
        store_guard_mark();
    return status;
}

MDB_val
store_db_val(const char *bytes, size_t len)
{
    union {
        const char *given;
        void *wanted; /* LMDB has no const, but does not write to keys and values */
    } at = {.given = bytes};

    return (MDB_val){len, at.wanted};
}

MDB_val
store_db_key_of(int64_t number, const char *domain, struct store_db_key *key)
{
    size_t len = strlen(domain);

    for (int i = STORE_DB_NUMBER_SIZE - 1; i >= 0; i--, number /= 256)
        key->bytes[i] = (unsigned char)(number % 256);
    memcpy(key->bytes + STORE_DB_NUMBER_SIZE, domain, len);
    key->len = STORE_DB_NUMBER_SIZE + len;
    return (MDB_val){key->len, key->bytes};
}

/* Copies a name out of the file; false when it cannot be one. */
static bool
name_of(const char *bytes, size_t len, char domain[DOMAIN_SIZE])
{
    if (len == 0 || len >= DOMAIN_SIZE || memchr(bytes, '\0', len) != NULL)
        return false;
    memcpy(domain, bytes, len);
    domain[len] = '\0';
    return true;
}

bool
store_db_place_of(const MDB_val *key, struct store_db_place *place)
{
    const unsigned char *bytes = key->mv_data;

    if (key->mv_size <= STORE_DB_NUMBER_SIZE || bytes[0] & 0x80)
        return false;
    place->number = 0;
    for (int i = 0; i < STORE_DB_NUMBER_SIZE; i++)
        place->number = place->number * 256 + bytes[i];
    return name_of((const char *)bytes + STORE_DB_NUMBER_SIZE, key->mv_size - STORE_DB_NUMBER_SIZE,
                   place->domain);
}

/* Opens the three databases, or makes them. */
static int
open_databases(struct store_db *db, MDB_txn *txn, unsigned flags)
{
    int error = mdb_dbi_open(txn, "policy", flags, &db->policy);

    if (!error)
        error = mdb_dbi_open(txn, "due", flags, &db->index[STORE_DB_DUE]);
    if (!error)
        error = mdb_dbi_open(txn, "used", flags, &db->index[STORE_DB_USED]);
    store_db_insist_on_memory(error);
    return error == MDB_NOTFOUND ? MDB_CORRUPTED : error;
}

static enum store_db_status
read_format(const MDB_val *value)
{
    struct scan s = scan_bytes(value->mv_data, value->mv_size);
    uint64_t version;

    if (value->mv_size > FORMAT_DIGITS || !scan_number(&s, FORMAT_DIGITS, &version) ||
        !scan_is_done(&s) || version == 0)
        return STORE_DB_DAMAGED;
    return version > FORMAT_VERSION ? STORE_DB_NEWER : STORE_DB_OK;
}

/* Looks at the version before anything else. STORE_DB_MISSING: the file is new. */
static enum store_db_status
open_old(struct store_db *db)
{
    MDB_val key = store_db_val(FORMAT_KEY, strlen(FORMAT_KEY)), value;
    enum store_db_status status;
    MDB_stat stat = {0};
    MDB_txn *txn;
    MDB_dbi dbi;
    int error = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);

    store_db_insist_on_memory(error);
    if (error)
        return store_db_status_of(error);
    error = mdb_dbi_open(txn, NULL, 0, &dbi);
    if (!error)
        error = mdb_stat(txn, dbi, &stat);
    if (!error)
        error = mdb_get(txn, dbi, &key, &value);
    store_db_insist_on_memory(error);
    if (error == MDB_NOTFOUND && stat.ms_entries > 0)
        error = MDB_INVALID; /* LMDB, but not of ours */
    status = error ? store_db_status_of(error) : read_format(&value);
    if (status == STORE_DB_OK)
        status = store_db_status_of(open_databases(db, txn, 0));
    if (status == STORE_DB_OK)
        return store_db_status_of(mdb_txn_commit(txn)); /* keeps the handles */
    mdb_txn_abort(txn);
    return status;
}

static int
make_new(struct store_db *db)
{
    char version[] = {'0' + FORMAT_VERSION};
    MDB_val key = store_db_val(FORMAT_KEY, strlen(FORMAT_KEY)), value = {sizeof version, version};
    MDB_txn *txn;
    MDB_dbi dbi;
    int error = mdb_txn_begin(db->env, NULL, 0, &txn);

    if (error)
        return error;
    error = mdb_dbi_open(txn, NULL, 0, &dbi);
    if (!error)
        error = mdb_put(txn, dbi, &key, &value, 0);
    if (!error)
        error = open_databases(db, txn, MDB_CREATE);
    if (!error)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return error;
}

static void
on_lmdb_assert(MDB_env *env, const char *message)
{
    (void)env;
    log_error("store: LMDB: %s", message);
    abort();
}

/* Who only looks expects it. */
static void
on_expected_assert(MDB_env *env, const char *message)
{
    (void)env;
    (void)message;
    abort();
}

/* LMDB writes to its file of readers through a map, and does not ask whether the disk has room for
 * it: on a full one that would be a SIGBUS. Returns an errno. */
static int
reserve_readers(const char *path)
{
    char readers[PATH_MAX];
    int fd, error;

    snprintf(readers, sizeof readers, "%s-lock", path);
    fd = open(readers, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return errno;
    error = posix_fallocate(fd, 0, READERS_BYTES);
    close(fd);
    return error;
}

static int
open_env(struct store_db *db, const char *path, int64_t size, enum store_db_access access)
{
    static const unsigned flags[] = {
        [STORE_DB_SHARED] = 0,
        [STORE_DB_REPAIR] = MDB_NOLOCK | MDB_NOSYNC,
        [STORE_DB_LOOK] = MDB_NOLOCK | MDB_RDONLY,
    };
    size_t page = 65536; /* a multiple of every page size */
    int error = mdb_env_create(&db->env), dead;

    if (!error && access == STORE_DB_SHARED)
        error = reserve_readers(path);
    if (error)
        return error;
    if (size < STORE_DB_SIZE_MIN)
        size = STORE_DB_SIZE_MIN;
    mdb_env_set_assert(db->env, access == STORE_DB_LOOK ? on_expected_assert : on_lmdb_assert);
    error = mdb_env_set_maxdbs(db->env, DATABASES);
    if (!error) /* not as large as the file says, who may be wrong */
        error = mdb_env_set_mapsize(db->env, (size_t)size / page * page);
    if (!error) /* without MDB_NOTLS a thread could not read in one transaction and write another */
        error = mdb_env_open(db->env, path, MDB_NOSUBDIR | MDB_NOTLS | flags[access], FILE_MODE);
    if (!error && access == STORE_DB_SHARED)
        error = mdb_reader_check(db->env, &dead); /* or the dead would pin old pages for ever */
    return error;
}

enum store_db_status
store_db_open(const char *path, int64_t size, enum store_db_access access, struct store_db **out,
              char *why, size_t why_size)
{
    struct store_db *db = alloc_zero(1, sizeof *db);
    enum store_db_status status;
    int error;

    *out = NULL;
    store_guard_enter();
    error = open_env(db, path, size, access);
    if (error == ENOMEM && !store_db_is_map_sane(path, size))
        error = MDB_CORRUPTED;
    store_db_insist_on_memory(error);
    status = error ? store_db_status_of(error) : open_old(db);
    if (status == STORE_DB_MISSING && access != STORE_DB_LOOK) {
        error = make_new(db);
        store_db_insist_on_memory(error); /* a new file has no counts to mislead LMDB */
        status = store_db_status_of(error);
    }
    store_guard_leave();
    if (status == STORE_DB_OK) {
        *out = db;
        return status;
    }
    if (status == STORE_DB_NEWER)
        snprintf(why, why_size, "%s was written by a newer version of this program", path);
    else
        snprintf(why, why_size, "%s: %s", path, error ? mdb_strerror(error) : "no store of ours");
    store_db_close(db);
    return status;
}

void
store_db_close(struct store_db *db)
{
    if (db == NULL)
        return;
    store_guard_enter();
    if (db->write != NULL)
        mdb_txn_abort(db->write);
    if (db->read != NULL)
        mdb_txn_abort(db->read);
    mdb_env_close(db->env);
    store_guard_leave();
    free(db);
}

enum store_db_status
store_db_sync(struct store_db *db)
{
    int error;

    store_guard_enter();
    error = mdb_env_sync(db->env, 1);
    return store_db_leave(error);
}

static int
read_begin(struct store_db *db)
{
    if (db->read != NULL)
        return mdb_txn_renew(db->read);
    return mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->read);
}

static enum store_db_status
read_end(int error)
{
    store_db_insist_on_memory(error);
    return store_db_leave(error);
}

static void
copy_value(const MDB_val *value, struct buf *bytes)
{
    buf_reset(bytes);
    if (value->mv_size <= RECORD_MAX)
        buf_add(bytes, value->mv_data, value->mv_size);
}

enum store_db_status
store_db_get(struct store_db *db, const char *domain, struct buf *bytes)
{
    MDB_val key = store_db_val(domain, strlen(domain)), value;
    int error;

    store_guard_enter();
    error = read_begin(db);
    if (!error) {
        error = mdb_get(db->read, db->policy, &key, &value);
        if (!error)
            copy_value(&value, bytes);
        mdb_txn_reset(db->read);
    }
    return read_end(error);
}

/* In the order of the file: byte by byte, the shorter one first. */
static int
compare(const MDB_val *a, const MDB_val *b)
{
    size_t shorter = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
    int order = memcmp(a->mv_data, b->mv_data, shorter);

    return order ? order : (a->mv_size > b->mv_size) - (a->mv_size < b->mv_size);
}

/* Sets the cursor on the next key after `key` (empty: on the first). In a damaged file the next key
 * may come before, or be empty: without the tests a walk could go round for ever. */
static int
step_forward(MDB_cursor *cursor, MDB_val *key, MDB_val *value)
{
    MDB_val from = *key;
    int error;

    if (from.mv_size == 0) {
        error = mdb_cursor_get(cursor, key, value, MDB_FIRST);
    } else {
        error = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
        if (!error && compare(key, &from) == 0)
            error = mdb_cursor_get(cursor, key, value, MDB_NEXT);
    }
    return !error && compare(key, &from) <= 0 ? MDB_CORRUPTED : error;
}

/* Sets the cursor on the last key before `key` (empty: on the last). */
static int
step_backward(MDB_cursor *cursor, MDB_val *key, MDB_val *value)
{
    MDB_val from = *key;
    int error = MDB_NOTFOUND;

    if (from.mv_size > 0)
        error = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (!error)
        error = mdb_cursor_get(cursor, key, value, MDB_PREV);
    else if (error == MDB_NOTFOUND)
        error = mdb_cursor_get(cursor, key, value, MDB_LAST);
    if (!error && (key->mv_size == 0 || (from.mv_size > 0 && compare(key, &from) >= 0)))
        error = MDB_CORRUPTED;
    return error;
}

typedef int step_fn(MDB_cursor *, MDB_val *key, MDB_val *value);

/* Steps to a record whose key can be a domain. */
static enum store_db_status
step_record(struct store_db *db, char domain[DOMAIN_SIZE], struct buf *bytes, step_fn *step)
{
    MDB_val key = store_db_val(domain, strlen(domain)), value;
    MDB_cursor *cursor;
    int error;

    store_guard_enter();
    error = read_begin(db);
    if (!error) {
        error = mdb_cursor_open(db->read, db->policy, &cursor);
        if (!error) {
            do
                error = step(cursor, &key, &value);
            while (!error && !name_of(key.mv_data, key.mv_size, domain));
            if (!error)
                copy_value(&value, bytes);
            mdb_cursor_close(cursor);
        }
        mdb_txn_reset(db->read);
    }
    return read_end(error);
}

enum store_db_status
store_db_next(struct store_db *db, char domain[DOMAIN_SIZE], struct buf *bytes)
{
    return step_record(db, domain, bytes, step_forward);
}

enum store_db_status
store_db_previous(struct store_db *db, char domain[DOMAIN_SIZE], struct buf *bytes)
{
    return step_record(db, domain, bytes, step_backward);
}

enum store_db_status
store_db_index_next(struct store_db *db, enum store_db_index index, struct store_db_place *place)
{
    struct store_db_key from;
    MDB_val key = store_db_key_of(place->number, place->domain, &from), value;
    MDB_cursor *cursor;
    int error;

    store_guard_enter();
    error = read_begin(db);
    if (!error) {
        error = mdb_cursor_open(db->read, db->index[index], &cursor);
        if (!error) {
            do
                error = step_forward(cursor, &key, &value);
            while (!error && !store_db_place_of(&key, place));
            mdb_cursor_close(cursor);
        }
        mdb_txn_reset(db->read);
    }
    return read_end(error);
}
