/* mta_host - what this host tells of its MTAs and of sts-milter: folders, postconf, settings. */
#ifndef STS_CACHED_MTA_HOST_H
#define STS_CACHED_MTA_HOST_H

#include "cached/mta_config.h"

/* All programs together get this long. */
enum { MTA_HOST_TIMEOUT_MS = 5000 };

/* Where sts-milter listens unless it is told otherwise: the default of `socket` in its file. */
#define MTA_HOST_MILTER "unix:/run/sts-milter/milter.sock"

/* True when no folder on the way to `path` can be written to by group or others, as Sendmail wants
 * it; one that is not there yet (/run/sts-milter before the first start) is taken to be made as it
 * should. False too when that cannot be seen. */
bool mta_host_is_safe_path(const char *path);
/* Asks postconf; what it does not tell in time and in form stays empty. */
void mta_host_read_postfix(struct mta_postfix *);
/* Sets milter_socket and milter_is_wall by `sts-milter --print-config`; without that program, or
 * when its file is faulty, by its defaults. */
void mta_host_read_milter(struct mta_facts *);

#endif
