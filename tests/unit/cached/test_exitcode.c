#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cached/exitcode.h"

static const struct {
    enum verdict verdict;
    enum sts_error reason;
    int http_status, want;
} rows[] = {
    {VERDICT_SECURE, STS_OK, 0, 0},
    {VERDICT_SECURE, STS_DNS_SERVFAIL, 0, 0}, /* one MX's fault stops nothing */
    {VERDICT_DANE, STS_OK, 0, 0},
    {VERDICT_TESTING, STS_OK, 0, 0},
    {VERDICT_NONE, STS_OK, 0, 1},
    {VERDICT_NONE, STS_NO_RECORD, 0, 1},
    {VERDICT_NONE, STS_OBSERVE, 0, 1},
    {VERDICT_NONE, STS_OFF, 0, 1},
    {VERDICT_UNKNOWN, STS_DNS_SERVFAIL, 0, 2},
    {VERDICT_UNKNOWN, STS_OVERLOAD, 0, 2},
    {VERDICT_PENDING, STS_DEADLINE, 0, 2},
    {VERDICT_NONE, STS_DNS_SERVFAIL, 0, 2},
    {VERDICT_NONE, STS_DNS_TIMEOUT, 0, 2},
    {VERDICT_NONE, STS_DNS_BAD_REPLY, 0, 2},
    {VERDICT_NONE, STS_CONNECT_REFUSED, 0, 2},
    {VERDICT_NONE, STS_CONNECT_BLOCKED, 0, 2},
    {VERDICT_NONE, STS_TIMEOUT, 0, 2},
    {VERDICT_NONE, STS_HTTP_STATUS, 500, 2},
    {VERDICT_NONE, STS_HTTP_STATUS, 599, 2},
    {VERDICT_NONE, STS_HTTP_STATUS, 404, 3},
    {VERDICT_NONE, STS_HTTP_STATUS, 0, 2}, /* a query socket does not tell it */
    {VERDICT_NONE, STS_TLS_NAME, 0, 3},
    {VERDICT_NONE, STS_TLS_HANDSHAKE, 0, 3},
    {VERDICT_NONE, STS_SEVERAL_RECORDS, 0, 3},
    {VERDICT_NONE, STS_BAD_RECORD, 0, 3},
    {VERDICT_NONE, STS_NO_HOST, 0, 3},
    {VERDICT_NONE, STS_POLICY_INVALID, 0, 3},
    {VERDICT_NONE, STS_NOT_A_DOMAIN, 0, 3},
    {VERDICT_REFUSE, STS_MX_NOT_LISTED, 0, 3},
    {VERDICT_REFUSE, STS_NULL_MX, 0, 3},
};

static void
test_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int got = exitcode_of_verdict(rows[i].verdict, rows[i].reason, rows[i].http_status);
        if (got != rows[i].want)
            fail_msg("%s %s %d: %d, want %d", verdict_name(rows[i].verdict),
                     sts_error_name(rows[i].reason), rows[i].http_status, got, rows[i].want);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
