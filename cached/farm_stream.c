/* The stream of events, read on a connection of its own. An event is a name to look at, no more. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/farm_parts.h"
#include "cached/settings.h"
#include "common/glob.h"
#include "common/log.h"

enum { BATCH_MAX = 256, BLOCK_MS = 1000, RETRY_MS = 200, FAILURES_MAX = 3 };

struct farm_stream {
    struct farm *farm;
    struct redis_conn *conn; /* NULL: not reading */
    struct event *retry;
    struct cache_redis_job *getting;
    char applied[CACHE_REDIS_ID_SIZE];
    char batch_end[CACHE_REDIS_ID_SIZE];
    char names[BATCH_MAX][DOMAIN_SIZE]; /* of the batch, each once */
    size_t count, at;
    unsigned failures; /* in a row, at this very place */
};

struct farm_stream *
farm_stream_new(struct farm *farm)
{
    struct farm_stream *s = alloc_zero(1, sizeof *s);

    s->farm = farm;
    return s;
}

void
farm_stream_stop(struct farm_stream *s)
{
    redis_conn_free(s->conn);
    s->conn = NULL;
    cache_redis_cancel(s->getting);
    s->getting = NULL;
    if (s->retry != NULL)
        event_free(s->retry);
    s->retry = NULL;
}

void
farm_stream_free(struct farm_stream *s)
{
    farm_stream_stop(s);
    free(s);
}

bool
farm_stream_reads(const struct farm_stream *s)
{
    return s->conn != NULL;
}

const char *
farm_stream_applied(const struct farm_stream *s)
{
    return s->applied;
}

/* --- applying a batch ------------------------------------------------------------------------- */

static void read_next(struct farm_stream *);
static void get_next(struct farm_stream *);

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    read_next(arg);
}

/* The batch was not applied: it is read again. */
static void
retry_later(struct farm_stream *s)
{
    if (s->retry == NULL)
        s->retry = evtimer_new(s->farm->base, on_retry, s);
    event_add(s->retry, &(struct timeval){0, RETRY_MS * 1000});
}

static void
apply(const char *domain, const struct cache_redis_found *found, void *arg)
{
    struct farm *farm = ((struct farm_stream *)arg)->farm;
    struct entry *e = cache_get(farm->cache, domain, false);

    farm->stats->redis_events++;
    if (found->record == NULL && e != NULL && e->policy == NULL &&
        found->status == CACHE_REDIS_DONE)
        cache_forget_outcome(farm->cache, e);
    farm_take(farm, domain, found, false);
    farm_tell_changed(farm, domain);
}

static void
on_got(enum cache_redis_status status, void *arg)
{
    struct farm_stream *s = arg;

    s->getting = NULL;
    if (status == CACHE_REDIS_AWAY)
        retry_later(s);
    else
        get_next(s);
}

static void
get_next(struct farm_stream *s)
{
    const char *domains[CACHE_REDIS_MANY];
    size_t count = 0;

    while (s->at < s->count && count < CACHE_REDIS_MANY)
        domains[count++] = s->names[s->at++];
    if (count > 0) {
        s->getting = cache_redis_get_many(s->farm->redis, domains, count, apply, on_got, s);
        return;
    }
    memcpy(s->applied, s->batch_end, sizeof s->applied);
    farm_beat(s->farm); /* who waits for us sees it at once */
    read_next(s);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void
note_name(struct farm_stream *s, struct span name)
{
    char text[DOMAIN_SIZE];

    if (name.len == 0 || name.len >= sizeof text || memchr(name.at, '\0', name.len) != NULL)
        return;
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    if (glob_is(text)) {
        cache_forget_outcomes(s->farm->cache, text);
        return;
    }
    if (!domain_is_normal(text) || s->count == BATCH_MAX)
        return;
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->names[i], text) == 0)
            return;
    }
    strcpy(s->names[s->count++], text);
}

/* [id, ["d", name]] */
static bool
note_event(struct farm_stream *s, const struct resp *event)
{
    struct span id = resp_bytes(resp_item(event, 0));
    const struct resp *fields = resp_item(event, 1);

    if (id.len == 0 || id.len >= CACHE_REDIS_ID_SIZE)
        return false;
    memcpy(s->batch_end, id.at, id.len);
    s->batch_end[id.len] = '\0';
    if (span_is(resp_bytes(resp_item(fields, 0)), "d"))
        note_name(s, resp_bytes(resp_item(fields, 1)));
    return true;
}

static void
on_events(const struct resp *reply, void *arg)
{
    struct farm_stream *s = arg;
    const struct resp *events = resp_item(resp_item(reply, 0), 1);

    if (reply == NULL)
        return; /* on_down goes on */
    s->count = s->at = 0;
    s->failures = 0;
    if (resp_type(reply) == RESP_ERROR) {
        retry_later(s); /* the next beat sees what is wrong */
        return;
    }
    for (size_t i = 0; i < resp_count(events); i++) {
        if (!note_event(s, resp_item(events, i)))
            break;
    }
    if (resp_count(events) > 0)
        get_next(s);
    else
        read_next(s);
}

static void
read_next(struct farm_stream *s)
{
    char key[128], block[16], count[16];
    const char *words[] = {"XREAD", "COUNT", count, "BLOCK", block, "STREAMS", key, s->applied};
    struct span arguments[8];

    if (s->conn == NULL || !redis_conn_is_up(s->conn))
        return;
    snprintf(key, sizeof key, "%se", s->farm->settings->redis.prefix);
    snprintf(count, sizeof count, "%d", BATCH_MAX);
    snprintf(block, sizeof block, "%d", BLOCK_MS);
    for (size_t i = 0; i < 8; i++)
        arguments[i] = (struct span){words[i], strlen(words[i])};
    redis_conn_send(s->conn, arguments, 8,
                    BLOCK_MS + s->farm->settings->redis.timeout_ms + BLOCK_MS, on_events, s);
}

static void
on_up(void *arg)
{
    read_next(arg);
}

/* Events are as good as the link: without them it is none. */
static void
on_down(const char *why, void *arg)
{
    struct farm_stream *s = arg;
    char text[160];

    snprintf(text, sizeof text, "events: %s", why);
    if (++s->failures >= FAILURES_MAX) {
        s->failures = 0;
        s->applied[0] = '\0'; /* something lies there that cannot be read: go on behind it */
    }
    farm_stream_stop(s);
    redis_link_drop(s->farm->link, text);
}

void
farm_stream_begin(struct farm_stream *s, const char *id)
{
    static const struct redis_conn_events events = {.up = on_up, .down = on_down};

    if (id != NULL) {
        farm_stream_stop(s);
        snprintf(s->applied, sizeof s->applied, "%s", id);
    }
    if (s->conn == NULL)
        s->conn = redis_link_open_second(s->farm->link, &events, s);
}
