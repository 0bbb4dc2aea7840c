#include "cached/store_crowd.h"

#include <string.h>

#include "cached/organisation.h"

enum {
    SHARE = 4,
    BELOW = 8 /* so much of his share he must give up, too, or he would be over it soon again */
};

/* Lowers all by the least of them and of `bytes`, which may free a place. Returns what is left. */
static uint64_t
lower_all(struct store_crowd *crowd, uint64_t bytes)
{
    uint64_t least = bytes;

    for (int i = 0; i < STORE_CROWD_PLACES; i++) {
        if (crowd->places[i].bytes < least)
            least = crowd->places[i].bytes;
    }
    for (int i = 0; i < STORE_CROWD_PLACES; i++)
        crowd->places[i].bytes -= least;
    return bytes - least;
}

static void
count(struct store_crowd *crowd, const char *organisation, uint64_t bytes)
{
    int place = -1;

    for (int i = 0; i < STORE_CROWD_PLACES; i++) {
        if (crowd->places[i].bytes == 0) {
            place = i;
        } else if (strcmp(crowd->places[i].organisation, organisation) == 0) {
            crowd->places[i].bytes += bytes;
            return;
        }
    }
    if (place < 0) {
        bytes = lower_all(crowd, bytes);
        if (bytes > 0)
            count(crowd, organisation, bytes);
        return;
    }
    memcpy(crowd->places[place].organisation, organisation, strlen(organisation) + 1);
    crowd->places[place].bytes = bytes;
}

void
store_crowd_add(struct store_crowd *crowd, const char *domain, size_t bytes)
{
    crowd->total += bytes;
    count(crowd, organisation_of(domain), bytes);
}

bool
store_crowd_find(const struct store_crowd *crowd, char organisation[DOMAIN_SIZE], uint64_t *excess)
{
    uint64_t limit = crowd->total / SHARE;
    int most = 0;

    for (int i = 1; i < STORE_CROWD_PLACES; i++) {
        if (crowd->places[i].bytes > crowd->places[most].bytes)
            most = i;
    }
    if (crowd->places[most].bytes <= limit)
        return false;
    memcpy(organisation, crowd->places[most].organisation, DOMAIN_SIZE);
    *excess = crowd->places[most].bytes - limit + limit / BELOW;
    return true;
}

/* The ends are compared first: most domains are somebody else's, and the list is slower. */
bool
store_crowd_holds(const char *organisation, const char *domain)
{
    size_t len = strlen(domain), below = strlen(organisation);

    return len >= below && strcmp(domain + len - below, organisation) == 0 &&
           organisation_of(domain) == domain + len - below;
}
