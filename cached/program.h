/* program - runs another program and takes what it prints: no shell, a deadline, a limit. */
#ifndef STS_CACHED_PROGRAM_H
#define STS_CACHED_PROGRAM_H

#include <stdint.h>

#include "common/alloc.h"
#include "common/buf.h"

enum program_status {
    PROGRAM_OK,      /* it ended by itself with status 0 */
    PROGRAM_MISSING, /* there is no such program, or it may not be run */
    PROGRAM_FAILED,  /* another status, or a signal */
    PROGRAM_TIMEOUT,
    PROGRAM_TOO_MUCH /* more than `out` may hold */
};

/* Runs argv[0], looked for along PATH, and appends its standard output to `out`, whose maximum is
 * the limit. Its input and errors are /dev/null. At `deadline_ms` (boot clock) it is killed with
 * all that it started in its process group. Blocks; for programs with one thread. */
MUST_CHECK enum program_status program_output(const char *const argv[], int64_t deadline_ms,
                                              struct buf *out);

#endif
