/* Two steps, since only we can tell a record of the farm's from another: read and decide, then
 * write if that still stands there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache_redis_job.h"

enum { TRIES = 4 };

struct put_job {
    struct cache_redis_job job;
    struct record record; /* its body is ours */
    char *body;
    int64_t life_s;
    int tries;
    char token[LOCK_TOKEN_SIZE]; /* of the lock that goes with it; "" for none */
    char tail[SCRIPT_TAIL];      /* of what was read */
    size_t tail_len;
    cache_redis_put_fn *put;
    void *arg;
};

static void on_read(struct cache_redis_job *, const struct resp *);
static void on_written(struct cache_redis_job *, const struct resp *);

static void
free_put(struct cache_redis_job *job)
{
    free(((struct put_job *)job)->body);
}

static void
end_put(struct put_job *put, const struct cache_redis_put_result *result)
{
    job_end(&put->job);
    if (!put->job.cancelled)
        put->put(result, put->arg);
    job_free(&put->job);
}

static void
end_away(struct put_job *put)
{
    end_put(put, &(struct cache_redis_put_result){.status = CACHE_REDIS_AWAY});
}

/* For what ends without writing. */
static void
give_up_lock(struct put_job *put)
{
    if (put->token[0] != '\0')
        lock_remove(put->job.cr, put->job.domain, put->token, true);
}

static void
send_read(struct put_job *put)
{
    struct script_call call;

    put->job.on_reply = on_read;
    job_begin(&put->job, SCRIPT_READ, 1, &call);
    job_key(&put->job, &call, "r:");
    job_send(&put->job, &call, 0);
}

static void
send_write(struct put_job *put)
{
    struct cache_redis_job *job = &put->job;
    struct script_call call;
    struct buf bytes;

    buf_init(&bytes, RECORD_MAX);
    record_encode(&put->record, job->cr->key, &bytes);
    job->on_reply = on_written;
    job_begin(job, SCRIPT_PUT, 1, &call);
    job_key(job, &call, "r:");
    job_key(job, &call, "l:");
    job_key(job, &call, "index");
    job_key(job, &call, "e");
    script_value(&call, put->tail, put->tail_len);
    script_value(&call, bytes.data, bytes.len);
    script_number(&call, put->life_s);
    script_string(&call, put->record.domain);
    script_string(&call, put->token);
    script_string(&call, put->record.kind == RECORD_FAILURE ? "0" : "1");
    job_send(job, &call, 0);
    buf_done(&bytes);
}

static void
keep_tail(struct put_job *put, const struct resp *value)
{
    struct span bytes = resp_bytes(value);

    put->tail_len = bytes.len < SCRIPT_TAIL ? bytes.len : SCRIPT_TAIL;
    if (put->tail_len > 0)
        memcpy(put->tail, bytes.at + bytes.len - put->tail_len, put->tail_len);
}

static bool
is_newer(const struct record *there, const struct record *ours)
{
    if ((ours->kind == RECORD_FAILURE) != (there->kind == RECORD_FAILURE))
        return ours->kind == RECORD_FAILURE; /* any policy is better than a failure */
    return there->seq >= ours->seq;
}

/* A seq above Redis' time comes from a master whose clock was ahead. Whatever is replaced has a
 * lower one. */
static void
set_seq(struct put_job *put, const struct record *there)
{
    uint64_t least = there != NULL ? there->seq + 1 : 0;

    if (put->record.seq > put->job.time_us)
        put->record.seq = put->job.time_us;
    if (put->record.seq < least)
        put->record.seq = least;
}

static void
on_read(struct cache_redis_job *job, const struct resp *reply)
{
    struct put_job *put = (struct put_job *)job;
    struct cache_redis_found found;
    struct record there;

    if (reply == NULL || job->cancelled) {
        if (reply != NULL)
            give_up_lock(put);
        end_away(put);
        return;
    }
    cache_redis_verify(job->cr, job->domain, job_item(reply, 0), &there, &found);
    if (found.record != NULL && is_newer(&there, &put->record)) {
        give_up_lock(put);
        end_put(put, &(struct cache_redis_put_result){.newer = &there});
        return;
    }
    set_seq(put, found.record);
    keep_tail(put, job_item(reply, 0));
    send_write(put);
}

static void
on_written(struct cache_redis_job *job, const struct resp *reply)
{
    struct put_job *put = (struct put_job *)job;
    struct cache_redis_put_result result = {.written = true, .seq = put->record.seq};
    struct span event = resp_bytes(job_item(reply, 1));

    if (reply == NULL) {
        end_away(put);
    } else if (resp_integer(job_item(reply, 0)) == 1) {
        snprintf(result.event, sizeof result.event, "%.*s", (int)event.len, event.at);
        end_put(put, &result);
    } else if (--put->tries > 0 && !job->cancelled) {
        send_read(put);
    } else {
        give_up_lock(put);
        end_away(put);
    }
}

struct cache_redis_job *
cache_redis_put(struct cache_redis *cr, const struct record *record, int64_t life_s,
                cache_redis_put_fn *done, void *arg)
{
    struct cache_redis_job *job = job_new(cr, sizeof(struct put_job), record->domain, on_read);
    struct put_job *put = (struct put_job *)job;

    job->free_rest = free_put;
    put->record = *record;
    if (record->kind == RECORD_POLICY) {
        put->body = alloc_string_len(record->body.at, record->body.len);
        put->record.body.at = put->body;
    }
    put->life_s = life_s > 0 ? life_s : 1;
    put->tries = TRIES;
    put->put = done;
    put->arg = arg;
    lock_leave(cr, record->domain, put->token);
    send_read(put);
    return job;
}
