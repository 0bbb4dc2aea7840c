#include "milter/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/scan.h"

static const unsigned char mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
enum { MAPPED_BITS = 96 };

/* Parses an address into its 16-byte form; returns how many bits of it are prefix, -1 for none. */
static int
parse_address(const char *text, unsigned char out[16])
{
    memcpy(out, mapped_prefix, sizeof mapped_prefix);
    if (inet_pton(AF_INET, text, out + sizeof mapped_prefix) == 1)
        return MAPPED_BITS;
    return inet_pton(AF_INET6, text, out) == 1 ? 0 : -1;
}

static bool
agree(const unsigned char *a, const unsigned char *b, int bits)
{
    size_t whole = (size_t)bits / 8;
    unsigned char mask = (unsigned char)(0xff00 >> bits % 8);

    if (memcmp(a, b, whole) != 0)
        return false;
    return bits % 8 == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

static bool
has_host_bits(const struct network *net)
{
    static const unsigned char zero[16];
    unsigned char rest[16];

    memcpy(rest, net->address, sizeof rest);
    for (int bit = 0; bit < net->bits; bit++)
        rest[bit / 8] &= (unsigned char)~(0x80 >> bit % 8);
    return memcmp(rest, zero, sizeof rest) != 0;
}

/* As network_parse, whatever bits are set. */
static bool
parse(const char *text, struct network *out)
{
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    char address[INET6_ADDRSTRLEN];
    uint64_t bits;
    int first;

    if (len >= sizeof address)
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    first = parse_address(address, out->address);
    if (first < 0)
        return false;
    out->bits = 128;
    if (slash) {
        struct scan s = scan_bytes(slash + 1, strlen(slash + 1));
        if (!scan_number(&s, 3, &bits) || !scan_is_done(&s) || bits > 128 - (uint64_t)first)
            return false;
        out->bits = first + (int)bits;
    }
    return true;
}

bool
network_parse(const char *text, struct network *out)
{
    return parse(text, out) && !has_host_bits(out);
}

const char *
network_fault(const char *text)
{
    static __thread char why[48];
    struct network net;

    if (!parse(text, &net))
        return "not an address or a network (address/bits)";
    if (!has_host_bits(&net))
        return NULL;
    snprintf(why, sizeof why, "bits are set behind %s", strchr(text, '/'));
    return why;
}

bool
network_holds(const struct network *net, const struct sockaddr *client)
{
    unsigned char address[16];

    if (client->sa_family == AF_INET) {
        const struct sockaddr_in *sin = (const void *)client;
        memcpy(address, mapped_prefix, sizeof mapped_prefix);
        memcpy(address + sizeof mapped_prefix, &sin->sin_addr, 4);
    } else if (client->sa_family == AF_INET6) {
        const struct sockaddr_in6 *sin6 = (const void *)client;
        memcpy(address, &sin6->sin6_addr, sizeof address);
    } else {
        return false;
    }
    return agree(net->address, address, net->bits);
}
