/* check_mx - judges a domain's MX hosts for a check: against the patterns of its policy (RFC 8461
 * s4.1), and the TLS that each offers (s4.2). Pure. */
#ifndef STS_CACHED_CHECK_MX_H
#define STS_CACHED_CHECK_MX_H

#include "cached/check_report.h"
#include "cached/source.h"

/* The result of source_mx against `policy` (NULL: there is none): a line for the set, one for each
 * host, one for each pattern that no host answers to. */
void check_mx_set(struct check_report *, const struct policy *policy, const struct mx_result *);

enum { CHECK_EXPIRY_S = 14 * 86400 }; /* a certificate that ends sooner is warned of */

/* The result of source_probe of one MX host. A host that the policy does not list is judged there,
 * and its TLS holds no mail back. */
void check_mx_tls(struct check_report *, const struct policy *policy, const char *host,
                  const struct probe_result *);

#endif
