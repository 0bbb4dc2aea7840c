/* network - an address or a block of addresses of SMTP clients: 192.0.2.1, 192.0.2.0/24,
 * 2001:db8::/32. IPv4 clients that come as ::ffff:a.b.c.d count as IPv4. Pure. */
#ifndef STS_MILTER_NETWORK_H
#define STS_MILTER_NETWORK_H

#include <stdbool.h>
#include <sys/socket.h>

/* Both families as 16 bytes, IPv4 in its mapped form. */
struct network {
    unsigned char address[16];
    int bits; /* of the 128 that must agree */
};

/* NULL when network_parse takes it, else what is wrong, good until the next call of this thread:
 * "bits are set behind /24". */
const char *network_fault(const char *text);
/* False when `text` is neither an address nor address/bits, or bits beyond the prefix are set. */
bool network_parse(const char *text, struct network *out);
/* False as well when `client` is neither IPv4 nor IPv6. */
bool network_holds(const struct network *, const struct sockaddr *client);

#endif
