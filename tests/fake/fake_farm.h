/* fake_farm - stands in for cached/farm.c: keeps every question until the test says how it ends.
 * The struct itself is the test's; link this before the library. Asked one thing at a time. */
#ifndef STS_TESTS_FAKE_FARM_H
#define STS_TESTS_FAKE_FARM_H

#include "cached/farm.h"

enum fake_question { FAKE_NONE, FAKE_LOOK, FAKE_LOCK, FAKE_SHARE, FAKE_BURY, FAKE_PROBE_LOOK };

struct farm {
    bool up, blind;
    const struct farm_events *events;
    void *events_arg;
    struct farm_job *job;           /* NULL: nothing is asked */
    struct farm_probe shared_probe; /* the last one; its detail is not kept */
    unsigned probes_shared;
    unsigned looks, locks, forced_locks, shares, unlocks, buried;
};

enum fake_question fake_farm_asked(const struct farm *);
/* Each ends what is asked, which must be that, and calls back before it returns. */
void fake_farm_end(struct farm *, enum fake_question);
void fake_farm_end_probe_look(struct farm *, const struct farm_probe *);
void fake_farm_end_lock(struct farm *, const struct farm_locked *);

#endif
