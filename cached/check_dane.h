/* check_dane - judges for a check what DANE says of a domain's MX hosts (RFC 7672). Pure. */
#ifndef STS_CACHED_CHECK_DANE_H
#define STS_CACHED_CHECK_DANE_H

#include "cached/check_report.h"
#include "cached/source.h"

/* The result of source_mx, asked with DANE where `trusted` (the resolver's word on DNSSEC counts):
 * one line when there is nothing to say of the hosts, else one for each. */
void check_dane(struct check_report *, const struct mx_result *, bool trusted);

#endif
