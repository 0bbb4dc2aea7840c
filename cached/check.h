/* check - one live look at all that a domain publishes for MTA-STS: its records, its policy file,
 * its MX hosts. Layers are asked side by side; nothing is taken from the cache and nothing goes
 * into it. check_record, check_policy, check_mx and check_dane judge, check_report holds what they
 * say. */
#ifndef STS_CACHED_CHECK_H
#define STS_CACHED_CHECK_H

#include "cached/check_report.h"
#include "cached/source.h"

struct check;
struct event_base;

enum {
    CHECK_TIME_MS = 45 * 1000, /* what is not there by then is said to be missing */
    CHECK_PROBES_MAX = 16      /* MX hosts connected to, best preference first */
};

struct check_order {
    struct event_base *base;
    struct source *source;
    const char *domain; /* normalised, copied */
    int64_t time_ms;    /* CHECK_TIME_MS, or less */
    bool trust_ad;      /* what DNSSEC says is believed: DANE is looked at */
};

/* The whole report; borrowed. Called once, from the loop. */
typedef void check_done_fn(const struct check_report *, void *arg);

/* Always later; the check is gone after `done`. */
struct check *check_start(const struct check_order *, check_done_fn *, void *arg);
/* `done` will not come. Not from inside `done`. Accepts NULL. */
void check_cancel(struct check *);

#endif
