#include "cached/source_resolver.h"

#include <stdlib.h>

#include "cached/dns.h"
#include "cached/settings.h"
#include "common/log.h"

struct source_resolver {
    struct dns_lookup *lookup; /* NULL: nothing is asked, or it was answered */
};

static void
on_answer(const struct dns_answer *answer, void *arg)
{
    struct source_resolver *r = arg;

    r->lookup = NULL;
    if (sts_error_is_dns(answer->error))
        log_warning("dane: the resolver does not answer for the root (%s), so whether it validates "
                    "DNSSEC is not known",
                    answer->why);
    else if (answer->error != STS_OK || !answer->secure)
        log_warning("dane: the resolver does not validate DNSSEC (no AD bit in its answer for the "
                    "root): DANE is never found, policies alone are judged");
    else
        log_info("dane: the resolver validates DNSSEC");
}

struct source_resolver *
source_resolver_check(struct dns *dns, const struct settings *settings)
{
    struct source_resolver *r = alloc_zero(1, sizeof *r);

    if (settings->dane && !settings->dns.trust_ad)
        log_warning("dane: trust-ad is off in section dns, so no answer counts as DNSSEC-secure: "
                    "DANE is never found, policies alone are judged");
    else if (settings->dane)
        r->lookup = dns_lookup_start(dns, ".", DNS_SOA, on_answer, r);
    return r;
}

void
source_resolver_free(struct source_resolver *r)
{
    if (r == NULL)
        return;
    dns_lookup_cancel(r->lookup);
    free(r);
}
