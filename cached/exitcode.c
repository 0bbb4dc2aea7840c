#include "cached/exitcode.h"

static enum exitcode
exitcode_of_none(enum sts_error reason, int http_status)
{
    switch (reason) {
    case STS_OK: /* mode none */
    case STS_NO_RECORD:
    case STS_OBSERVE:
    case STS_OFF:
        return EXIT_NO_POLICY;
    case STS_DNS_SERVFAIL:
    case STS_DNS_TIMEOUT:
    case STS_DNS_BAD_REPLY:
    case STS_CONNECT_REFUSED:
    case STS_CONNECT_BLOCKED:
    case STS_TIMEOUT:
        return EXIT_IN_DOUBT;
    case STS_HTTP_STATUS:
        if (http_status == 0)
            return EXIT_IN_DOUBT; /* "try again later" is never far wrong */
        return http_status >= 500 && http_status <= 599 ? EXIT_IN_DOUBT : EXIT_AT_FAULT;
    default:
        return EXIT_AT_FAULT;
    }
}

enum exitcode
exitcode_of_verdict(enum verdict verdict, enum sts_error reason, int http_status)
{
    switch (verdict) {
    case VERDICT_SECURE:
    case VERDICT_DANE:
    case VERDICT_TESTING:
        return EXIT_DONE;
    case VERDICT_PENDING:
    case VERDICT_UNKNOWN:
        return EXIT_IN_DOUBT;
    case VERDICT_REFUSE:
        return EXIT_AT_FAULT;
    case VERDICT_NONE:
        break;
    }
    return exitcode_of_none(reason, http_status);
}
