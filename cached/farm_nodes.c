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
    NODES_MAX = 1000,
    FORGOTTEN_S = 7 * 86400,
    WAIT_MS = 15000,
    WAIT_FIRST_MS = 25,
    WAIT_MAX_MS = 250,
    ID_DIGITS = 8
};

/* What under our prefix is of a wrong type is nobody's. Writes that fail (no memory left) leave the
 * rest to be told. */
#define CLEAR                                                                                      \
    "local function clear(k, kind)\n"                                                              \
    "  local found = redis.call('TYPE', k).ok\n"                                                   \
    "  if found ~= 'none' and found ~= kind then redis.pcall('DEL', k) end\n"                      \
    "end\n"

static const char beat_script[] = CLEAR
    "clear(KEYS[1], 'string') clear(KEYS[2], 'stream') clear(KEYS[3], 'hash')\n"
    "redis.pcall('SET', KEYS[1], ARGV[1], 'NX')\n"
    "local has = 0\n"
    "if ARGV[2] ~= '' and #redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[2]) > 0 then has = 1 end\n"
    "local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)\n"
    "local t = redis.call('TIME')\n"
    "redis.pcall('HSET', KEYS[3], ARGV[3], ARGV[4] .. ' ' .. t[1])\n"
    "return {string.sub(redis.call('GET', KEYS[1]) or '', 1, 32), has,\n"
    "  newest[1] and newest[1][1] or ''}";

static const char nodes_script[] =
    "local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)\n"
    "local out = {redis.call('TIME')[1], newest[1] and newest[1][1] or ''}\n"
    "local all = redis.call('HGETALL', KEYS[1])\n"
    "for i = 1, math.min(#all, 2000) do out[#out + 1] = string.sub(all[i], 1, 200) end\n"
    "return out";

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

static void
random_hex(char *out, size_t digits)
{
    for (size_t i = 0; i < digits; i += ID_DIGITS)
        snprintf(out + i, ID_DIGITS + 1, "%08" PRIx32, (uint32_t)chance_below(UINT32_MAX));
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
        random_hex(id, ID_DIGITS);
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

/* Sends a script of ours: keys are named without the prefix. */
static void
send_script(struct farm *farm, const char *script, const char *const *keys, size_t key_count,
            const char *const *values, size_t value_count, redis_reply_fn *reply, void *arg)
{
    struct span arguments[12] = {{"EVAL", 4}, {script, strlen(script)}};
    char names[3][128], number[8];
    size_t count = 2;

    snprintf(number, sizeof number, "%zu", key_count);
    arguments[count++] = (struct span){number, strlen(number)};
    for (size_t i = 0; i < key_count; i++) {
        snprintf(names[i], sizeof names[i], "%s%s", farm->settings->redis.prefix, keys[i]);
        arguments[count++] = (struct span){names[i], strlen(names[i])};
    }
    for (size_t i = 0; i < value_count; i++)
        arguments[count++] = (struct span){values[i], strlen(values[i])};
    redis_link_send(farm->link, arguments, count, 0, reply, arg);
}

static bool
copy_text(struct span from, char *to, size_t size)
{
    if (from.len >= size || memchr(from.at, '\0', from.len) != NULL)
        return false;
    memcpy(to, from.at, from.len);
    to[from.len] = '\0';
    return true;
}

/* Begins where the stream ends now, and copies what was before. */
static void
start_over(struct farm *farm, const char *newest, const char *why)
{
    if (why != NULL)
        log_warning("farm: %s: everything is copied anew", why);
    cache_forget_outcomes(farm->cache, NULL);
    farm_stream_begin(farm->stream, newest[0] != '\0' ? newest : "0-0");
    farm_copy_begin(farm->copy);
}

static void
compare(struct farm *farm, const char *epoch, bool has_applied, const char *newest)
{
    const char *applied = farm_stream_applied(farm->stream);
    bool other = epoch[0] != '\0' && farm->epoch[0] != '\0' && strcmp(epoch, farm->epoch) != 0;
    bool from_start = strcmp(applied, "0-0") == 0;
    /* What came while we did not read may be cut off at the stream's other end already. */
    bool gap = from_start ? newest[0] != '\0' && !farm_stream_reads(farm->stream)
                          : !has_applied && strcmp(applied, farm->beat_id) == 0;

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
on_beaten(const struct resp *reply, void *arg)
{
    struct farm *farm = arg;
    char epoch[FARM_EPOCH_SIZE], newest[FARM_ID_SIZE];

    farm->beating = false;
    if (reply == NULL || farm->stream == NULL)
        return;
    if (resp_count(reply) == 3 && copy_text(resp_bytes(resp_item(reply, 0)), epoch, sizeof epoch) &&
        copy_text(resp_bytes(resp_item(reply, 2)), newest, sizeof newest))
        compare(farm, epoch, resp_integer(resp_item(reply, 1)) == 1, newest);
    if (farm->beat_again)
        farm_beat(farm);
}

void
farm_beat(struct farm *farm)
{
    static const char *const keys[] = {"epoch", "e", "nodes"};
    char nonce[33];
    /* Before all is copied nothing that came earlier is applied. */
    const char *registered =
        farm_copy_is_behind(farm->copy) ? "" : farm_stream_applied(farm->stream);
    const char *values[] = {nonce, farm->beat_id, farm->name, registered};

    farm->beat_again = farm->beating;
    if (farm->beating)
        return;
    farm->beating = true;
    random_hex(nonce, 32);
    snprintf(farm->beat_id, sizeof farm->beat_id, "%s", farm_stream_applied(farm->stream));
    send_script(farm, beat_script, keys, 3, values, 4, on_beaten, farm);
}

/* --- leaving ---------------------------------------------------------------------------------- */

static void
on_left(const struct resp *reply, void *arg)
{
    (void)reply;
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
    int64_t ms = farm->settings->redis.timeout_ms;
    struct timeval patience = clock_timeval(ms);
    struct event *over = evtimer_new(farm->base, on_patience_over, farm);
    char key[128];
    struct span arguments[] = {{"HDEL", 4}, {key, 0}, {farm->name, strlen(farm->name)}};

    snprintf(key, sizeof key, "%snodes", farm->settings->redis.prefix);
    arguments[1].len = strlen(key);
    event_add(over, &patience);
    redis_link_send(farm->link, arguments, 3, 0, on_left, farm);
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
    struct farm_node list[NODES_MAX];
    char names[NODES_MAX][FARM_NAME_SIZE];
    size_t count;
    bool all; /* every node that lives has confirmed */
};

static void
forget_node(struct farm *farm, const char *name)
{
    char key[128];
    struct span arguments[] = {{"HDEL", 4}, {key, 0}, {name, strlen(name)}};

    snprintf(key, sizeof key, "%snodes", farm->settings->redis.prefix);
    arguments[1].len = strlen(key);
    redis_link_send(farm->link, arguments, 3, 0, NULL, NULL);
}

/* `wanted` NULL: nobody is waited for, and a node that was seen lately counts as confirmed. */
static void
note_node(struct farm *farm, struct nodes *nodes, struct span name, struct span value,
          int64_t now_s, const uint64_t *wanted)
{
    struct farm_node *node = &nodes->list[nodes->count];
    char *text = nodes->names[nodes->count];
    uint64_t id[2];
    bool lives;

    if (nodes->count == NODES_MAX || !is_safe_name(name) ||
        !read_node(value, id, &node->last_seen_s))
        return;
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    if (now_s - node->last_seen_s > FORGOTTEN_S) {
        forget_node(farm, text);
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
on_nodes(const struct resp *reply, void *arg)
{
    struct farm_job *job = arg;
    struct farm *farm = job->farm;
    struct nodes *nodes;
    struct span now = resp_bytes(resp_item(reply, 0));
    struct scan digits = scan_bytes(now.at, now.len);
    uint64_t now_s;
    bool good = scan_number(&digits, 12, &now_s), waits = job->until_ms != 0;

    job->in_flight = false;
    if (job->cancelled) {
        farm_job_free(job);
        return;
    }
    if (good && waits && job->wanted[0] == 0)
        good = read_stream_id(resp_bytes(resp_item(reply, 1)), job->wanted);
    nodes = alloc_zero(1, sizeof *nodes);
    nodes->all = true;
    for (size_t i = 2; good && i + 1 < resp_count(reply); i += 2)
        note_node(farm, nodes, resp_bytes(resp_item(reply, i)), resp_bytes(resp_item(reply, i + 1)),
                  (int64_t)now_s, waits ? job->wanted : NULL);
    if (good && waits && !nodes->all && clock_boot_ms() < job->until_ms)
        ask_again_later(job);
    else
        end_nodes(job, good, nodes);
    free(nodes);
}

static void
ask_nodes(struct farm_job *job)
{
    static const char *const keys[] = {"nodes", "e"};

    job->in_flight = true;
    send_script(job->farm, nodes_script, keys, 2, NULL, 0, on_nodes, job);
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
