/* exitcode - the exit status of stsctl: scripts and monitoring live by these numbers.
 * 0 secure, dane, testing. 1 none because there is nothing to enforce, or not held. 2 nothing
 * certain is known, or what is wrong may pass by itself. 3 the domain or its policy host is at
 * fault, or mail is refused. The others are those of sysexits(3). */
#ifndef STS_CACHED_EXITCODE_H
#define STS_CACHED_EXITCODE_H

#include "common/answer.h"
#include "common/error.h"

enum exitcode {
    EXIT_DONE = 0,
    EXIT_NO_POLICY = 1,
    EXIT_IN_DOUBT = 2,
    EXIT_AT_FAULT = 3,
    EXIT_BAD_USAGE = 64,
    EXIT_NO_DAEMON = 69,
    EXIT_NOT_PERMITTED = 77
};

/* `http_status`: of the failed fetch; 0 when not known, as over a query socket: then it counts as
 * one that may pass. */
enum exitcode exitcode_of_verdict(enum verdict, enum sts_error reason, int http_status);

#endif
