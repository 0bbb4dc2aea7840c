/* settings_redis - what must hold of the options of the redis section together, and of the files
 * that they name: what no row of the table of settings can say by itself. */
#ifndef STS_CACHED_SETTINGS_REDIS_H
#define STS_CACHED_SETTINGS_REDIS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/alloc.h"

struct settings;

enum { SETTINGS_PREFIX_MAX = 64 };

/* False: `*option` is the name of the option at fault (a literal), `why` what is wrong with it. The
 * files are looked at only where a server or sentinels are given; the key file is read as
 * farm_key_read does. TLS options that nothing uses are a logged warning. */
MUST_CHECK bool settings_redis_check(const struct settings *, const char **option, char *why,
                                     size_t size);

#endif
