/* settings_redis - what must hold of the options of the redis section together, and of the files
 * that they name: what no row of the table of settings can say by itself. */
#ifndef STS_CACHED_SETTINGS_REDIS_H
#define STS_CACHED_SETTINGS_REDIS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/alloc.h"

struct settings;

enum { SETTINGS_PREFIX_MAX = 64, SETTINGS_PASSWORD_MAX = 512 };

/* True when a server or sentinels are given: this host is one of a farm. */
bool settings_redis_is_used(const struct settings *);
/* False: `*option` is the name of the option at fault (a literal), `why` what is wrong with it. The
 * files are looked at only where a server or sentinels are given; the key file is read as
 * farm_key_read does, and the password file as below. What nothing uses, TLS options without `tls`
 * or a section without a server, is a logged warning. */
MUST_CHECK bool settings_redis_check(const struct settings *, const char **option, char *why,
                                     size_t size);

/* The first line of the file, a new string, to be overwritten before it is freed; 1 to
 * SETTINGS_PASSWORD_MAX bytes. NULL: `why` names the file and the fault. */
MUST_CHECK char *settings_redis_password(const char *path, char *why, size_t size);

#endif
