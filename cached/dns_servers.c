#include "cached/dns_servers.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"

enum { WHY_SIZE = 256 };

struct server {
    struct sockspec at;
    int64_t silent_until_ms; /* 0: it answers */
};

struct dns_servers {
    struct server list[DNS_SERVERS_MAX];
    size_t count;
    char *resolv_conf; /* NULL when the settings name servers */
    struct stat seen;
    int64_t next_look_ms;
};

static bool
add_listed(struct dns_servers *servers, const char *spec, char *why, size_t size)
{
    struct server server = {0};
    char fault[WHY_SIZE] = "";

    if (servers->count == DNS_SERVERS_MAX) {
        snprintf(why, size, "more than %d DNS servers", DNS_SERVERS_MAX);
        return false;
    }
    if (!sockspec_parse(spec, &server.at, fault, sizeof(fault))) {
        snprintf(why, size, "DNS server \"%s\": %s", spec, fault);
        return false;
    }
    if (sockspec_is_unix(&server.at)) {
        snprintf(why, size, "DNS server \"%s\": not an inet or inet6 address", spec);
        return false;
    }
    servers->list[servers->count++] = server;
    return true;
}

/* getaddrinfo and not inet_pton: it knows the scope of a link-local address (fe80::1%eth0). With a
 * numeric host it looks nothing up. */
static void
add_address(struct dns_servers *servers, const char *host)
{
    static const struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                            .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    struct server server = {0};

    if (servers->count == DNS_SERVERS_RESOLV_MAX || getaddrinfo(host, "53", &numeric, &found) != 0)
        return;
    memcpy(&server.at.addr, found->ai_addr, found->ai_addrlen);
    server.at.len = found->ai_addrlen;
    servers->list[servers->count++] = server;
    freeaddrinfo(found);
}

static void
read_resolv_conf(struct dns_servers *servers)
{
    FILE *file = fopen(servers->resolv_conf, "re");
    char line[512], host[128];

    servers->count = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "nameserver %127s", host) == 1)
            add_address(servers, host);
    }
    if (file != NULL)
        fclose(file);
    if (servers->count == 0) {
        log_warning("%s names no DNS server: 127.0.0.1 is asked", servers->resolv_conf);
        add_address(servers, "127.0.0.1");
    }
    log_debug("dns: %zu servers in %s", servers->count, servers->resolv_conf);
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A file that is away leaves the servers as they are: it is being replaced. */
static void
look_again(struct dns_servers *servers, int64_t now_ms)
{
    struct stat found;

    if (servers->resolv_conf == NULL || now_ms < servers->next_look_ms)
        return;
    servers->next_look_ms = now_ms + DNS_SERVERS_STAT_MS;
    if (stat(servers->resolv_conf, &found) != 0 || is_same_file(&found, &servers->seen))
        return;
    servers->seen = found;
    read_resolv_conf(servers);
}

struct dns_servers *
dns_servers_new(const struct conf_list *listed, const char *resolv_conf, char *why, size_t size)
{
    struct dns_servers *servers = alloc_zero(1, sizeof(*servers));

    for (size_t i = 0; i < listed->count; i++) {
        if (!add_listed(servers, listed->items[i], why, size)) {
            free(servers);
            return NULL;
        }
    }
    if (listed->count == 0) {
        servers->resolv_conf = alloc_string(resolv_conf);
        look_again(servers, clock_boot_ms());
        if (servers->count == 0)
            read_resolv_conf(servers); /* there is none yet */
    }
    return servers;
}

void
dns_servers_free(struct dns_servers *servers)
{
    if (servers == NULL)
        return;
    free(servers->resolv_conf);
    free(servers);
}

size_t
dns_servers_order(struct dns_servers *servers, struct sockspec out[DNS_SERVERS_MAX])
{
    int64_t now_ms = clock_boot_ms();
    size_t count = 0;

    look_again(servers, now_ms);
    for (int silent = 0; silent <= 1; silent++) {
        for (size_t i = 0; i < servers->count; i++) {
            if ((servers->list[i].silent_until_ms > now_ms) == silent)
                out[count++] = servers->list[i].at;
        }
    }
    return count;
}

void
dns_servers_silent(struct dns_servers *servers, const struct sockspec *which)
{
    for (size_t i = 0; i < servers->count; i++) {
        struct server *server = &servers->list[i];
        if (server->at.len == which->len && memcmp(&server->at.addr, &which->addr, which->len) == 0)
            server->silent_until_ms = clock_boot_ms() + DNS_SERVERS_SILENT_MS;
    }
}
