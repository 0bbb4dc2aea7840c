/* verdict_samples - what is remembered of a domain, made from a few facts, at a fixed time. */
#ifndef STS_TESTS_UNIT_CACHED_VERDICT_SAMPLES_H
#define STS_TESTS_UNIT_CACHED_VERDICT_SAMPLES_H

#include "cached/verdict.h"

enum { NOW_MS = 500 * 1000 * 1000, WALL_S = 1790000000, SOON_S = 1, DAY_MS = 86400 * 1000 };

/* Facts about a domain: with `mode` there is a policy for `mx`, with `mx_hosts` an MX set, with
 * `failure` a failed fetch. Times count from now; a time not given is long ago. */
struct facts {
    const char *mode, *mx;
    int expires_in_s;
    int checked_ago_ms;
    bool has_mx_set;
    enum sts_error mx_error;
    const char *mx_hosts[3];
    int mx_until_ms;
    enum sts_error outcome;
    bool unknown;
    int outcome_until_s, backoff_s;
    enum sts_error failure;
    int tried_ago_ms;
};

#define ENFORCE .mode = "enforce", .expires_in_s = SOON_S
#define LISTED .mx = "mx: mx1.a.test\nmx: *.b.test\n"
#define MX_SET .has_mx_set = true, .mx_until_ms = SOON_S
#define OUTCOME(error, until_s) .outcome = error, .outcome_until_s = until_s
#define UNKNOWN(until_s, wait_s)                                                                   \
    OUTCOME(STS_DNS_TIMEOUT, until_s), .unknown = true, .backoff_s = wait_s
#define FAILED(ago_ms) .failure = STS_TLS_NAME, .tried_ago_ms = ago_ms

/* A policy of that mode with these mx lines (NULL: none); the caller frees it. */
struct policy *verdict_sample_policy(const char *mode, const char *mx);
struct entry *verdict_sample(const struct facts *);
void verdict_sample_free(struct entry *);

#endif
