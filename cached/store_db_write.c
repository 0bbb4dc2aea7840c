/* The changes to the store; each keeps the indexes in step with the records. */
#include <assert.h>
#include <string.h>

#include "cached/store_crowd.h"
#include "cached/store_db_lmdb.h"
#include "cached/store_guard.h"

static enum store_db_status
result(struct store_db *db, int error)
{
    if (error && error != MDB_NOTFOUND)
        db->error = error;
    return store_db_leave(error);
}

enum store_db_status
store_db_begin(struct store_db *db)
{
    assert(db->write == NULL);
    store_guard_enter();
    return result(db, mdb_txn_begin(db->env, NULL, 0, &db->write));
}

enum store_db_status
store_db_commit(struct store_db *db)
{
    MDB_txn *txn = db->write;

    db->write = NULL;
    store_guard_enter();
    return result(db, mdb_txn_commit(txn));
}

void
store_db_abort(struct store_db *db)
{
    if (db->write == NULL)
        return;
    store_guard_enter();
    mdb_txn_abort(db->write);
    store_guard_leave();
    db->write = NULL;
}

const char *
store_db_error(const struct store_db *db)
{
    return mdb_strerror(db->error);
}

/* A key that is not there is fine: it may have been damaged. */
static int
remove_line(struct store_db *db, enum store_db_index index, int64_t number, const char *domain)
{
    struct store_db_key bytes;
    MDB_val key = store_db_key_of(number, domain, &bytes);
    int error = mdb_del(db->write, db->index[index], &key, NULL);

    return error == MDB_NOTFOUND ? MDB_SUCCESS : error;
}

static int
add_line(struct store_db *db, enum store_db_index index, int64_t number, const char *domain)
{
    struct store_db_key bytes;
    MDB_val key = store_db_key_of(number, domain, &bytes), nothing = {0, bytes.bytes};

    return mdb_put(db->write, db->index[index], &key, &nothing, 0);
}

static int
sweep_index(struct store_db *db, enum store_db_index index, const char *domain)
{
    size_t len = strlen(domain);
    MDB_val key, value;
    MDB_cursor *cursor;
    int error = mdb_cursor_open(db->write, db->index[index], &cursor);

    if (error)
        return error;
    while ((error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        const char *bytes = key.mv_data;

        if (key.mv_size != STORE_DB_NUMBER_SIZE + len ||
            memcmp(bytes + STORE_DB_NUMBER_SIZE, domain, len) != 0)
            continue;
        error = mdb_cursor_del(cursor, 0);
        if (error)
            break;
    }
    mdb_cursor_close(cursor);
    return error == MDB_NOTFOUND ? MDB_SUCCESS : error;
}

static int
sweep(struct store_db *db, const char *domain)
{
    int error = sweep_index(db, STORE_DB_DUE, domain);

    return error ? error : sweep_index(db, STORE_DB_USED, domain);
}

/* Reads the present record of the domain; `*sound` says whether `old` can be used. MDB_NOTFOUND:
 * there is none. */
static int
read_old(struct store_db *db, const char *domain, struct record *old, bool *sound)
{
    MDB_val key = store_db_val(domain, strlen(domain)), value;
    int error = mdb_get(db->write, db->policy, &key, &value);

    if (!error)
        *sound = record_decode(value.mv_data, value.mv_size, NULL, old) &&
                 strcmp(old->domain, domain) == 0;
    return error;
}

/* Removes the index lines of the present record. */
static int
remove_lines(struct store_db *db, const char *domain)
{
    struct record old;
    bool sound;
    int error = read_old(db, domain, &old, &sound);

    if (error)
        return error;
    if (!sound)
        return sweep(db, domain);
    error = remove_line(db, STORE_DB_DUE, old.refresh_s, domain);
    return error ? error : remove_line(db, STORE_DB_USED, old.asked_day, domain);
}

static int
remove_record(struct store_db *db, const char *domain)
{
    MDB_val key = store_db_val(domain, strlen(domain));
    int error = remove_lines(db, domain);

    return error ? error : mdb_del(db->write, db->policy, &key, NULL);
}

static int
put_record(struct store_db *db, const struct record *record, MDB_val *value)
{
    MDB_val key = store_db_val(record->domain, strlen(record->domain));
    int error = remove_lines(db, record->domain);

    if (error == MDB_NOTFOUND)
        error = MDB_SUCCESS;
    if (!error)
        error = mdb_put(db->write, db->policy, &key, value, 0);
    if (!error)
        error = add_line(db, STORE_DB_DUE, record->refresh_s, record->domain);
    if (!error)
        error = add_line(db, STORE_DB_USED, record->asked_day, record->domain);
    return error;
}

enum store_db_status
store_db_put(struct store_db *db, const struct record *record, const char *bytes, size_t len)
{
    MDB_val value = store_db_val(bytes, len);

    store_guard_enter();
    return result(db, put_record(db, record, &value));
}

bool
store_db_holds(struct store_db *db, const char *domain, size_t *size)
{
    MDB_val key = store_db_val(domain, strlen(domain)), value = {0};
    bool holds;

    store_guard_enter();
    holds = result(db, mdb_get(db->write, db->policy, &key, &value)) == STORE_DB_OK;
    *size = holds ? value.mv_size : 0;
    return holds;
}

enum store_db_status
store_db_delete(struct store_db *db, const char *domain)
{
    store_guard_enter();
    return result(db, remove_record(db, domain));
}

enum store_db_status
store_db_sweep(struct store_db *db, const char *domain)
{
    store_guard_enter();
    return result(db, sweep(db, domain));
}

/* Reads the first line of `used`; one that makes no sense is removed on the way. */
static int
first_used(struct store_db *db, struct store_db_place *place)
{
    MDB_val key, value;
    MDB_cursor *cursor;
    int error = mdb_cursor_open(db->write, db->index[STORE_DB_USED], &cursor);

    if (error)
        return error;
    while ((error = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)) == MDB_SUCCESS &&
           !store_db_place_of(&key, place)) {
        error = mdb_cursor_del(cursor, 0);
        if (error)
            break;
    }
    mdb_cursor_close(cursor);
    return error;
}

/* Removes the record that the line of `used` belongs to and adds its size to `*bytes`; of a wrong
 * line only itself. */
static int
evict_line(struct store_db *db, const struct store_db_place *place, uint64_t *bytes)
{
    MDB_val key = store_db_val(place->domain, strlen(place->domain)), value = {0};
    struct record old;
    bool sound = false;
    int error = read_old(db, place->domain, &old, &sound);

    if (!error)
        error = mdb_get(db->write, db->policy, &key, &value);
    if (error && error != MDB_NOTFOUND)
        return error;
    if (sound && old.asked_day == place->number) {
        *bytes += value.mv_size;
        return remove_record(db, place->domain);
    }
    /* no record, or one that stands elsewhere in the index: the line is wrong */
    return remove_line(db, STORE_DB_USED, place->number, place->domain);
}

static int
evict_first(struct store_db *db, int64_t day_limit, uint64_t *evicted)
{
    struct store_db_place place;
    uint64_t bytes = 0;
    int error = first_used(db, &place);

    if (!error && place.number >= day_limit)
        error = MDB_NOTFOUND;
    if (!error)
        error = evict_line(db, &place, &bytes);
    *evicted += bytes > 0;
    return error;
}

enum store_db_status
store_db_evict(struct store_db *db, int64_t day_limit, uint64_t *evicted)
{
    store_guard_enter();
    return result(db, evict_first(db, day_limit, evicted));
}

static int
weigh(struct store_db *db, void (*each)(const char *domain, size_t bytes, void *arg), void *arg)
{
    char domain[DOMAIN_SIZE];
    MDB_val key, value;
    MDB_cursor *cursor;
    int error = mdb_cursor_open(db->write, db->policy, &cursor);

    if (error)
        return error;
    while ((error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        if (key.mv_size == 0 || key.mv_size >= DOMAIN_SIZE)
            continue;
        memcpy(domain, key.mv_data, key.mv_size);
        domain[key.mv_size] = '\0';
        each(domain, value.mv_size, arg);
    }
    mdb_cursor_close(cursor);
    return error == MDB_NOTFOUND ? MDB_SUCCESS : error;
}

enum store_db_status
store_db_weigh(struct store_db *db, void (*each)(const char *domain, size_t bytes, void *arg),
               void *arg)
{
    store_guard_enter();
    return result(db, weigh(db, each, arg));
}

/* Moves the hand on to a line of the organisation's; at the end it is back at the start. */
static int
next_of(struct store_db *db, const char *organisation, int64_t day_limit,
        struct store_db_place *hand)
{
    struct store_db_key bytes;
    MDB_val key = store_db_key_of(hand->number, hand->domain, &bytes), value;
    MDB_cursor *cursor;
    int error = mdb_cursor_open(db->write, db->index[STORE_DB_USED], &cursor);
    bool found = false;

    if (error)
        return error;
    error = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (int i = 0; !error && !found && i < STORE_DB_LOOK_MAX; i++) {
        bool is_line = store_db_place_of(&key, hand);

        if (is_line && hand->number >= day_limit)
            error = MDB_NOTFOUND;
        else if (is_line && store_crowd_holds(organisation, hand->domain))
            found = true;
        else
            error = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (error == MDB_NOTFOUND)
        *hand = (struct store_db_place){0};
    return error || found ? error : MDB_NOTFOUND;
}

static int
evict_of(struct store_db *db, const char *organisation, int64_t day_limit,
         struct store_db_place *hand, uint64_t *bytes)
{
    bool is_under_way = hand->domain[0] != '\0';
    int error = next_of(db, organisation, day_limit, hand);

    if (error == MDB_NOTFOUND && is_under_way && hand->domain[0] == '\0')
        error = next_of(db, organisation, day_limit, hand);
    return error ? error : evict_line(db, hand, bytes);
}

enum store_db_status
store_db_evict_of(struct store_db *db, const char *organisation, int64_t day_limit,
                  struct store_db_place *hand, uint64_t *bytes)
{
    store_guard_enter();
    return result(db, evict_of(db, organisation, day_limit, hand, bytes));
}
