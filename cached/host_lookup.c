#include "cached/host_lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/dns.h"

enum { V6, V4, FAMILIES };

/* One family's look-up; `lookup` is NULL once it has answered. */
struct half {
    struct host_lookup *whole;
    struct dns_lookup *lookup;
    enum sts_error error;
    bool secure;
    char why[DNS_WHY_SIZE];
    uint32_t ttl_s;
    char end[DNS_HOST_SIZE];
    struct sockaddr_storage addresses[HOST_ADDRESSES_MAX];
    size_t count;
};

struct host_lookup {
    struct half halves[FAMILIES];
    struct sockaddr_storage addresses[FAMILIES * HOST_ADDRESSES_MAX];
    host_lookup_done_fn *done;
    void *arg;
};

static size_t
interleave(struct host_lookup *l)
{
    size_t count = 0;

    for (size_t i = 0; i < HOST_ADDRESSES_MAX; i++)
        for (const struct half *half = l->halves; half < l->halves + FAMILIES; half++)
            if (i < half->count)
                l->addresses[count++] = half->addresses[i];
    return count;
}

static uint32_t
smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void
finish(struct host_lookup *l)
{
    const struct half *v6 = &l->halves[V6], *v4 = &l->halves[V4];
    struct host_answer answer = {.why = "",
                                 .end = (v6->count ? v6 : v4)->end,
                                 .addresses = l->addresses,
                                 .count = interleave(l)};

    answer.ttl_s = v6->count == v4->count || (v6->count && v4->count)
                       ? smaller(v6->ttl_s, v4->ttl_s)
                       : (v6->count ? v6 : v4)->ttl_s;
    answer.secure = (v6->secure || (answer.count > 0 && v6->count == 0)) &&
                    (v4->secure || (answer.count > 0 && v4->count == 0));
    if (answer.count > 0) {
        answer.error = STS_OK;
    } else if (sts_error_is_dns(v6->error) || sts_error_is_dns(v4->error)) {
        const struct half *failed = sts_error_is_dns(v4->error) ? v4 : v6;
        answer.error = failed->error;
        answer.why = failed->why;
    } else {
        answer.error = STS_NO_RECORD;
    }
    l->done(&answer, l->arg);
    free(l);
}

static void
on_answer(const struct dns_answer *answer, void *arg)
{
    struct half *half = arg;

    half->lookup = NULL;
    half->error = answer->error;
    half->secure = answer->secure;
    snprintf(half->why, sizeof half->why, "%s", answer->why);
    half->ttl_s = answer->ttl_s;
    memcpy(half->end, answer->end, sizeof half->end);
    if (answer->error == STS_OK)
        for (size_t i = 0; i < answer->count && half->count < HOST_ADDRESSES_MAX; i++)
            half->addresses[half->count++] = answer->records[i].address;
    if (half->whole->halves[V6].lookup == NULL && half->whole->halves[V4].lookup == NULL)
        finish(half->whole);
}

struct host_lookup *
host_lookup_start(struct dns *dns, const char *name, host_lookup_done_fn *done, void *arg)
{
    static const enum dns_type types[FAMILIES] = {[V6] = DNS_AAAA, [V4] = DNS_A};
    struct host_lookup *l = alloc_zero(1, sizeof(*l));

    l->done = done;
    l->arg = arg;
    for (size_t i = 0; i < FAMILIES; i++) {
        l->halves[i].whole = l;
        l->halves[i].lookup = dns_lookup_start(dns, name, types[i], on_answer, &l->halves[i]);
    }
    return l;
}

void
host_lookup_cancel(struct host_lookup *l)
{
    for (size_t i = 0; i < FAMILIES; i++)
        if (l->halves[i].lookup != NULL)
            dns_lookup_cancel(l->halves[i].lookup);
    free(l);
}
