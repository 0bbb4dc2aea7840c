/* store_db_lmdb - what the files of store_db share; nobody else includes it. */
#ifndef STS_CACHED_STORE_DB_LMDB_H
#define STS_CACHED_STORE_DB_LMDB_H

#include <lmdb.h>

#include "cached/store_db.h"

enum { STORE_DB_INDEXES = STORE_DB_USED + 1, STORE_DB_NUMBER_SIZE = 8 };

struct store_db {
    MDB_env *env;
    MDB_dbi policy, index[STORE_DB_INDEXES];
    MDB_txn *read;  /* between reads it is reset, which keeps its place in the table of readers */
    MDB_txn *write; /* NULL: none begun */
    int error;      /* of the last failed write */
};

/* A key of an index. */
struct store_db_key {
    size_t len;
    unsigned char bytes[STORE_DB_NUMBER_SIZE + DOMAIN_SIZE];
};

enum store_db_status store_db_status_of(int lmdb_error);
/* Ends the program when LMDB had no memory to read: it takes little then, whatever the file says.
 */
void store_db_insist_on_memory(int lmdb_error);
/* False when LMDB has to map more than any file of `size` bytes can need, which a damaged file may
 * ask for. */
bool store_db_is_map_sane(const char *path, int64_t size);
/* Ends a stay in LMDB: leaves the guard, and has the file looked at by the next start when it makes
 * no sense. */
enum store_db_status store_db_leave(int lmdb_error);
/* The key as LMDB takes it, borrowed from `key`. */
MDB_val store_db_key_of(int64_t number, const char *domain, struct store_db_key *key);
/* False when the bytes are no such key. */
bool store_db_place_of(const MDB_val *key, struct store_db_place *place);
/* Bytes as LMDB takes them, borrowed. */
MDB_val store_db_val(const char *bytes, size_t len);

#endif
