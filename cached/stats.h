/* stats - what the daemon counts, and how it is shown: JSON for stsctl, Prometheus text for the
 * metrics page. One struct, owned by main, handed down; the answer thread alone writes it. */
#ifndef STS_CACHED_STATS_H
#define STS_CACHED_STATS_H

#include <stdint.h>

#include "common/answer.h"
#include "common/error.h"

struct buf;
struct cache;
struct store;

enum { STATS_VERDICTS = VERDICT_UNKNOWN + 1, STATS_SOURCES = SOURCE_FETCH + 1, STATS_BUCKETS = 13 };

struct stats {
    int64_t started_s; /* wall time */
    uint64_t questions;
    uint64_t verdicts[STATS_VERDICTS];
    uint64_t reasons[STS_ERROR_COUNT];
    uint64_t sources[STATS_SOURCES];
    uint64_t answer_ms[STATS_BUCKETS]; /* answers within 1, 2, 5, 10 ... 5000 ms, and beyond */
    uint64_t answer_ms_sum;
    uint64_t txt_lookups, mx_lookups, fetches, fetches_failed[STS_ERROR_COUNT];
    uint64_t probes,
        probes_failed[STS_ERROR_COUNT]; /* of MX hosts; the ones for checks are not counted */
    uint64_t refreshes, refreshes_failed, weakened;
    uint64_t connections_accepted, connections_refused, bad_frames, deadlines_missed;
    uint64_t redis_lookups, redis_events, redis_shared, redis_copies, redis_stale, redis_failures;
    uint64_t redis_refused; /* records in Redis that were not the farm's, each time one was read */
    uint64_t connections_stalled; /* cut off: half a question, or answers that were not read */
    uint64_t connections_open, resolutions_running, probes_running; /* gauges */
    uint64_t unread_bytes; /* gauge: answers that clients of the query sockets have not taken */
    uint64_t redis_up, redis_unwritten; /* gauges */
};

/* Counts one answered question that took `ms`. */
void stats_count_answer(struct stats *, enum verdict, enum sts_error reason, enum answer_source,
                        int64_t ms);

/* Both append; `cache` and `store` (NULL allowed) are asked for their own figures. The JSON is one
 * object; of verdicts, reasons and sources every name is there, zero or not, so that a reader never
 * meets a missing key. The text is Prometheus' exposition format 0.0.4. */
void stats_json(const struct stats *, const struct cache *, struct store *, struct buf *);
void stats_prometheus(const struct stats *, const struct cache *, struct store *, struct buf *);

#endif
