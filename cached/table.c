#include "cached/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/alloc.h"
#include "common/chance.h"

enum { FIRST_SLOTS = 64, SECRET_SIZE = 192 };
_Static_assert(SECRET_SIZE >= XXH3_SECRET_SIZE_MIN, "XXH3 wants a longer secret");

struct table {
    const char *(*key_of)(const struct table_link *);
    struct table_link **slots; /* as many as `mask` + 1, a power of two */
    size_t mask, count;
    unsigned char secret[SECRET_SIZE];
};

static struct table_link **
slot_of(const struct table *t, const char *key)
{
    return &t->slots[XXH3_64bits_withSecret(key, strlen(key), t->secret, SECRET_SIZE) & t->mask];
}

struct table *
table_new(const char *(*key_of)(const struct table_link *))
{
    struct table *t = alloc_zero(1, sizeof *t);

    t->key_of = key_of;
    t->mask = FIRST_SLOTS - 1;
    t->slots = alloc_zero(FIRST_SLOTS, sizeof(struct table_link *));
    chance_bytes(t->secret, SECRET_SIZE); /* else anyone could build chains that stop us */
    return t;
}

void
table_free(struct table *t)
{
    if (t == NULL)
        return;
    free(t->slots);
    free(t);
}

struct table_link *
table_find(const struct table *t, const char *key)
{
    struct table_link *link = *slot_of(t, key);

    while (link != NULL && strcmp(t->key_of(link), key) != 0)
        link = link->next;
    return link;
}

static void
insert(struct table *t, struct table_link *link)
{
    struct table_link **slot = slot_of(t, t->key_of(link));

    link->next = *slot;
    *slot = link;
}

/* Hashes every key anew: rare enough that an entry need not carry its hash. */
static void
double_slots(struct table *t)
{
    struct table_link **old = t->slots;
    size_t old_count = t->mask + 1;

    t->mask = old_count * 2 - 1;
    t->slots = alloc_zero(old_count * 2, sizeof(struct table_link *));
    for (size_t i = 0; i < old_count; i++) {
        for (struct table_link *link = old[i], *next; link != NULL; link = next) {
            next = link->next;
            insert(t, link);
        }
    }
    free(old);
}

void
table_add(struct table *t, struct table_link *link)
{
    if (t->count > t->mask)
        double_slots(t);
    insert(t, link);
    t->count++;
}

void
table_remove(struct table *t, struct table_link *link)
{
    struct table_link **at = slot_of(t, t->key_of(link));

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    link->next = NULL;
    t->count--;
}

size_t
table_count(const struct table *t)
{
    return t->count;
}
