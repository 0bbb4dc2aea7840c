/* Input: a key as an MTA sends it: domain, address, next hop or a list of them. */
#include <string.h>

#include "common/domain.h"
#include "common/nexthop.h"
#include "tests/fuzz/fuzz.h"

static void
check_name(const char *key, size_t len)
{
    char name[DOMAIN_SIZE], again[DOMAIN_SIZE];
    struct nexthop hop;

    memset(name, 'x', sizeof name);
    if (!domain_normalise(key, len, name)) {
        REQUIRE(name[0] == '\0');
        return;
    }
    REQUIRE(memchr(name, '\0', sizeof name) != NULL);
    REQUIRE(domain_is_normal(name));
    REQUIRE(domain_normalise(name, strlen(name), again) && strcmp(name, again) == 0);
    nexthop_parse(key, len, &hop);
    REQUIRE(hop.kind == NEXTHOP_DOMAIN && strcmp(hop.domain, name) == 0);
}

static void
check_mx_host(const char *key, size_t len)
{
    char host[DOMAIN_SIZE], again[DOMAIN_SIZE], name[DOMAIN_SIZE];

    memset(host, 'x', sizeof host);
    if (!domain_fold_mx_host(key, len, host)) {
        REQUIRE(host[0] == '\0' && !domain_normalise(key, len, name));
        return;
    }
    REQUIRE(memchr(host, '\0', sizeof host) != NULL);
    REQUIRE(host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] == '\0');
    REQUIRE(domain_fold_mx_host(host, strlen(host), again) && strcmp(host, again) == 0);
    if (domain_normalise(key, len, name))
        REQUIRE(strcmp(host, name) == 0);
}

static void
check_hop(const struct nexthop *hop)
{
    if (hop->kind == NEXTHOP_DOMAIN || hop->kind == NEXTHOP_HOST)
        REQUIRE(domain_is_normal(hop->domain));
    else
        REQUIRE(hop->domain[0] == '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *key = (const char *)data;
    struct nexthop hops[NEXTHOP_MAX], hop;
    size_t count = nexthop_parse_list(key, size, hops);

    nexthop_parse(key, size, &hop);
    check_name(key, size);
    check_mx_host(key, size);
    check_hop(&hop);
    REQUIRE(count <= NEXTHOP_MAX);
    for (size_t i = 0; i < count; i++)
        check_hop(&hops[i]);
    return 0;
}
