/* dns_servers - which DNS servers to ask, and in which order.
 * They come from the settings, or from a resolv.conf that is looked at again once a second at most
 * and read again when it has changed. A server that was silent goes to the end of the order for a
 * while: with one dead server of two, most look-ups then pay nothing for it. */
#ifndef STS_CACHED_DNS_SERVERS_H
#define STS_CACHED_DNS_SERVERS_H

#include <stddef.h>

#include "cached/settings.h"
#include "common/sockspec.h"

struct dns_servers;

enum {
    DNS_SERVERS_MAX = SETTINGS_DNS_SERVERS_MAX,
    DNS_SERVERS_RESOLV_MAX = 3,   /* of resolv.conf, as everyone does (MAXNS) */
    DNS_SERVERS_STAT_MS = 1000,   /* between two looks at resolv.conf */
    DNS_SERVERS_SILENT_MS = 30000 /* how long a silent server stays at the end */
};

/* `listed` (copied): socket specifications, inet or inet6; when there are none, the file
 * `resolv_conf` (copied) decides, and 127.0.0.1 when that names none, with a warning. NULL: `why`
 * names the item that cannot be used. */
MUST_CHECK struct dns_servers *dns_servers_new(const struct conf_list *listed,
                                               const char *resolv_conf, char *why, size_t size);
void dns_servers_free(struct dns_servers *);

/* Copies the servers into `out` in the order to try them; returns how many, at least 1. */
size_t dns_servers_order(struct dns_servers *, struct sockspec out[DNS_SERVERS_MAX]);
/* This server gave no answer. */
void dns_servers_silent(struct dns_servers *, const struct sockspec *);

#endif
