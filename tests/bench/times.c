#include "tests/bench/times.h"

#include <time.h>

int64_t
times_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Below TIMES_STEPS ns each has its own bucket; above, every power of two has TIMES_STEPS. */
void
times_add(struct times *t, int64_t ns)
{
    uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    unsigned shift = 0, bucket;

    while (value >> shift >= 2 * TIMES_STEPS)
        shift++;
    bucket = shift * TIMES_STEPS + (unsigned)(value >> shift);
    t->buckets[bucket < TIMES_BUCKETS ? bucket : TIMES_BUCKETS - 1]++;
    t->count++;
}

static double
middle_us(unsigned bucket)
{
    unsigned shift = bucket < 2 * TIMES_STEPS ? 0 : bucket / TIMES_STEPS - 1;
    double low = (double)((uint64_t)(bucket - shift * TIMES_STEPS) << shift);

    return (low + (double)(UINT64_C(1) << shift) / 2) / 1000;
}

double
times_percentile(const struct times *t, unsigned percent)
{
    uint64_t wanted = (t->count * percent + 99) / 100, seen = 0;

    for (unsigned i = 0; i < TIMES_BUCKETS && t->count > 0; i++) {
        seen += t->buckets[i];
        if (seen >= wanted)
            return middle_us(i);
    }
    return 0;
}
