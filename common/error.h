/* error - the one vocabulary of what the world can do to us.
 * Every value has a name, which is the `reason` of a verdict reply (DESIGN of the wire formats:
 * the list is closed), and a text that a person understands. 0 is success. */
#ifndef STS_COMMON_ERROR_H
#define STS_COMMON_ERROR_H

#include <stdbool.h>
#include <stddef.h>

enum sts_error {
    STS_OK,
    STS_NO_RECORD,
    STS_SEVERAL_RECORDS,
    STS_BAD_RECORD,
    STS_DNS_SERVFAIL,
    STS_DNS_TIMEOUT,
    STS_DNS_BAD_REPLY,
    STS_NO_HOST,
    STS_NULL_MX,
    STS_MX_NOT_LISTED,
    STS_PROBE_FAILED,
    STS_DEADLINE,
    STS_OVERLOAD,
    STS_REDIS,
    STS_CONNECT_REFUSED,
    STS_CONNECT_BLOCKED,
    STS_TIMEOUT,
    STS_TLS_NAME,
    STS_TLS_EXPIRED,
    STS_TLS_NOT_YET_VALID,
    STS_TLS_UNTRUSTED,
    STS_TLS_HANDSHAKE,
    STS_HTTP_STATUS,
    STS_HTTP_REDIRECT,
    STS_HTTP_TYPE,
    STS_TOO_LARGE,
    STS_TRUNCATED,
    STS_POLICY_INVALID,
    STS_OVERRIDE,
    STS_OBSERVE,
    STS_OFF,
    STS_NOT_A_DOMAIN,
    STS_ERROR_COUNT
};

/* "dns-timeout": the word of the wire format and the logs. */
const char *sts_error_name(enum sts_error);
/* "no DNS server answered": half a sentence for people, no full stop. */
const char *sts_error_text(enum sts_error);
/* The value whose name is the `len` bytes at `name`; false when there is none. */
bool sts_error_from_name(const char *name, size_t len, enum sts_error *out);
/* True for the dns-* values: the look-up failed, so nothing is known. */
bool sts_error_is_dns(enum sts_error);
/* True for the tls-* values: what the host's own TLS is to blame for. */
bool sts_error_is_tls(enum sts_error);

#endif
