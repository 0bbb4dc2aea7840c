/* address - which addresses a policy host may have.
 * A domain owner chooses the names that we connect to; nobody outside may use us to reach inside.
 * All special-purpose addresses (IANA registries for IPv4 and IPv6; also IPv4 inside v4-mapped,
 * NAT64 and 6to4) are refused unless the operator allows them. Pure. */
#ifndef STS_CACHED_ADDRESS_H
#define STS_CACHED_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "common/alloc.h"

struct address_list;

/* Parses "192.0.2.0/24", "2001:db8::/32", single addresses; bits behind the prefix are ignored. An
 * IPv4 network also allows its addresses as IPv6 carries them (v4-mapped, NAT64, 6to4). NULL: `bad`
 * is the index of the first that cannot be read. */
MUST_CHECK struct address_list *address_list_new(char *const *items, size_t count, size_t *bad);
void address_list_free(struct address_list *);

/* True when we may connect: globally reachable, or in `allowed` (may be NULL). */
bool address_may_connect(const struct sockaddr *, const struct address_list *allowed);

#endif
