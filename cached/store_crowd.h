/* store_crowd - who crowds the store: one organisation whose domains fill more than their share.
 * Anyone can make a million sub-domains with a valid policy each. In a full store those go first,
 * so that nobody's policies push out other people's. An organisation (organisation.h) may have a
 * quarter of the store. Pure; counts in one pass and bounded memory. */
#ifndef STS_CACHED_STORE_CROWD_H
#define STS_CACHED_STORE_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/domain.h"

enum { STORE_CROWD_PLACES = 32 };

/* All zero is the start. Each stranger lowers all candidates (Misra and Gries, 1982): what is left
 * is at most total / (PLACES + 1) too low, and never too high. */
struct store_crowd {
    struct {
        char organisation[DOMAIN_SIZE];
        uint64_t bytes; /* 0: free */
    } places[STORE_CROWD_PLACES];
    uint64_t total;
};

/* Counts one record. */
void store_crowd_add(struct store_crowd *, const char *domain, size_t bytes);
/* Names who is the furthest above his share, and how many bytes he has to give up. False: nobody
 * is. */
bool store_crowd_find(const struct store_crowd *, char organisation[DOMAIN_SIZE], uint64_t *excess);
/* True when the domain is the organisation's. */
bool store_crowd_holds(const char *organisation, const char *domain);

#endif
