/* regular - opens what must be a file: no folder, no device, no pipe that would keep us waiting. */
#ifndef STS_COMMON_REGULAR_H
#define STS_COMMON_REGULAR_H

#include <stdio.h>
#include <sys/types.h>

#include "common/alloc.h"

/* For reading; `*mode` is its mode, and may be NULL. NULL: `why` names the path and the fault. */
MUST_CHECK FILE *regular_open(const char *path, mode_t *mode, char *why, size_t size);

#endif
