/* load - asks a query socket as fast as it is answered, and checks every reply.
 *
 * usage: load SOCKET KIND DOMAINS CONNECTIONS IN-FLIGHT SECONDS [COUNT]
 *    asks for domains 0 to DOMAINS-1 of KIND (p or n) in turn, for so long or COUNT times; each
 *    connection keeps IN-FLIGHT questions under way.
 * usage: load SOCKET once FIRST COUNT CONNECTIONS IN-FLIGHT [HANG-EVERY]
 *    asks for COUNT policy domains from number FIRST, each once; the first of every HANG-EVERY is
 * one whose policy host hangs, where any TEMP or NOTFOUND will do.
 *
 * Prints one line: answers, seconds, rate a second, p50, p99 and longest time in microseconds; and
 * the seconds until the last answer that was a policy or none. Exit status 1: a reply was wrong, or
 * none came for a minute. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/proto.h"
#include "common/sockspec.h"
#include "tests/bench/names.h"
#include "tests/bench/times.h"

enum { DEPTH_MAX = 64, CONNECTIONS_MAX = 1024, READ_SIZE = 65536, PATIENCE_MS = 60000 };

/* What is asked for and what must come, made beforehand. */
struct exchange {
    char question[NAMES_FRAME_SIZE], answer[NAMES_FRAME_SIZE];
    unsigned question_len, answer_len;
    bool any_refusal;
};

struct flight {
    const struct exchange *exchange;
    int64_t sent_ns;
};

struct client {
    int fd;
    struct flight flights[DEPTH_MAX]; /* a ring */
    unsigned first, count;
    char in[READ_SIZE];
    size_t in_len;
};

struct load {
    struct exchange *exchanges;
    unsigned exchange_count, next;
    unsigned depth;
    int64_t begin_ns, end_ns, last_good_ns;
    uint64_t asked, asked_max, answers, flying;
    struct times times;
    int epoll;
};

static _Noreturn void
fail(const char *what)
{
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static void
prepare(struct exchange *x, enum names_kind kind, unsigned number)
{
    char domain[NAMES_SIZE];
    size_t len = names_domain(kind, number, domain);

    x->question_len = (unsigned)names_question(domain, len, x->question);
    x->answer_len = (unsigned)names_answer(domain, len, x->answer);
    x->any_refusal = kind == NAMES_HANGING;
}

static bool
is_over(const struct load *load, int64_t now_ns)
{
    return load->asked == load->asked_max || now_ns >= load->end_ns;
}

static void
send_all(int fd, const char *bytes, size_t len)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};

    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n >= 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (errno != EAGAIN || poll(&writable, 1, PATIENCE_MS) != 1) {
            fail("cannot send");
        }
    }
}

/* Asks until the connection has its questions under way again: all of them in one write. */
static void
ask(struct load *load, struct client *c, int64_t now_ns)
{
    char out[DEPTH_MAX * NAMES_FRAME_SIZE];
    size_t len = 0;

    while (c->count < load->depth && !is_over(load, now_ns)) {
        const struct exchange *x = &load->exchanges[load->next++];
        if (load->next == load->exchange_count)
            load->next = 0;
        load->asked++;
        memcpy(out + len, x->question, x->question_len);
        len += x->question_len;
        c->flights[(c->first + c->count++) % DEPTH_MAX] = (struct flight){x, now_ns};
        load->flying++;
    }
    if (len > 0)
        send_all(c->fd, out, len);
}

/* Takes the answer to the oldest question. False: it has not come whole. */
static bool
take(struct client *c, size_t *at)
{
    const struct exchange *x = c->flights[c->first].exchange;
    const char *frame = c->in + *at;
    size_t len = c->in_len - *at, used;
    struct span payload;

    if (len >= x->answer_len && memcmp(frame, x->answer, x->answer_len) == 0) {
        *at += x->answer_len;
        return true;
    }
    switch (proto_decode(frame, len, PROTO_REPLY_MAX, &payload, &used)) {
    case PROTO_PARTIAL:
        return false;
    case PROTO_FRAME:
        *at += used;
        if (x->any_refusal && payload.len >= 4 &&
            (memcmp(payload.at, "TEMP", 4) == 0 || memcmp(payload.at, "NOTF", 4) == 0))
            return true;
        fprintf(stderr, "load: asked %.*s\n", (int)x->question_len, x->question);
        fprintf(stderr, "load: wanted %.*s\n", (int)x->answer_len, x->answer);
        fprintf(stderr, "load: got %.*s\n", (int)payload.len, payload.at);
        break;
    case PROTO_BAD:
        break;
    }
    fail("wrong answer");
}

static void
serve(struct load *load, struct client *c)
{
    ssize_t n = read(c->fd, c->in + c->in_len, sizeof c->in - c->in_len);
    int64_t now_ns = times_now_ns();
    size_t at = 0;

    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        fail("the server closed a connection");
    }
    c->in_len += (size_t)n;
    while (c->count > 0 && at < c->in_len && take(c, &at)) {
        if (!c->flights[c->first].exchange->any_refusal)
            load->last_good_ns = now_ns;
        times_add(&load->times, now_ns - c->flights[c->first].sent_ns);
        c->first = (c->first + 1) % DEPTH_MAX;
        c->count--;
        load->answers++;
        load->flying--;
    }
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
    if (c->count == 0 && c->in_len > 0)
        fail("an answer that nobody asked for");
    ask(load, c, now_ns);
}

static struct client *
connect_one(struct load *load, const struct sockspec *spec)
{
    struct client *c = alloc_zero(1, sizeof *c);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    struct pollfd writable = {.events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;

    c->fd = sockspec_connect(spec);
    writable.fd = c->fd;
    if (c->fd < 0 || poll(&writable, 1, PATIENCE_MS) != 1 ||
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0 ||
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        fail("cannot connect");
    return c;
}

static void
run(struct load *load, const char *socket, unsigned connections)
{
    struct client *clients[CONNECTIONS_MAX];
    struct epoll_event events[64];
    struct sockspec spec;
    char why[128];
    int n;

    if (!sockspec_parse(socket, &spec, why, sizeof why))
        fail(why);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < connections; i++)
        clients[i] = connect_one(load, &spec);
    load->begin_ns = times_now_ns();
    load->end_ns += load->begin_ns;
    for (unsigned i = 0; i < connections; i++)
        ask(load, clients[i], load->begin_ns);
    while (load->flying > 0) {
        n = epoll_wait(load->epoll, events, 64, PATIENCE_MS);
        if (n == 0)
            fail("no answer for a minute");
        for (int i = 0; i < n; i++)
            serve(load, events[i].data.ptr);
    }
    for (unsigned i = 0; i < connections; i++) {
        close(clients[i]->fd);
        free(clients[i]);
    }
}

static unsigned
number(const char *text, unsigned max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*end != '\0' || n > max)
        fail("a number is wrong or too high");
    return (unsigned)n;
}

int
main(int argc, char **argv)
{
    static struct load load;
    unsigned first = 0, connections, hang_every = 0;
    double seconds;
    bool once;

    if (argc < 7)
        fail("usage: see the head of tests/bench/load.c");
    once = strcmp(argv[2], "once") == 0;
    if (once) {
        first = number(argv[3], 999999999);
        load.exchange_count = number(argv[4], 10000000);
        hang_every = argc > 7 ? number(argv[7], 10000000) : 0;
        load.asked_max = load.exchange_count;
        load.end_ns = INT64_MAX / 2;
    } else {
        load.exchange_count = number(argv[3], 10000000);
        load.end_ns = (int64_t)(strtod(argv[6], NULL) * 1e9);
        load.asked_max = argc > 7 ? number(argv[7], 1000000000) : UINT64_MAX;
    }
    connections = number(argv[once ? 5 : 4], CONNECTIONS_MAX);
    load.depth = number(argv[once ? 6 : 5], DEPTH_MAX);
    load.exchanges = alloc_zero(load.exchange_count, sizeof *load.exchanges);
    for (unsigned i = 0; i < load.exchange_count; i++) {
        bool hangs = hang_every > 0 && i % hang_every == 0;
        enum names_kind kind = once ? NAMES_POLICY : (enum names_kind)argv[2][0];
        prepare(&load.exchanges[i], hangs ? NAMES_HANGING : kind, first + i);
    }
    run(&load, argv[1], connections);
    seconds = (double)(times_now_ns() - load.begin_ns) / 1e9;
    printf("%llu %.6f %.0f %.1f %.1f %.1f %.3f\n", (unsigned long long)load.answers, seconds,
           (double)load.answers / seconds, times_percentile(&load.times, 50),
           times_percentile(&load.times, 99), times_percentile(&load.times, 100),
           (double)(load.last_good_ns - load.begin_ns) / 1e9);
    free(load.exchanges);
    return 0;
}
