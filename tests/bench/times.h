/* times - durations counted in buckets of less than one per cent, and their percentiles. */
#ifndef STS_TESTS_BENCH_TIMES_H
#define STS_TESTS_BENCH_TIMES_H

#include <stdint.h>

enum { TIMES_STEPS = 128, TIMES_BUCKETS = 40 * TIMES_STEPS };

struct times {
    uint64_t count, buckets[TIMES_BUCKETS];
};

/* The monotonic clock. */
int64_t times_now_ns(void);
void times_add(struct times *, int64_t ns);
/* In microseconds; 0 when nothing was counted. */
double times_percentile(const struct times *, unsigned percent);

#endif
