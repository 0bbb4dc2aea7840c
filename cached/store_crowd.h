/* store_crowd - how much of the store is whose: what each organisation's (organisation.h) domains
 * fill. Anyone can make a million sub-domains with a valid policy each, and must leave others room.
 * Pure; counts in one pass and bounded memory. */
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

/* Counts one record, or what one has grown by. */
void store_crowd_add(struct store_crowd *, const char *domain, size_t bytes);
/* Counts one that is gone. */
void store_crowd_take(struct store_crowd *, const char *domain, size_t bytes);
/* Which part of all would be the domain's organisation's with so many bytes more: 0 to 1. */
double store_crowd_part(const struct store_crowd *, const char *domain, size_t more);
/* True when the domain is the organisation's. */
bool store_crowd_holds(const char *organisation, const char *domain);

#endif
