/* fake_source - stands in for cached/source.c: keeps every job until the test says how it ends.
 * The struct itself is the test's; link this before the library. A domain has one job at a time, as
 * the engine promises (one of a kind, where `side_by_side` is set); ending one that is not there
 * fails the test. */
#ifndef STS_TESTS_FAKE_SOURCE_H
#define STS_TESTS_FAKE_SOURCE_H

#include <sys/queue.h>

#include "cached/source.h"

enum fake_job { FAKE_NOTHING, FAKE_TXT, FAKE_FETCH, FAKE_MX, FAKE_TLSRPT, FAKE_PROBE };

struct source {
    LIST_HEAD(, source_job) jobs;
    size_t running, txt_started, fetch_started, mx_started, probe_started;
    bool side_by_side;
    bool with_dane; /* the last MX job asks for DANE */
};

/* What runs for the domain, the last one started. */
enum fake_job fake_source_running(const struct source *, const char *domain);

/* Each ends the domain's job with a result and calls back before it returns. */
void fake_source_end_txt(struct source *, const char *domain, const struct txt_result *);
void fake_source_end_tlsrpt(struct source *, const char *domain, const struct txt_result *);
void fake_source_end_fetch(struct source *, const char *domain, const struct fetch_result *);
void fake_source_end_probe(struct source *, const char *host, const struct probe_result *);
/* One result for each kind of job. */
struct fake_world {
    struct txt_result txt, tlsrpt;
    struct fetch_result fetch;
    struct mx_result mx;
    struct probe_result probe;
};
/* Ends the last one started, whatever it is; false when nothing runs. */
bool fake_source_end_one(struct source *, const struct fake_world *);
/* The same with this error for whatever it is. */
bool fake_source_fail_one(struct source *, enum sts_error);
void fake_source_end_mx(struct source *, const char *domain, const struct mx_result *);

#endif
