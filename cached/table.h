/* table - a hash table keyed by domain whose links lie in the objects themselves.
 * Hashed by XXH3 under a secret drawn at start: who chooses the domains cannot choose the chains.
 * Grows by doubling; owns nothing but its array. One thread. */
#ifndef STS_CACHED_TABLE_H
#define STS_CACHED_TABLE_H

#include <stddef.h>

struct table_link {
    struct table_link *next;
};

struct table;

/* `key_of` gives the NUL-terminated key of the object that holds a link. */
struct table *table_new(const char *(*key_of)(const struct table_link *));
void table_free(struct table *);

struct table_link *table_find(const struct table *, const char *key);
/* The key must not be in the table yet. */
void table_add(struct table *, struct table_link *);
/* The link must be in the table. */
void table_remove(struct table *, struct table_link *);
size_t table_count(const struct table *);

#endif
