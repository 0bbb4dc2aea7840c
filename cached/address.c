#include "cached/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/scan.h"

enum { V4_BITS = 32, V6_BITS = 128, ITEM_SIZE = INET6_ADDRSTRLEN };

/* A network of either family; IPv4 uses the first 4 bytes. */
struct network {
    int bits; /* of the prefix */
    bool is_v4;
    uint8_t bytes[16];
};

struct address_list {
    size_t count;
    struct network networks[];
};

/* IANA IPv4 Special-Purpose Address Registry, multicast (RFC 5771) and the old class E. Anycast
 * services that are globally reachable (192.31.196.0/24, 192.52.193.0/24, 192.175.48.0/24) are in
 * too: no policy host lives there. */
static const struct network special_v4[] = {
    {8, true, {0}},             /* this network */
    {8, true, {10}},            /* private */
    {10, true, {100, 64}},      /* shared: carrier-grade NAT */
    {8, true, {127}},           /* loopback */
    {16, true, {169, 254}},     /* link local, cloud metadata */
    {12, true, {172, 16}},      /* private */
    {24, true, {192, 0, 0}},    /* IETF protocol assignments */
    {24, true, {192, 0, 2}},    /* documentation */
    {24, true, {192, 31, 196}}, /* AS112 */
    {24, true, {192, 52, 193}}, /* AMT */
    {24, true, {192, 88, 99}},  /* 6to4 relays */
    {16, true, {192, 168}},     /* private */
    {24, true, {192, 175, 48}}, /* AS112 */
    {15, true, {198, 18}},      /* benchmarks */
    {24, true, {198, 51, 100}}, /* documentation */
    {24, true, {203, 0, 113}},  /* documentation */
    {4, true, {224}},           /* multicast */
    {4, true, {240}},           /* reserved, limited broadcast */
};

/* IANA IPv6 Special-Purpose Address Registry, multicast, and what old RFCs took out of use. */
static const struct network special_v6[] = {
    {96, false, {0}},                                        /* ::, ::1, IPv4-compatible */
    {96, false, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}}, /* IPv4-translated (SIIT) */
    {48, false, {0, 0x64, 0xff, 0x9b, 0, 1}},                /* local NAT64 */
    {64, false, {1}},                                        /* discard only */
    {64, false, {1, 0, 0, 0, 0, 0, 0, 1}},                   /* dummy prefix (RFC 9780) */
    {23, false, {0x20, 0x01}},                               /* IETF protocol assignments, Teredo */
    {32, false, {0x20, 0x01, 0x0d, 0xb8}},                   /* documentation */
    {48, false, {0x26, 0x20, 0, 0x4f, 0x80}},                /* AS112 */
    {20, false, {0x3f, 0xff}},                               /* documentation */
    {16, false, {0x5f}},                                     /* segment routing SIDs */
    {7, false, {0xfc}},                                      /* unique local */
    {10, false, {0xfe, 0x80}},                               /* link local */
    {10, false, {0xfe, 0xc0}},                               /* site local, deprecated */
    {8, false, {0xff}},                                      /* multicast */
};

/* IPv6 networks whose addresses carry an IPv4 address, and at which byte. */
static const struct carrier {
    struct network network;
    size_t offset;
} carriers[] = {
    {{96, false, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, 12}, /* IPv4-mapped */
    {{96, false, {0, 0x64, 0xff, 0x9b}}, 12},                      /* NAT64 */
    {{16, false, {0x20, 0x02}}, 2},                                /* 6to4 */
};

static bool
network_parse(const char *text, struct network *out)
{
    char address[ITEM_SIZE];
    struct scan s = scan_bytes(text, strlen(text));
    struct span host = scan_until(&s, '/');
    uint64_t bits;

    if (host.len >= sizeof(address))
        return false;
    memcpy(address, host.at, host.len);
    address[host.len] = '\0';
    *out = (struct network){.is_v4 = strchr(address, ':') == NULL};
    if (inet_pton(out->is_v4 ? AF_INET : AF_INET6, address, out->bytes) != 1)
        return false;
    out->bits = out->is_v4 ? V4_BITS : V6_BITS;
    if (scan_is_done(&s))
        return true;
    if (!scan_char(&s, '/') || !scan_number(&s, 3, &bits) || !scan_is_done(&s) ||
        bits > (uint64_t)out->bits)
        return false;
    out->bits = (int)bits;
    return true;
}

struct address_list *
address_list_new(char *const *items, size_t count, size_t *bad)
{
    struct address_list *list = alloc_zero(1, sizeof(*list) + count * sizeof(*list->networks));

    for (list->count = 0; list->count < count; list->count++) {
        if (!network_parse(items[list->count], &list->networks[list->count])) {
            *bad = list->count;
            free(list);
            return NULL;
        }
    }
    return list;
}

void
address_list_free(struct address_list *list)
{
    free(list);
}

static bool
network_has(const struct network *network, const uint8_t *bytes)
{
    size_t whole = (size_t)network->bits / 8;
    int rest = network->bits % 8;

    return memcmp(network->bytes, bytes, whole) == 0 &&
           (rest == 0 || (network->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0);
}

static bool
is_among(const struct network *networks, size_t count, bool is_v4, const uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++) {
        if (networks[i].is_v4 == is_v4 && network_has(&networks[i], bytes))
            return true;
    }
    return false;
}

static bool
is_allowed(const struct address_list *allowed, bool is_v4, const uint8_t *bytes)
{
    return allowed != NULL && is_among(allowed->networks, allowed->count, is_v4, bytes);
}

static bool
may_connect_v4(const uint8_t *bytes, const struct address_list *allowed)
{
    return is_allowed(allowed, true, bytes) ||
           !is_among(special_v4, sizeof(special_v4) / sizeof(*special_v4), true, bytes);
}

static bool
may_connect_v6(const uint8_t *bytes, const struct address_list *allowed)
{
    if (is_allowed(allowed, false, bytes))
        return true;
    for (size_t i = 0; i < sizeof(carriers) / sizeof(*carriers); i++) {
        if (network_has(&carriers[i].network, bytes))
            return may_connect_v4(bytes + carriers[i].offset, allowed);
    }
    return !is_among(special_v6, sizeof(special_v6) / sizeof(*special_v6), false, bytes);
}

bool
address_may_connect(const struct sockaddr *address, const struct address_list *allowed)
{
    const void *storage = address;

    if (address->sa_family == AF_INET)
        return may_connect_v4((const uint8_t *)&((const struct sockaddr_in *)storage)->sin_addr,
                              allowed);
    if (address->sa_family == AF_INET6)
        return may_connect_v6(((const struct sockaddr_in6 *)storage)->sin6_addr.s6_addr, allowed);
    return false;
}
