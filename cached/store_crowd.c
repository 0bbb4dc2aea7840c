#include "cached/store_crowd.h"

#include <string.h>

enum {
    SHARE_OF_THREE = 8,
    SHARE_OF_TWO = 4,
    BELOW = 8 /* so much of his share he must give up, too, or he would be over it soon again */
};

/* The last `labels` labels; NULL when there are fewer. */
static const char *
suffix_of(const char *domain, int labels)
{
    const char *at = domain + strlen(domain);

    while (at > domain) {
        if (at[-1] == '.' && --labels == 0)
            return at;
        at--;
    }
    return labels == 1 ? domain : NULL;
}

/* Lowers all by the least of them and of `bytes`, which may free a place. Returns what is left. */
static uint64_t
lower_all(struct store_crowd_level *level, uint64_t bytes)
{
    uint64_t least = bytes;

    for (int i = 0; i < STORE_CROWD_PLACES; i++) {
        if (level->places[i].bytes < least)
            least = level->places[i].bytes;
    }
    for (int i = 0; i < STORE_CROWD_PLACES; i++)
        level->places[i].bytes -= least;
    return bytes - least;
}

static void
count(struct store_crowd_level *level, const char *suffix, uint64_t bytes)
{
    int place = -1;

    for (int i = 0; i < STORE_CROWD_PLACES; i++) {
        if (level->places[i].bytes == 0) {
            place = i;
        } else if (strcmp(level->places[i].suffix, suffix) == 0) {
            level->places[i].bytes += bytes;
            return;
        }
    }
    if (place < 0) {
        bytes = lower_all(level, bytes);
        if (bytes > 0)
            count(level, suffix, bytes);
        return;
    }
    memcpy(level->places[place].suffix, suffix, strlen(suffix) + 1);
    level->places[place].bytes = bytes;
}

void
store_crowd_add(struct store_crowd *crowd, const char *domain, size_t bytes)
{
    const char *two = suffix_of(domain, 2), *three = suffix_of(domain, 3);

    crowd->total += bytes;
    if (two != NULL)
        count(&crowd->two, two, bytes);
    if (three != NULL)
        count(&crowd->three, three, bytes);
}

static bool
find(const struct store_crowd_level *level, uint64_t limit, char suffix[DOMAIN_SIZE],
     uint64_t *excess)
{
    int most = 0;

    for (int i = 1; i < STORE_CROWD_PLACES; i++) {
        if (level->places[i].bytes > level->places[most].bytes)
            most = i;
    }
    if (level->places[most].bytes <= limit)
        return false;
    memcpy(suffix, level->places[most].suffix, DOMAIN_SIZE);
    *excess = level->places[most].bytes - limit + limit / BELOW;
    return true;
}

bool
store_crowd_find(const struct store_crowd *crowd, char suffix[DOMAIN_SIZE], uint64_t *excess)
{
    return find(&crowd->three, crowd->total / SHARE_OF_THREE, suffix, excess) ||
           find(&crowd->two, crowd->total / SHARE_OF_TWO, suffix, excess);
}

bool
store_crowd_holds(const char *suffix, const char *domain)
{
    size_t len = strlen(domain), below = strlen(suffix);

    return len >= below && strcmp(domain + len - below, suffix) == 0 &&
           (len == below || domain[len - below - 1] == '.');
}
