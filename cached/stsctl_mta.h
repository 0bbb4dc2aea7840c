/* stsctl_mta - `stsctl mta-config`: from the daemon's settings and this host's MTA to lines. */
#ifndef STS_CACHED_STSCTL_MTA_H
#define STS_CACHED_STSCTL_MTA_H

#include <stdbool.h>

#include "cached/mta_config.h"

struct json_t; /* of jansson */

/* Prints the lines for `mta` (or JSON), warnings on stderr. `config`: the daemon's reply to the
 * command `config`. `milter`: where sts-milter listens, "none", or NULL to find that out. Returns
 * the exit status. */
int stsctl_mta_config(enum mta, const struct json_t *config, const char *milter, bool json);

#endif
