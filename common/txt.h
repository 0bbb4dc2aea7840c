/* txt - the MTA-STS TXT record (RFC 8461 s3.1; requirements A and ambiguities 1-7). Pure. */
#ifndef STS_COMMON_TXT_H
#define STS_COMMON_TXT_H

#include <stddef.h>

#include "common/error.h"
#include "common/scan.h"

/* 32 bytes of id and the NUL. */
enum { TXT_ID_SIZE = 33 };

/* Reads the TXT records found at _mta-sts.<domain>; each span is one record whose strings were
 * joined with nothing between. Drops those that do not begin with "v=STSv1;" (one lone record may
 * have blanks before the ';'), then wants exactly one.
 * Returns STS_OK and the id, or STS_NO_RECORD, STS_SEVERAL_RECORDS, STS_BAD_RECORD; in these
 * cases `id` is "". */
enum sts_error txt_parse(const struct span *records, size_t count, char id[TXT_ID_SIZE]);
/* Of records that txt_parse calls STS_BAD_RECORD, what is wrong, for people; else NULL. */
const char *txt_fault(const struct span *records, size_t count);

#endif
