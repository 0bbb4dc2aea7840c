#include "cached/fetch_line.h"

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256 };

TAILQ_HEAD(peer_list, fetch_peer);
TAILQ_HEAD(ticket_list, fetch_ticket);

/* An address that somebody runs or waits for. */
struct fetch_peer {
    TAILQ_ENTRY(fetch_peer) in_bucket, in_turn;
    uint8_t key[sizeof(struct in6_addr)];
    struct ticket_list waiting;
    size_t running;
    bool has_turn; /* stands in `turns`: somebody waits and one more may run */
    struct peer_list *bucket;
};

struct fetch_line {
    size_t max_running, max_per_address, running;
    struct peer_list turns;
    struct peer_list buckets[BUCKETS];
};

struct fetch_line *
fetch_line_new(size_t max_running, size_t max_per_address)
{
    struct fetch_line *line = alloc_zero(1, sizeof(*line));

    line->max_running = max_running;
    line->max_per_address = max_per_address;
    TAILQ_INIT(&line->turns);
    for (size_t i = 0; i < BUCKETS; i++)
        TAILQ_INIT(&line->buckets[i]);
    return line;
}

void
fetch_line_free(struct fetch_line *line)
{
    free(line);
}

/* IPv4 as v4-mapped, so that one key serves both families. */
static void
make_key(const struct sockaddr_storage *address, uint8_t key[sizeof(struct in6_addr)])
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memset(key, 0, sizeof(struct in6_addr));
    if (address->ss_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        memcpy(key, &v6.sin6_addr, sizeof(v6.sin6_addr));
    } else {
        memcpy(&v4, address, sizeof(v4));
        memset(key + 10, 0xff, 2);
        memcpy(key + 12, &v4.sin_addr, sizeof(v4.sin_addr));
    }
}

static struct fetch_peer *
want_peer(struct fetch_line *line, const struct sockaddr_storage *address)
{
    uint8_t key[sizeof(struct in6_addr)];
    struct peer_list *bucket;
    struct fetch_peer *peer;
    uint32_t hash = 2166136261u;

    make_key(address, key);
    for (size_t i = 0; i < sizeof(key); i++)
        hash = (hash ^ key[i]) * 16777619u;
    bucket = &line->buckets[(hash ^ hash >> 16) % BUCKETS];
    TAILQ_FOREACH(peer, bucket, in_bucket)
    if (memcmp(peer->key, key, sizeof(key)) == 0)
        return peer;
    peer = alloc_zero(1, sizeof(*peer));
    memcpy(peer->key, key, sizeof(key));
    TAILQ_INIT(&peer->waiting);
    peer->bucket = bucket;
    TAILQ_INSERT_TAIL(bucket, peer, in_bucket);
    return peer;
}

/* Puts the peer into `turns` or takes it out, as its numbers say; frees it when nobody is left. */
static void
settle(struct fetch_line *line, struct fetch_peer *peer)
{
    bool may = !TAILQ_EMPTY(&peer->waiting) && peer->running < line->max_per_address;

    if (may && !peer->has_turn)
        TAILQ_INSERT_TAIL(&line->turns, peer, in_turn);
    else if (!may && peer->has_turn)
        TAILQ_REMOVE(&line->turns, peer, in_turn);
    peer->has_turn = may;
    if (TAILQ_EMPTY(&peer->waiting) && peer->running == 0) {
        TAILQ_REMOVE(peer->bucket, peer, in_bucket);
        free(peer);
    }
}

void
fetch_line_join(struct fetch_line *line, struct fetch_ticket *ticket,
                const struct sockaddr_storage *address)
{
    ticket->peer = want_peer(line, address);
    ticket->running = false;
    TAILQ_INSERT_TAIL(&ticket->peer->waiting, ticket, next);
    settle(line, ticket->peer);
}

struct fetch_ticket *
fetch_line_next(struct fetch_line *line)
{
    struct fetch_peer *peer = TAILQ_FIRST(&line->turns);
    struct fetch_ticket *ticket;

    if (peer == NULL || line->running >= line->max_running)
        return NULL;
    ticket = TAILQ_FIRST(&peer->waiting);
    TAILQ_REMOVE(&peer->waiting, ticket, next);
    ticket->running = true;
    peer->running++;
    line->running++;
    TAILQ_REMOVE(&line->turns, peer, in_turn); /* to the end of the turns, if it may go on */
    peer->has_turn = false;
    settle(line, peer);
    return ticket;
}

void
fetch_line_leave(struct fetch_line *line, struct fetch_ticket *ticket)
{
    struct fetch_peer *peer = ticket->peer;

    if (peer == NULL)
        return;
    if (ticket->running) {
        peer->running--;
        line->running--;
    } else {
        TAILQ_REMOVE(&peer->waiting, ticket, next);
    }
    ticket->peer = NULL;
    settle(line, peer);
}
