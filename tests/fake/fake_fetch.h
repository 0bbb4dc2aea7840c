/* fake_fetch - stands in for cached/fetch.c: one outcome for all, later, from the loop; remembers
 * what it was asked. */
#ifndef STS_TESTS_FAKE_FETCH_H
#define STS_TESTS_FAKE_FETCH_H

#include "cached/fetch.h"

struct fake_fetch {
    /* Set by the test before it asks: */
    struct fetch_result outcome;
    int delay_ms;
    const char *refusal; /* when set, fetcher_new fails with this as `why` */
    /* Read by the test after the result: */
    char domain[DOMAIN_SIZE];
    char addresses[512]; /* "2001:db8::1 192.0.2.1" */
    _Atomic int started;
};

extern struct fake_fetch fake_fetch;

#endif
