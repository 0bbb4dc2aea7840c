#include "cached/stats.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "cached/cache.h"
#include "cached/cache_lmdb.h"
#include "common/buf.h"
#include "common/clock.h"

static const int bucket_ms[STATS_BUCKETS - 1] = {1,   2,   5,   10,   20,   50,
                                                 100, 200, 500, 1000, 2000, 5000};

void
stats_count_answer(struct stats *s, enum verdict verdict, enum sts_error reason,
                   enum answer_source source, int64_t ms)
{
    size_t bucket = 0;

    if (ms < 0)
        ms = 0;
    while (bucket < STATS_BUCKETS - 1 && ms > bucket_ms[bucket])
        bucket++;
    s->questions++;
    s->verdicts[verdict]++;
    s->reasons[reason]++;
    s->sources[source]++;
    s->answer_ms[bucket]++;
    s->answer_ms_sum += (uint64_t)ms;
}

static const char *
name_of_verdict(size_t i)
{
    return verdict_name((enum verdict)i);
}

static const char *
name_of_reason(size_t i)
{
    return sts_error_name((enum sts_error)i);
}

static const char *
name_of_source(size_t i)
{
    return i == SOURCE_NONE ? "none" : answer_source_name((enum answer_source)i);
}

/* --- plain counters: one row serves both forms ------------------------------------------------ */

struct figure {
    const char *name; /* the JSON key; Prometheus: sts_NAME, counters sts_NAME_total */
    const char *type, *help;
    uint64_t value;
};

enum { FIGURES = 26 };

static void
figures_of(const struct stats *s, struct figure out[FIGURES])
{
    const struct figure figures[FIGURES] = {
        {"questions", "counter", "Questions answered.", s->questions},
        {"txt_lookups", "counter", "TXT look-ups at _mta-sts.", s->txt_lookups},
        {"mx_lookups", "counter", "MX look-ups.", s->mx_lookups},
        {"fetches", "counter", "Policy fetches that ended.", s->fetches},
        {"probes", "counter", "Probes of MX hosts that ended.", s->probes},
        {"refreshes", "counter", "Fetches to renew a policy in force.", s->refreshes},
        {"refreshes_failed", "counter", "Renewals that failed.", s->refreshes_failed},
        {"weakened", "counter", "Policies that became weaker.", s->weakened},
        {"connections_accepted", "counter", "Connections accepted.", s->connections_accepted},
        {"connections_refused", "counter", "Connections refused.", s->connections_refused},
        {"connections_stalled", "counter", "Connections cut off for not going on.",
         s->connections_stalled},
        {"unread_bytes", "gauge", "Bytes of answers that clients have not taken.", s->unread_bytes},
        {"bad_frames", "counter", "Connections closed for a bad frame.", s->bad_frames},
        {"deadlines_missed", "counter", "Questions answered before the work was done.",
         s->deadlines_missed},
        {"redis_up", "gauge", "1 while Redis is there.", s->redis_up},
        {"redis_unwritten", "gauge", "Domains that Redis does not have yet.", s->redis_unwritten},
        {"redis_lookups", "counter", "Domains looked up in Redis.", s->redis_lookups},
        {"redis_events", "counter", "Events of the farm that were applied.", s->redis_events},
        {"redis_shared", "counter", "Records written to Redis.", s->redis_shared},
        {"redis_copies", "counter", "Whole copies of Redis begun.", s->redis_copies},
        {"redis_stale", "counter", "Records in Redis that were older than ours.", s->redis_stale},
        {"redis_failures", "counter", "Times that Redis was lost.", s->redis_failures},
        {"redis_refused", "counter", "Records in Redis that were not the farm's.",
         s->redis_refused},
        {"connections_open", "gauge", "Connections open now.", s->connections_open},
        {"resolutions_running", "gauge", "Resolutions under way now.", s->resolutions_running},
        {"probes_running", "gauge", "Probes of MX hosts under way now.", s->probes_running},
    };

    for (size_t i = 0; i < FIGURES; i++)
        out[i] = figures[i];
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void
set_number(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void
set_named(json_t *object, const char *key, const uint64_t *counts, size_t n,
          const char *(*name_of)(size_t))
{
    json_t *named = json_object();

    for (size_t i = 0; i < n; i++)
        set_number(named, name_of(i), counts[i]);
    json_object_set_new(object, key, named);
}

static json_t *
answer_times(const struct stats *s)
{
    json_t *times = json_object();
    char name[16];

    for (size_t i = 0; i < STATS_BUCKETS - 1; i++) {
        snprintf(name, sizeof(name), "%d", bucket_ms[i]);
        set_number(times, name, s->answer_ms[i]);
    }
    set_number(times, "more", s->answer_ms[STATS_BUCKETS - 1]);
    return times;
}

static json_t *
cache_figures(const struct cache *cache)
{
    struct cache_stats c;
    json_t *object = json_object();

    cache_stats(cache, &c);
    set_number(object, "policies", c.policies);
    set_number(object, "others", c.others);
    set_number(object, "policy_bytes", c.policy_bytes);
    set_number(object, "other_bytes", c.other_bytes);
    set_number(object, "policy_evictions", c.policy_evictions);
    set_number(object, "other_evictions", c.other_evictions);
    return object;
}

static json_t *
store_figures(struct store *store)
{
    struct store_stats st;
    json_t *object = json_object();

    store_stats(store, &st);
    set_number(object, "policies", st.policies);
    set_number(object, "bytes_used", st.bytes_used);
    set_number(object, "bytes_max", st.bytes_max);
    set_number(object, "written", st.written);
    set_number(object, "evicted", st.evicted);
    set_number(object, "unsound", st.unsound);
    set_number(object, "write_errors", st.write_errors);
    return object;
}

void
stats_json(const struct stats *s, const struct cache *cache, struct store *store, struct buf *out)
{
    json_t *root = json_object();
    struct figure figures[FIGURES];
    char *text;

    json_object_set_new(root, "version", json_string(PACKAGE_VERSION));
    json_object_set_new(root, "started", json_integer(s->started_s));
    figures_of(s, figures);
    for (size_t i = 0; i < FIGURES; i++)
        set_number(root, figures[i].name, figures[i].value);
    set_named(root, "verdicts", s->verdicts, STATS_VERDICTS, name_of_verdict);
    set_named(root, "reasons", s->reasons, STS_ERROR_COUNT, name_of_reason);
    set_named(root, "sources", s->sources, STATS_SOURCES, name_of_source);
    set_named(root, "fetches_failed", s->fetches_failed, STS_ERROR_COUNT, name_of_reason);
    set_named(root, "probes_failed", s->probes_failed, STS_ERROR_COUNT, name_of_reason);
    json_object_set_new(root, "answers_within_ms", answer_times(s));
    set_number(root, "answer_ms_sum", s->answer_ms_sum);
    if (cache != NULL)
        json_object_set_new(root, "cache", cache_figures(cache));
    if (store != NULL)
        json_object_set_new(root, "store", store_figures(store));
    text = json_dumps(root, JSON_COMPACT);
    buf_add_string(out, text);
    free(text);
    json_decref(root);
}

/* --- Prometheus ------------------------------------------------------------------------------- */

static void
put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
put_figure(struct buf *out, const struct figure *figure)
{
    char name[64];
    const char *suffix = figure->type[0] == 'c' ? "_total" : "";

    snprintf(name, sizeof(name), "sts_%s%s", figure->name, suffix);
    put_head(out, name, figure->type, figure->help);
    buf_printf(out, "%s %" PRIu64 "\n", name, figure->value);
}

static void
put_labelled(struct buf *out, const char *name, const char *label, const char *value, uint64_t n)
{
    buf_printf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, n);
}

static void
put_answer_seconds(struct buf *out, const struct stats *s)
{
    uint64_t within = 0;

    put_head(out, "sts_answer_seconds", "histogram", "Time from a question to its answer.");
    for (size_t i = 0; i < STATS_BUCKETS - 1; i++) {
        within += s->answer_ms[i];
        buf_printf(out, "sts_answer_seconds_bucket{le=\"%d.%03d\"} %" PRIu64 "\n",
                   bucket_ms[i] / 1000, bucket_ms[i] % 1000, within);
    }
    within += s->answer_ms[STATS_BUCKETS - 1];
    buf_printf(out, "sts_answer_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", within);
    buf_printf(out, "sts_answer_seconds_sum %" PRIu64 ".%03" PRIu64 "\n", s->answer_ms_sum / 1000,
               s->answer_ms_sum % 1000);
    buf_printf(out, "sts_answer_seconds_count %" PRIu64 "\n", within);
}

static void
put_cache(struct buf *out, const struct cache *cache)
{
    struct cache_stats c;

    cache_stats(cache, &c);
    put_head(out, "sts_cache_entries", "gauge", "Domains remembered in memory.");
    put_labelled(out, "sts_cache_entries", "kind", "policy", c.policies);
    put_labelled(out, "sts_cache_entries", "kind", "other", c.others);
    put_head(out, "sts_cache_bytes", "gauge", "Memory that they take.");
    put_labelled(out, "sts_cache_bytes", "kind", "policy", c.policy_bytes);
    put_labelled(out, "sts_cache_bytes", "kind", "other", c.other_bytes);
    put_head(out, "sts_cache_evictions_total", "counter", "Domains dropped for want of memory.");
    put_labelled(out, "sts_cache_evictions_total", "kind", "policy", c.policy_evictions);
    put_labelled(out, "sts_cache_evictions_total", "kind", "other", c.other_evictions);
}

static void
put_store(struct buf *out, struct store *store)
{
    struct store_stats st;

    store_stats(store, &st);
    const struct figure figures[] = {
        {"store_policies", "gauge", "Policies on disk.", st.policies},
        {"store_bytes_used", "gauge", "Bytes of the store in use.", st.bytes_used},
        {"store_bytes_max", "gauge", "Bytes that the store may have.", st.bytes_max},
        {"store_written", "counter", "Records written.", st.written},
        {"store_evicted", "counter", "Policies dropped for want of room.", st.evicted},
        {"store_unsound", "counter", "Damaged records found and dropped.", st.unsound},
        {"store_write_errors", "counter", "Writes that failed.", st.write_errors},
    };

    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        put_figure(out, &figures[i]);
}

void
stats_prometheus(const struct stats *s, const struct cache *cache, struct store *store,
                 struct buf *out)
{
    struct figure figures[FIGURES];

    put_head(out, "sts_build_info", "gauge", "The running version.");
    buf_printf(out, "sts_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
    put_head(out, "sts_start_time_seconds", "gauge", "When the daemon started, in Unix time.");
    buf_printf(out, "sts_start_time_seconds %" PRId64 "\n", s->started_s);
    figures_of(s, figures);
    for (size_t i = 0; i < FIGURES; i++)
        put_figure(out, &figures[i]);
    put_head(out, "sts_answers_total", "counter", "Answers by verdict.");
    for (size_t i = 0; i < STATS_VERDICTS; i++)
        put_labelled(out, "sts_answers_total", "verdict", name_of_verdict(i), s->verdicts[i]);
    put_head(out, "sts_reasons_total", "counter", "Answers by reason.");
    for (size_t i = 0; i < STS_ERROR_COUNT; i++)
        put_labelled(out, "sts_reasons_total", "reason", name_of_reason(i), s->reasons[i]);
    put_head(out, "sts_sources_total", "counter", "Answers by where the policy came from.");
    for (size_t i = 0; i < STATS_SOURCES; i++)
        put_labelled(out, "sts_sources_total", "source", name_of_source(i), s->sources[i]);
    put_head(out, "sts_fetch_failures_total", "counter", "Failed policy fetches by reason.");
    for (size_t i = STS_OK + 1; i < STS_ERROR_COUNT; i++)
        put_labelled(out, "sts_fetch_failures_total", "reason", name_of_reason(i),
                     s->fetches_failed[i]);
    put_head(out, "sts_probe_failures_total", "counter", "Failed probes of MX hosts by reason.");
    for (size_t i = STS_OK + 1; i < STS_ERROR_COUNT; i++)
        put_labelled(out, "sts_probe_failures_total", "reason", name_of_reason(i),
                     s->probes_failed[i]);
    put_answer_seconds(out, s);
    if (cache != NULL)
        put_cache(out, cache);
    if (store != NULL)
        put_store(out, store);
}
