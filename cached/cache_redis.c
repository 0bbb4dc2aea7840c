#include "cached/cache_redis.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache_redis_job.h"
#include "cached/stats.h"
#include "common/clock.h"
#include "common/log.h"

enum {
    WARN_EVERY_MS = 60 * 1000,
    ERROR_SHOWN = 200,      /* bytes of an error reply in the log */
    BULK_TIMEOUT_MS = 2000, /* for megabytes: more than one record's time */
    HELD_MAX_MS = 25 * 1000,
    SCORE_DIGITS = 40
};

struct cache_redis *
cache_redis_new(struct event_base *base, struct redis_link *link, const struct farm_key *key,
                const char *prefix, struct stats *stats)
{
    struct cache_redis *cr = alloc_zero(1, sizeof *cr);

    cr->base = base;
    cr->link = link;
    cr->key = key;
    cr->prefix = alloc_string(prefix);
    cr->stats = stats;
    cr->held_max_ms = HELD_MAX_MS;
    cr->locks = lock_book_new();
    return cr;
}

void
cache_redis_free(struct cache_redis *cr)
{
    if (cr == NULL)
        return;
    while (cr->jobs != NULL) {
        struct cache_redis_job *job = cr->jobs;

        job_end(job);
        job_free(job);
    }
    lock_book_free(cr->locks);
    free(cr->prefix);
    free(cr);
}

void
cache_redis_set_held_max(struct cache_redis *cr, int64_t ms)
{
    cr->held_max_ms = ms;
}

void
cache_redis_cancel(struct cache_redis_job *job)
{
    if (job != NULL)
        job->cancelled = true;
}

/* --- Redis' clock ----------------------------------------------------------------------------- */

uint64_t
cache_redis_now_us(const struct cache_redis *cr)
{
    int64_t now_us = cr->clock_known ? clock_boot_ms() * 1000 + cr->offset_us
                                     : clock_wall_s() * INT64_C(1000000);

    return now_us > 0 ? (uint64_t)now_us : 1;
}

/* Reads TIME, two strings, into microseconds. */
static bool
read_time(const struct resp *reply, uint64_t *time_us)
{
    struct span s = resp_bytes(resp_item(reply, 0)), us = resp_bytes(resp_item(reply, 1));
    struct scan s_scan = scan_bytes(s.at, s.len), us_scan = scan_bytes(us.at, us.len);
    uint64_t seconds, fraction;

    if (!scan_number(&s_scan, 11, &seconds) || !scan_is_done(&s_scan) ||
        !scan_number(&us_scan, 6, &fraction) || !scan_is_done(&us_scan))
        return false;
    *time_us = seconds * 1000000 + fraction;
    return true;
}

/* Redis looked at its clock somewhere on the way there and back: the middle is nearest. */
static void
set_clock(struct cache_redis *cr, int64_t sent_ms, uint64_t time_us)
{
    cr->offset_us = (int64_t)time_us - (sent_ms + clock_boot_ms()) * 500;
    cr->clock_known = true;
}

/* --- jobs ------------------------------------------------------------------------------------- */

struct cache_redis_job *
job_new(struct cache_redis *cr, size_t size, const char *domain, job_reply_fn *on_reply)
{
    struct cache_redis_job *job = alloc_zero(1, size);

    job->cr = cr;
    job->on_reply = on_reply;
    snprintf(job->domain, sizeof job->domain, "%s", domain);
    job->next = cr->jobs;
    job->to_me = &cr->jobs;
    if (job->next != NULL)
        job->next->to_me = &job->next;
    cr->jobs = job;
    return job;
}

void
job_end(struct cache_redis_job *job)
{
    *job->to_me = job->next;
    if (job->next != NULL)
        job->next->to_me = job->to_me;
}

void
job_free(struct cache_redis_job *job)
{
    if (job->free_rest != NULL)
        job->free_rest(job);
    free(job);
}

const struct resp *
job_item(const struct resp *reply, size_t i)
{
    return resp_item(reply, JOB_ITEMS + i);
}

static void
warn(struct cache_redis_job *job, const char *what, struct span text)
{
    int64_t now_ms = clock_boot_ms();

    if (job->cr->warned_ms != 0 && now_ms - job->cr->warned_ms < WARN_EVERY_MS)
        return;
    job->cr->warned_ms = now_ms;
    log_warning("Redis: %s %s: %s%.*s", script_name(job->script),
                job->domain[0] == '\0' ? "-" : job->domain, what,
                (int)(text.len < ERROR_SHOWN ? text.len : ERROR_SHOWN), text.at);
}

static bool
reply_is_sound(struct cache_redis_job *job, const struct resp *reply)
{
    if (reply == NULL)
        return false;
    if (resp_type(reply) == RESP_ERROR) {
        warn(job, "error ", resp_bytes(reply));
        return false;
    }
    if (resp_count(reply) < JOB_ITEMS + job->wanted || !read_time(reply, &job->time_us)) {
        warn(job, "a reply that makes no sense", (struct span){"", 0});
        return false;
    }
    set_clock(job->cr, job->sent_ms, job->time_us);
    return true;
}

static void
on_reply(const struct resp *reply, void *arg)
{
    struct cache_redis_job *job = arg;

    job->on_reply(job, reply_is_sound(job, reply) ? reply : NULL);
}

void
job_begin(struct cache_redis_job *job, enum script script, size_t wanted, struct script_call *call)
{
    job->script = script;
    job->wanted = wanted;
    script_begin(call, script);
}

void
job_key(struct cache_redis_job *job, struct script_call *call, const char *kind)
{
    script_key(call, job->cr->prefix, kind, strchr(kind, ':') != NULL ? job->domain : "");
}

void
job_send(struct cache_redis_job *job, struct script_call *call, int64_t timeout_ms)
{
    script_end(call);
    job->sent_ms = clock_boot_ms();
    redis_link_send(job->cr->link, call->arguments, call->count, timeout_ms, on_reply, job);
    script_done(call);
}

/* --- what may be believed --------------------------------------------------------------------- */

void
cache_redis_alarm(struct cache_redis *cr, const char *domain, const char *what)
{
    for (size_t i = 0; i < CACHE_REDIS_ALARMED; i++) {
        if (strcmp(cr->alarmed[i], domain) == 0)
            return;
    }
    snprintf(cr->alarmed[cr->alarmed_next], DOMAIN_SIZE, "%s", domain);
    cr->alarmed_next = (cr->alarmed_next + 1) % CACHE_REDIS_ALARMED;
    log_warning("alarm: the record of %s in Redis is %s and was not used", domain, what);
}

void
cache_redis_verify(struct cache_redis *cr, const char *domain, const struct resp *value,
                   struct record *record, struct cache_redis_found *out)
{
    struct span bytes = resp_bytes(value);

    *out = (struct cache_redis_found){.status = CACHE_REDIS_DONE};
    if (resp_type(value) == RESP_STRING && bytes.len == 0)
        return;
    if (resp_type(value) == RESP_STRING && bytes.len <= RECORD_MAX &&
        record_decode(bytes.at, bytes.len, cr->key, record) && record->kind != RECORD_PROBE &&
        strcmp(record->domain, domain) == 0) {
        out->record = record;
        return;
    }
    out->refused = true;
    cr->stats->redis_refused++;
    cache_redis_alarm(cr, domain, "not signed by the farm (or damaged)");
}

/* --- get -------------------------------------------------------------------------------------- */

struct get_job {
    struct cache_redis_job job;
    cache_redis_found_fn *found;
    void *arg;
};

static void
on_got(struct cache_redis_job *job, const struct resp *reply)
{
    struct get_job *get = (struct get_job *)job;
    struct cache_redis_found found = {.status = CACHE_REDIS_AWAY};
    struct record record;

    if (reply != NULL)
        cache_redis_verify(job->cr, job->domain, job_item(reply, 0), &record, &found);
    job_end(job);
    if (!job->cancelled)
        get->found(&found, get->arg);
    job_free(job);
}

struct cache_redis_job *
cache_redis_get(struct cache_redis *cr, const char *domain, cache_redis_found_fn *found, void *arg)
{
    struct cache_redis_job *job = job_new(cr, sizeof(struct get_job), domain, on_got);
    struct get_job *get = (struct get_job *)job;
    struct script_call call;

    get->found = found;
    get->arg = arg;
    job_begin(job, SCRIPT_READ, 1, &call);
    job_key(job, &call, "r:");
    job_send(job, &call, 0);
    return job;
}

/* --- get many --------------------------------------------------------------------------------- */

struct many_job {
    struct cache_redis_job job;
    char (*domains)[DOMAIN_SIZE];
    size_t count;
    cache_redis_each_fn *each;
    cache_redis_done_fn *done;
    void *arg;
};

static void
free_many(struct cache_redis_job *job)
{
    free(((struct many_job *)job)->domains);
}

static void
on_got_many(struct cache_redis_job *job, const struct resp *reply)
{
    struct many_job *many = (struct many_job *)job;

    job_end(job);
    for (size_t i = 0; reply != NULL && i < many->count && !job->cancelled; i++) {
        struct cache_redis_found found;
        struct record record;

        cache_redis_verify(job->cr, many->domains[i], job_item(reply, i), &record, &found);
        many->each(many->domains[i], &found, many->arg);
    }
    if (!job->cancelled)
        many->done(reply != NULL ? CACHE_REDIS_DONE : CACHE_REDIS_AWAY, many->arg);
    job_free(job);
}

struct cache_redis_job *
cache_redis_get_many(struct cache_redis *cr, const char *const *domains, size_t count,
                     cache_redis_each_fn *each, cache_redis_done_fn *done, void *arg)
{
    struct cache_redis_job *job = job_new(cr, sizeof(struct many_job), "", on_got_many);
    struct many_job *many = (struct many_job *)job;
    struct script_call call;

    assert(count >= 1 && count <= CACHE_REDIS_MANY);
    job->free_rest = free_many;
    many->domains = alloc_zero(count, sizeof many->domains[0]);
    many->count = count;
    many->each = each;
    many->done = done;
    many->arg = arg;
    job_begin(job, SCRIPT_READ, count, &call);
    for (size_t i = 0; i < count; i++) {
        snprintf(many->domains[i], DOMAIN_SIZE, "%s", domains[i]);
        script_key(&call, cr->prefix, "r:", domains[i]);
    }
    job_send(job, &call, BULK_TIMEOUT_MS);
    return job;
}

/* --- index ------------------------------------------------------------------------------------ */

struct index_job {
    struct cache_redis_job job;
    size_t max;
    cache_redis_page_fn *page;
    void *arg;
};

/* Copies item `i` as a string; "" when it does not fit or holds a NUL. */
static void
copy_item(const struct resp *reply, size_t i, char *out, size_t size)
{
    struct span bytes = resp_bytes(job_item(reply, i));

    out[0] = '\0';
    if (bytes.len == 0 || bytes.len >= size || memchr(bytes.at, '\0', bytes.len) != NULL)
        return;
    memcpy(out, bytes.at, bytes.len);
    out[bytes.len] = '\0';
}

static void
give_page(struct index_job *job, const struct resp *reply)
{
    size_t there = (resp_count(reply) - JOB_ITEMS) / 2, count = 0;
    size_t rows = there < job->max ? there : job->max;
    char(*names)[DOMAIN_SIZE] = alloc_zero(rows, sizeof names[0]);
    const char **domains = alloc_zero(rows, sizeof domains[0]);
    double *scores = alloc_zero(rows, sizeof scores[0]);

    for (size_t i = 0; i < rows; i++) {
        char score[SCORE_DIGITS], *end;

        copy_item(reply, 2 * i, names[count], DOMAIN_SIZE);
        copy_item(reply, 2 * i + 1, score, sizeof score);
        scores[count] = strtod(score, &end);
        domains[count] = names[count];
        if (end != score && *end == '\0' && isfinite(scores[count]) &&
            domain_is_normal(names[count]))
            count++;
    }
    job->page(CACHE_REDIS_DONE, domains, scores, count, job->arg);
    free(scores);
    free(domains);
    free(names);
}

static void
on_page(struct cache_redis_job *job, const struct resp *reply)
{
    struct index_job *index = (struct index_job *)job;

    job_end(job);
    if (!job->cancelled) {
        if (reply != NULL)
            give_page(index, reply);
        else
            index->page(CACHE_REDIS_AWAY, NULL, NULL, 0, index->arg);
    }
    job_free(job);
}

struct cache_redis_job *
cache_redis_index(struct cache_redis *cr, double from, size_t max, cache_redis_page_fn *page,
                  void *arg)
{
    struct cache_redis_job *job = job_new(cr, sizeof(struct index_job), "", on_page);
    struct index_job *index = (struct index_job *)job;
    struct script_call call;
    char score[SCORE_DIGITS];

    assert(max >= 1 && max <= CACHE_REDIS_PAGE_MAX);
    index->max = max;
    index->page = page;
    index->arg = arg;
    snprintf(score, sizeof score, "%.17g", from);
    job_begin(job, SCRIPT_INDEX, 0, &call);
    job_key(job, &call, "index");
    script_string(&call, score);
    script_number(&call, (int64_t)max);
    job_send(job, &call, BULK_TIMEOUT_MS);
    return job;
}

/* --- tell ------------------------------------------------------------------------------------- */

static void
on_told(struct cache_redis_job *job, const struct resp *reply)
{
    (void)reply;
    job_end(job);
    job_free(job);
}

void
cache_redis_tell(struct cache_redis *cr, const char *name)
{
    struct cache_redis_job *job = job_new(cr, sizeof *job, "", on_told);
    struct script_call call;

    job_begin(job, SCRIPT_TELL, 1, &call);
    job_key(job, &call, "e");
    script_string(&call, name);
    job_send(job, &call, 0);
}
