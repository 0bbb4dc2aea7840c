#include "cached/store_crowd.h"

#include <string.h>

#include "cached/organisation.h"

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

static int
place_of(const struct store_crowd *crowd, const char *domain)
{
    const char *organisation = organisation_of(domain);

    for (int i = 0; i < STORE_CROWD_PLACES; i++) {
        if (crowd->places[i].bytes > 0 && strcmp(crowd->places[i].organisation, organisation) == 0)
            return i;
    }
    return -1;
}

void
store_crowd_take(struct store_crowd *crowd, const char *domain, size_t bytes)
{
    int place = place_of(crowd, domain);

    crowd->total -= bytes < crowd->total ? bytes : crowd->total;
    if (place >= 0)
        crowd->places[place].bytes -=
            bytes < crowd->places[place].bytes ? bytes : crowd->places[place].bytes;
}

double
store_crowd_part(const struct store_crowd *crowd, const char *domain, size_t more)
{
    int place = place_of(crowd, domain);
    uint64_t bytes = more + (place >= 0 ? crowd->places[place].bytes : 0);

    return bytes > 0 ? (double)bytes / (double)(crowd->total + more) : 0;
}

/* The ends are compared first: most domains are somebody else's, and the list is slower. */
bool
store_crowd_holds(const char *organisation, const char *domain)
{
    size_t len = strlen(domain), below = strlen(organisation);

    return len >= below && strcmp(domain + len - below, organisation) == 0 &&
           organisation_of(domain) == domain + len - below;
}
