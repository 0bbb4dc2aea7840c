/* check_record - judges the two TXT records of a domain for a check: what its MTA-STS record
 * (RFC 8461 s3.1) and its TLSRPT record (RFC 8460 s3) say, and what is wrong with them. Pure. */
#ifndef STS_CACHED_CHECK_RECORD_H
#define STS_CACHED_CHECK_RECORD_H

#include "cached/check_report.h"
#include "cached/source.h"

/* The result of source_txt; sets the report's id. */
void check_record_txt(struct check_report *, const struct txt_result *);
/* The result of source_tlsrpt. */
void check_record_tlsrpt(struct check_report *, const struct txt_result *);

#endif
