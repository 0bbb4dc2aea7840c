#include "cached/fetch_line.h"

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256, KEY_SIZE = sizeof(struct in6_addr), V4_AT = 12 };
enum { NETWORK_BYTES = 56 / 8, V4_NETWORK_BYTES = V4_AT + 24 / 8 };

TAILQ_HEAD(network_list, fetch_network);
TAILQ_HEAD(peer_list, fetch_peer);
TAILQ_HEAD(ticket_list, fetch_ticket);

/* A network with an address that somebody runs or waits for. */
struct fetch_network {
    TAILQ_ENTRY(fetch_network) in_bucket, in_turn;
    uint8_t key[KEY_SIZE]; /* an address, but for the network's bytes all zero */
    struct peer_list turns;
    size_t peers, running;
    bool has_turn; /* stands in the line's `turns`: one of its own may run, and one more of it */
    struct network_list *bucket;
};

/* An address that somebody runs or waits for. */
struct fetch_peer {
    TAILQ_ENTRY(fetch_peer) in_bucket, in_turn;
    uint8_t key[KEY_SIZE];
    struct fetch_network *network;
    struct ticket_list waiting;
    size_t running;
    bool has_turn; /* stands in its network's `turns`: somebody waits and one more may run */
    struct peer_list *bucket;
};

struct fetch_line {
    struct fetch_limits limits;
    size_t running;
    struct network_list turns;
    struct network_list networks[BUCKETS];
    struct peer_list peers[BUCKETS];
};

struct fetch_line *
fetch_line_new(const struct fetch_limits *limits)
{
    struct fetch_line *line = alloc_zero(1, sizeof(*line));

    line->limits = *limits;
    TAILQ_INIT(&line->turns);
    for (size_t i = 0; i < BUCKETS; i++) {
        TAILQ_INIT(&line->networks[i]);
        TAILQ_INIT(&line->peers[i]);
    }
    return line;
}

void
fetch_line_free(struct fetch_line *line)
{
    free(line);
}

static const uint8_t v4_mapped[V4_AT] = {[10] = 0xff, [11] = 0xff};

/* IPv4 as v4-mapped, so that one key serves both families. */
static void
make_key(const struct sockaddr_storage *address, uint8_t key[KEY_SIZE])
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address->ss_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        memcpy(key, &v6.sin6_addr, KEY_SIZE);
    } else {
        memcpy(&v4, address, sizeof(v4));
        memcpy(key, v4_mapped, V4_AT);
        memcpy(key + V4_AT, &v4.sin_addr, sizeof(v4.sin_addr));
    }
}

/* All of IPv4 is in one /56 where a gateway makes IPv6 of it. */
static void
make_network_key(const uint8_t address[KEY_SIZE], uint8_t key[KEY_SIZE])
{
    static const uint8_t nat64[V4_AT] = {0, 0x64, 0xff, 0x9b};
    bool is_v4 = memcmp(address, v4_mapped, V4_AT) == 0 || memcmp(address, nat64, V4_AT) == 0;

    memset(key, 0, KEY_SIZE);
    memcpy(key, address, is_v4 ? V4_NETWORK_BYTES : NETWORK_BYTES);
}

static size_t
bucket_of(const uint8_t key[KEY_SIZE])
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < KEY_SIZE; i++)
        hash = (hash ^ key[i]) * 16777619u;
    return (hash ^ hash >> 16) % BUCKETS;
}

static struct fetch_network *
want_network(struct fetch_line *line, const uint8_t address[KEY_SIZE])
{
    uint8_t key[KEY_SIZE];
    struct network_list *bucket;
    struct fetch_network *network;

    make_network_key(address, key);
    bucket = &line->networks[bucket_of(key)];
    TAILQ_FOREACH(network, bucket, in_bucket)
    if (memcmp(network->key, key, KEY_SIZE) == 0)
        return network;
    network = alloc_zero(1, sizeof(*network));
    memcpy(network->key, key, KEY_SIZE);
    TAILQ_INIT(&network->turns);
    network->bucket = bucket;
    TAILQ_INSERT_TAIL(bucket, network, in_bucket);
    return network;
}

static struct fetch_peer *
want_peer(struct fetch_line *line, const struct sockaddr_storage *address)
{
    uint8_t key[KEY_SIZE];
    struct peer_list *bucket;
    struct fetch_peer *peer;

    make_key(address, key);
    bucket = &line->peers[bucket_of(key)];
    TAILQ_FOREACH(peer, bucket, in_bucket)
    if (memcmp(peer->key, key, KEY_SIZE) == 0)
        return peer;
    peer = alloc_zero(1, sizeof(*peer));
    memcpy(peer->key, key, KEY_SIZE);
    TAILQ_INIT(&peer->waiting);
    peer->network = want_network(line, key);
    peer->network->peers++;
    peer->bucket = bucket;
    TAILQ_INSERT_TAIL(bucket, peer, in_bucket);
    return peer;
}

static void
settle_network(struct fetch_line *line, struct fetch_network *network)
{
    bool may = !TAILQ_EMPTY(&network->turns) && network->running < line->limits.per_network;

    if (may && !network->has_turn)
        TAILQ_INSERT_TAIL(&line->turns, network, in_turn);
    else if (!may && network->has_turn)
        TAILQ_REMOVE(&line->turns, network, in_turn);
    network->has_turn = may;
    if (network->peers == 0) {
        TAILQ_REMOVE(network->bucket, network, in_bucket);
        free(network);
    }
}

/* Puts the peer and its network into their `turns` or takes them out, as their numbers say; frees
 * them when nobody is left. */
static void
settle(struct fetch_line *line, struct fetch_peer *peer)
{
    struct fetch_network *network = peer->network;
    bool may = !TAILQ_EMPTY(&peer->waiting) && peer->running < line->limits.per_address;

    if (may && !peer->has_turn)
        TAILQ_INSERT_TAIL(&network->turns, peer, in_turn);
    else if (!may && peer->has_turn)
        TAILQ_REMOVE(&network->turns, peer, in_turn);
    peer->has_turn = may;
    if (TAILQ_EMPTY(&peer->waiting) && peer->running == 0) {
        TAILQ_REMOVE(peer->bucket, peer, in_bucket);
        network->peers--;
        free(peer);
    }
    settle_network(line, network);
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

/* Those whose turn it was go to the end of the turns, if they may go on. */
static void
end_turn(struct fetch_line *line, struct fetch_peer *peer)
{
    struct fetch_network *network = peer->network;

    TAILQ_REMOVE(&line->turns, network, in_turn);
    network->has_turn = false;
    TAILQ_REMOVE(&network->turns, peer, in_turn);
    peer->has_turn = false;
    settle(line, peer);
}

struct fetch_ticket *
fetch_line_next(struct fetch_line *line)
{
    struct fetch_network *network = TAILQ_FIRST(&line->turns);
    struct fetch_peer *peer;
    struct fetch_ticket *ticket;

    if (network == NULL || line->running >= line->limits.in_all)
        return NULL;
    peer = TAILQ_FIRST(&network->turns);
    ticket = TAILQ_FIRST(&peer->waiting);
    TAILQ_REMOVE(&peer->waiting, ticket, next);
    ticket->running = true;
    peer->running++;
    network->running++;
    line->running++;
    end_turn(line, peer);
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
        peer->network->running--;
        line->running--;
    } else {
        TAILQ_REMOVE(&peer->waiting, ticket, next);
    }
    ticket->peer = NULL;
    settle(line, peer);
}
