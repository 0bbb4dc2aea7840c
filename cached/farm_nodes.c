/* The registry of nodes; and the beat, which keeps our line in it and notices when Redis is not
 * what it was. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cached/farm_parts.h"
#include "cached/settings.h"
#include "common/chance.h"
#include "common/clock.h"
#include "common/log.h"

enum {
    FORGOTTEN_S = 7 * 86400,
    WAIT_MS = 15000,
    WAIT_FIRST_MS = 25,
    WAIT_MAX_MS = 250,
    ID_DIGITS = 8
};

/* --- our name --------------------------------------------------------------------------------- */

static bool
is_name_byte(char c)
{
    return ascii_is_alnum((unsigned char)c) || c == '-' || c == '.' || c == '_';
}

static bool
is_id(const char *text)
{
    return strspn(text, "0123456789abcdef") == ID_DIGITS && text[ID_DIGITS] == '\0';
}

/* Without the file a restart looks like another node, no worse. */
static void
read_id(const struct farm *farm, char id[ID_DIGITS + 1])
{
    char path[PATH_MAX], text[ID_DIGITS + 2] = "";
    int fd;

    snprintf(path, sizeof path, "%s/node-id", farm->settings->state_directory);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && read(fd, text, ID_DIGITS) == ID_DIGITS && is_id(text)) {
        memcpy(id, text, ID_DIGITS + 1);
    } else {
        snprintf(id, ID_DIGITS + 1, "%08" PRIx32, (uint32_t)chance_below(UINT32_MAX));
        if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, id, ID_DIGITS, 0) != ID_DIGITS)
            log_warning("%s: %s", path, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
}

void
farm_nodes_name(struct farm *farm)
{
    char host[64], id[ID_DIGITS + 1];

    if (gethostname(host, sizeof host) != 0)
        strcpy(host, "localhost");
    host[sizeof host - 1] = '\0';
    for (char *at = host; *at != '\0'; at++) {
        if (!is_name_byte(*at))
            *at = '-';
    }
    read_id(farm, id);
    snprintf(farm->name, sizeof farm->name, "%.60s-%s", host, id);
}

/* --- the beat --------------------------------------------------------------------------------- */

/* Begins where the stream ends now, and copies what was before. */
static void
start_over(struct farm *farm, const char *newest, const char *why)
{
    if (why != NULL)
        log_warning("farm: %s: everything is copied anew", why);
    cache_drop_memory(farm->cache);
    farm_stream_begin(farm->stream, newest[0] != '\0' ? newest : "0-0");
    farm_copy_begin(farm->copy);
}

static void
compare(struct farm *farm, const struct cache_redis_beat *beat)
{
    const char *applied = farm_stream_applied(farm->stream);
    const char *epoch = beat->epoch, *newest = beat->newest;
    bool other = epoch[0] != '\0' && farm->epoch[0] != '\0' && strcmp(epoch, farm->epoch) != 0;
    bool from_start = strcmp(applied, "0-0") == 0;
    /* What came while we did not read may be cut off at the stream's other end already. */
    bool gap = from_start ? newest[0] != '\0' && !farm_stream_reads(farm->stream)
                          : !beat->has_applied && strcmp(applied, farm->beat_id) == 0;

    if (epoch[0] != '\0')
        snprintf(farm->epoch, sizeof farm->epoch, "%s", epoch);
    if (applied[0] == '\0')
        start_over(farm, newest, NULL);
    else if (other)
        start_over(farm, newest, "Redis was flushed or replaced");
    else if (gap)
        start_over(farm, newest, "events are missing");
    else if (!farm_copy_is_whole(farm->copy))
        farm_copy_begin(farm->copy);
    farm_stream_begin(farm->stream, NULL);
}

static void
on_beaten(const struct cache_redis_beat *beat, void *arg)
{
    struct farm *farm = arg;

    farm->beating = false;
    if (beat->status == CACHE_REDIS_AWAY || farm->stream == NULL)
        return;
    compare(farm, beat);
    if (farm->beat_again)
        farm_beat(farm);
}

void
farm_beat(struct farm *farm)
{
    const char *applied = farm_stream_applied(farm->stream);
    /* Before all is copied nothing that came earlier is applied. */
    const char *registered = farm_copy_is_behind(farm->copy) ? "" : applied;

    farm->beat_again = farm->beating;
    if (farm->beating)
        return;
    farm->beating = true;
    snprintf(farm->beat_id, sizeof farm->beat_id, "%s", applied);
    (void)cache_redis_beat(farm->redis, farm->name, applied, registered, on_beaten, farm);
}

/* --- leaving ---------------------------------------------------------------------------------- */

static void
on_left(enum cache_redis_status status, void *arg)
{
    (void)status;
    ((struct farm *)arg)->left = true;
}

static void
on_patience_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    ((struct farm *)arg)->left = true;
}

void
farm_nodes_leave(struct farm *farm)
{
    struct timeval patience = clock_timeval(farm->settings->redis.timeout_ms);
    struct event *over = evtimer_new(farm->base, on_patience_over, farm);

    event_add(over, &patience);
    (void)cache_redis_leave(farm->redis, farm->name, on_left, farm);
    while (!farm->left && event_base_loop(farm->base, EVLOOP_ONCE) == 0)
        ;
    event_free(over);
}

/* --- listing and waiting ---------------------------------------------------------------------- */

/* "milliseconds-sequence"; "" is the beginning. */
static bool
read_stream_id(struct span text, uint64_t out[2])
{
    struct scan s = scan_bytes(text.at, text.len);

    out[0] = out[1] = 0;
    return text.len == 0 || (scan_number(&s, 18, &out[0]) && scan_char(&s, '-') &&
                             scan_number(&s, 18, &out[1]) && scan_is_done(&s));
}

static bool
has_reached(const uint64_t id[2], const uint64_t wanted[2])
{
    return id[0] > wanted[0] || (id[0] == wanted[0] && id[1] >= wanted[1]);
}

/* A line of the registry: "<applied id> <time s>". */
static bool
read_node(struct span value, uint64_t id[2], int64_t *seen_s)
{
    struct scan s = scan_bytes(value.at, value.len);
    struct span text = scan_until(&s, ' ');
    uint64_t seconds;

    if (!scan_char(&s, ' ') || !scan_number(&s, 12, &seconds) || !scan_is_done(&s))
        return false;
    *seen_s = (int64_t)seconds;
    return read_stream_id(text, id);
}

static bool
is_safe_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_byte(name.at[i]))
            return false;
    }
    return name.len > 0 && name.len < FARM_NAME_SIZE;
}

struct nodes {
    struct farm_node list[CACHE_REDIS_NODES_MAX];
    char names[CACHE_REDIS_NODES_MAX][FARM_NAME_SIZE];
    size_t count;
    bool all; /* every node that lives has confirmed */
};

/* `wanted` NULL: nobody is waited for, and a node that was seen lately counts as confirmed. */
static void
note_node(struct farm *farm, struct nodes *nodes, struct span name, struct span value,
          int64_t now_s, const uint64_t *wanted)
{
    struct farm_node *node = &nodes->list[nodes->count];
    char *text = nodes->names[nodes->count];
    uint64_t id[2];
    bool lives;

    if (nodes->count == CACHE_REDIS_NODES_MAX || !is_safe_name(name) ||
        !read_node(value, id, &node->last_seen_s))
        return;
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    if (now_s - node->last_seen_s > FORGOTTEN_S) {
        (void)cache_redis_leave(farm->redis, text, NULL, NULL);
        return;
    }
    lives = now_s - node->last_seen_s < FARM_UNSEEN_S;
    node->name = text;
    node->self = strcmp(text, farm->name) == 0;
    node->confirmed = lives && (wanted == NULL || has_reached(id, wanted));
    if (lives && !node->confirmed)
        nodes->all = false;
    nodes->count++;
}

static void ask_nodes(struct farm_job *);

static void
on_ask_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    ask_nodes(arg);
}

static void
ask_again_later(struct farm_job *job)
{
    struct timeval pause = {.tv_usec = job->pause_ms * 1000};

    if (job->timer == NULL)
        job->timer = evtimer_new(job->farm->base, on_ask_again, job);
    event_add(job->timer, &pause);
    job->pause_ms = job->pause_ms * 2 < WAIT_MAX_MS ? job->pause_ms * 2 : WAIT_MAX_MS;
}

static void
end_nodes(struct farm_job *job, bool reachable, const struct nodes *nodes)
{
    farm_nodes_fn *fn = job->nodes;
    void *arg = job->arg;

    farm_job_free(job);
    fn(reachable, nodes->list, nodes->count, arg);
}

static void
on_nodes(const struct cache_redis_nodes *found, void *arg)
{
    struct farm_job *job = arg;
    struct nodes *nodes = alloc_zero(1, sizeof *nodes);
    bool good = found->status == CACHE_REDIS_DONE, waits = job->until_ms != 0;

    job->redis = NULL;
    if (good && waits && job->wanted[0] == 0)
        good = read_stream_id(found->newest, job->wanted);
    nodes->all = true;
    for (size_t i = 0; good && i < found->count; i++)
        note_node(job->farm, nodes, found->list[i].name, found->list[i].line, found->now_s,
                  waits ? job->wanted : NULL);
    if (good && waits && !nodes->all && clock_boot_ms() < job->until_ms)
        ask_again_later(job);
    else
        end_nodes(job, good, nodes);
    free(nodes);
}

static void
ask_nodes(struct farm_job *job)
{
    job->redis = cache_redis_nodes(job->farm->redis, on_nodes, job);
}

struct farm_job *
farm_nodes(struct farm *farm, farm_nodes_fn *fn, void *arg)
{
    struct farm_job *job = farm_job_new(farm, "", arg);

    job->nodes = fn;
    ask_nodes(job);
    return job;
}

struct farm_job *
farm_wait(struct farm *farm, farm_nodes_fn *fn, void *arg)
{
    struct farm_job *job = farm_job_new(farm, "", arg);

    job->nodes = fn;
    job->until_ms = clock_boot_ms() + WAIT_MS;
    job->pause_ms = WAIT_FIRST_MS;
    ask_nodes(job);
    return job;
}
