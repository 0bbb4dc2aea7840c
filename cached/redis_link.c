/* Looking for a master (LOOKING), trying it (TRYING: PING and ROLE), or with one (UP); between two
 * tries it waits (WAITING). */
#include "cached/redis_link.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "cached/redis_sentinel.h"
#include "cached/settings.h"
#include "cached/settings_redis.h"
#include "common/chance.h"
#include "common/clock.h"
#include "common/log.h"

enum {
    RETRY_FIRST_MS = 50,
    RETRY_MAX_MS = 2000,
    STEADY_MS = 5000, /* up for so long, the next loss is a new story */
    WHY_SIZE = 256
};

enum state { WAITING, LOOKING, TRYING, UP };

/* A command whose reply is looked at for what ends the link. */
struct command {
    TAILQ_ENTRY(command) entry;
    struct redis_link *link;
    redis_reply_fn *reply;
    void *arg;
};

TAILQ_HEAD(command_list, command);

struct redis_link {
    struct event_base *base;
    const struct settings *settings;
    const struct redis_link_events *events;
    void *arg;
    char *password;
    struct redis_tls *tls;
    struct redis_sentinel *sentinel; /* NULL: a fixed server */
    struct redis_conn *conn;
    struct sockspec address;
    struct event *again;
    enum state state;
    int64_t retry_ms, up_ms;
    bool complained; /* the present outage was told of */
    struct event *lost_timer;
    struct command_list sent; /* on their way */
    struct command_list lost; /* their replies will not come: to be told from the loop */
};

/* --- losing ----------------------------------------------------------------------------------- */

/* After 50 ms, then twice as long each time, give or take a quarter: not all nodes at once. */
static void
try_again_later(struct redis_link *link)
{
    int64_t wait_ms;
    struct timeval wait;

    if (link->up_ms != 0 && clock_boot_ms() - link->up_ms >= STEADY_MS)
        link->retry_ms = RETRY_FIRST_MS;
    link->up_ms = 0;
    wait_ms = link->retry_ms * 3 / 4 + (int64_t)chance_below((uint64_t)link->retry_ms / 2 + 1);
    link->retry_ms = link->retry_ms * 2 < RETRY_MAX_MS ? link->retry_ms * 2 : RETRY_MAX_MS;
    wait = clock_timeval(wait_ms);
    link->state = WAITING;
    event_add(link->again, &wait);
}

static void
lose_commands(struct redis_link *link)
{
    TAILQ_CONCAT(&link->lost, &link->sent, entry);
    if (!TAILQ_EMPTY(&link->lost))
        event_add(link->lost_timer, &(struct timeval){0, 0});
}

/* The master is lost, or could not be found. */
static void
lose(struct redis_link *link, const char *why)
{
    bool tell = link->state == UP || !link->complained;
    struct redis_conn *conn = link->conn;

    link->conn = NULL;
    redis_conn_free(conn);
    lose_commands(link);
    try_again_later(link);
    if (!tell)
        return;
    link->complained = true;
    log_warning("redis is away: %s", why);
    link->events->down(why, link->arg);
}

void
redis_link_drop(struct redis_link *link, const char *why)
{
    if (link->state == UP)
        lose(link, why);
}

/* The server that was tried is none for us, whoever named it; or it was one, and is lost. */
static void
fail(struct redis_link *link, const char *why)
{
    if (link->state == TRYING && link->sentinel != NULL)
        redis_sentinel_distrust(link->sentinel);
    lose(link, why);
}

/* --- finding ---------------------------------------------------------------------------------- */

static void
be_up(struct redis_link *link)
{
    char address[SOCKSPEC_SIZE];

    link->state = UP;
    link->up_ms = clock_boot_ms();
    link->complained = false;
    sockspec_format(&link->address, address);
    log_info("redis is there: %s", address);
    link->events->up(link->arg);
}

static void
on_role(const struct resp *reply, void *arg)
{
    struct redis_link *link = arg;
    struct span role = resp_bytes(resp_item(reply, 0));

    if (reply == NULL || link->state != TRYING)
        return;
    if (span_is(role, "master"))
        be_up(link);
    else if (resp_is_error(reply, "NOPERM")) /* then a write will tell */
        be_up(link);
    else
        fail(link, resp_type(reply) == RESP_ARRAY ? "the server is no master"
                                                  : "the server does not tell its role");
}

static void
on_pong(const struct resp *reply, void *arg)
{
    struct redis_link *link = arg;
    char why[WHY_SIZE] = "";

    if (reply == NULL || link->state != TRYING || resp_type(reply) != RESP_ERROR ||
        resp_is_error(reply, "NOPERM"))
        return;
    resp_say(reply, why, sizeof why);
    fail(link, why);
}

static void
on_up(void *arg)
{
    struct redis_link *link = arg;

    redis_conn_send(link->conn, &(struct span){"PING", 4}, 1, 0, on_pong, link);
    redis_conn_send(link->conn, &(struct span){"ROLE", 4}, 1, 0, on_role, link);
}

static void
on_down(const char *why, void *arg)
{
    fail(arg, why);
}

static struct redis_options
options_of(const struct redis_link *link)
{
    return (struct redis_options){.address = link->address,
                                  .username = link->settings->redis.username,
                                  .password = link->password,
                                  .database = link->settings->redis.database,
                                  .timeout_ms = link->settings->redis.timeout_ms,
                                  .tls = link->tls};
}

static void
try_address(struct redis_link *link)
{
    static const struct redis_conn_events events = {.up = on_up, .down = on_down};
    struct redis_options options = options_of(link);

    link->state = TRYING;
    link->conn = redis_conn_new(link->base, &options, &events, link);
}

/* Without a key only who is on this host could have written what is there (settings_redis.c sees to
 * that for a server that is named). */
static bool
is_trusted(const struct redis_link *link)
{
    const struct settings *s = link->settings;

    return s->redis.key_file != NULL || s->redis.insecure || sockspec_is_local(&link->address);
}

static void
on_told(const struct sockspec *address, const char *why, void *arg)
{
    struct redis_link *link = arg;

    if (link->state != LOOKING)
        return;
    if (address == NULL) {
        lose(link, why);
        return;
    }
    link->address = *address;
    if (is_trusted(link)) {
        try_address(link);
        return;
    }
    redis_sentinel_distrust(link->sentinel);
    lose(link, "the Sentinels name a server that is not on this host, and there is no key-file");
}

static void
look(struct redis_link *link)
{
    if (link->sentinel == NULL) {
        try_address(link);
        return;
    }
    link->state = LOOKING;
    redis_sentinel_ask(link->sentinel);
}

/* What is under way with the old master is lost. */
static void
on_switched(void *arg)
{
    struct redis_link *link = arg;

    if (link->state == LOOKING)
        return;
    link->retry_ms = RETRY_FIRST_MS;
    lose(link, "the Sentinels tell of another master");
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    look(arg);
}

/* --- commands --------------------------------------------------------------------------------- */

static bool
is_fatal(const struct resp *reply)
{
    static const char *const codes[] = {"READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "WRONGPASS"};

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (resp_is_error(reply, codes[i]))
            return true;
    }
    return false;
}

/* Takes the command out and tells its reply. */
static void
end_command(struct command_list *list, struct command *command, const struct resp *reply)
{
    redis_reply_fn *fn = command->reply;
    void *arg = command->arg;

    TAILQ_REMOVE(list, command, entry);
    free(command);
    if (fn != NULL)
        fn(reply, arg);
}

static void
on_reply(const struct resp *reply, void *arg)
{
    struct command *command = arg;
    struct redis_link *link = command->link;
    struct redis_conn *conn = link->conn;
    bool fatal = is_fatal(reply);
    char why[WHY_SIZE] = "the server says ";

    if (fatal)
        resp_say(reply, why, sizeof why);
    end_command(&link->sent, command, reply);
    if (fatal && link->conn == conn)
        redis_link_drop(link, why);
}

static void
on_lost(evutil_socket_t fd, short what, void *arg)
{
    struct redis_link *link = arg;
    struct command *last = TAILQ_LAST(&link->lost, command_list), *first;
    bool more = last != NULL;

    (void)fd, (void)what;
    while (more && (first = TAILQ_FIRST(&link->lost)) != NULL) {
        more = first != last;
        end_command(&link->lost, first, NULL);
    }
}

void
redis_link_send(struct redis_link *link, const struct span *arguments, size_t count,
                int64_t timeout_ms, redis_reply_fn *reply, void *arg)
{
    struct command *command = alloc_zero(1, sizeof *command);

    command->link = link;
    command->reply = reply;
    command->arg = arg;
    if (link->state == UP) {
        TAILQ_INSERT_TAIL(&link->sent, command, entry);
        redis_conn_send(link->conn, arguments, count, timeout_ms, on_reply, command);
    } else {
        TAILQ_INSERT_TAIL(&link->lost, command, entry);
        event_add(link->lost_timer, &(struct timeval){0, 0});
    }
}

bool
redis_link_is_up(const struct redis_link *link)
{
    return link->state == UP;
}

struct redis_conn *
redis_link_open_second(struct redis_link *link, const struct redis_conn_events *events, void *arg)
{
    struct redis_options options = options_of(link);

    return redis_conn_new(link->base, &options, events, arg);
}

/* --- life ------------------------------------------------------------------------------------- */

static bool
read_password(struct redis_link *link, char *why, size_t size)
{
    const char *path = link->settings->redis.password_file;

    if (path != NULL)
        link->password = settings_redis_password(path, why, size);
    return path == NULL || link->password != NULL;
}

static bool
read_tls(struct redis_link *link, char *why, size_t size)
{
    const struct settings *s = link->settings;
    const char *ca_file = s->redis.ca_file != NULL ? s->redis.ca_file : s->fetch.ca_file;

    if (!s->redis.tls)
        return true;
    link->tls = redis_tls_new(ca_file, s->redis.cert_file, s->redis.key_file_tls, NULL, why, size);
    return link->tls != NULL;
}

static bool
read_address(struct redis_link *link, char *why, size_t size)
{
    static const struct redis_sentinel_events events = {.told = on_told, .switched = on_switched};
    const struct settings *s = link->settings;

    if (s->redis.server != NULL)
        return sockspec_parse(s->redis.server, &link->address, why, size);
    link->sentinel = redis_sentinel_new(link->base, &s->redis.sentinels, s->redis.master_name,
                                        s->redis.timeout_ms, link->tls, &events, link);
    return true;
}

struct redis_link *
redis_link_new(struct event_base *base, const struct settings *settings,
               const struct redis_link_events *events, void *arg, char *why, size_t size)
{
    struct redis_link *link = alloc_zero(1, sizeof *link);

    link->base = base;
    link->settings = settings;
    link->events = events;
    link->arg = arg;
    link->retry_ms = RETRY_FIRST_MS;
    TAILQ_INIT(&link->sent);
    TAILQ_INIT(&link->lost);
    link->again = evtimer_new(base, on_again, link);
    link->lost_timer = evtimer_new(base, on_lost, link);
    if (read_password(link, why, size) && read_tls(link, why, size) &&
        read_address(link, why, size)) {
        event_add(link->again, &(struct timeval){0, 0});
        return link;
    }
    redis_link_free(link);
    return NULL;
}

static void
free_commands(struct command_list *list)
{
    struct command *command;

    while ((command = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, command, entry);
        free(command);
    }
}

void
redis_link_free(struct redis_link *link)
{
    if (link == NULL)
        return;
    redis_conn_free(link->conn);
    redis_sentinel_free(link->sentinel);
    redis_tls_free(link->tls);
    event_free(link->again);
    event_free(link->lost_timer);
    free_commands(&link->sent);
    free_commands(&link->lost);
    if (link->password != NULL)
        explicit_bzero(link->password, strlen(link->password));
    free(link->password);
    free(link);
}
