#include "common/error.h"

#include <string.h>

static const struct {
    const char *name, *text;
} errors[STS_ERROR_COUNT] = {
    [STS_OK] = {"ok", "all is well"},
    [STS_NO_RECORD] = {"no-record", "the domain publishes no MTA-STS record"},
    [STS_SEVERAL_RECORDS] = {"several-records",
                             "the domain publishes more than one MTA-STS record"},
    [STS_BAD_RECORD] = {"bad-record", "the domain's MTA-STS record is malformed"},
    [STS_DNS_SERVFAIL] = {"dns-servfail", "the DNS servers report a failure"},
    [STS_DNS_TIMEOUT] = {"dns-timeout", "no DNS server answered"},
    [STS_DNS_BAD_REPLY] = {"dns-bad-reply", "the DNS servers sent a reply that cannot be used"},
    [STS_NO_HOST] = {"no-host", "the host has no address"},
    [STS_NULL_MX] = {"null-mx", "the domain accepts no mail (null MX)"},
    [STS_MX_NOT_LISTED] = {"mx-not-listed",
                           "none of the domain's MX hosts is listed in its policy"},
    [STS_PROBE_FAILED] = {"probe-failed",
                          "no listed MX host offers the TLS that the policy asks for"},
    [STS_DEADLINE] = {"deadline", "the answer was not there in time"},
    [STS_OVERLOAD] = {"overload", "too many look-ups are under way"},
    [STS_REDIS] = {"redis", "the shared cache is away"},
    [STS_CONNECT_REFUSED] = {"connect-refused", "the policy host could not be reached"},
    [STS_CONNECT_BLOCKED] = {"connect-blocked", "the policy host has a special-purpose address"},
    [STS_TIMEOUT] = {"timeout", "the policy host did not answer in time"},
    [STS_TLS_NAME] = {"tls-name", "the policy host's certificate is for another name"},
    [STS_TLS_EXPIRED] = {"tls-expired", "the policy host's certificate has expired"},
    [STS_TLS_NOT_YET_VALID] = {"tls-not-yet-valid",
                               "the policy host's certificate is not yet valid"},
    [STS_TLS_UNTRUSTED] = {"tls-untrusted", "the policy host's certificate is not trusted"},
    [STS_TLS_HANDSHAKE] = {"tls-handshake", "the TLS handshake with the policy host failed"},
    [STS_HTTP_STATUS] = {"http-status", "the policy host answered with an HTTP error"},
    [STS_HTTP_REDIRECT] = {"http-redirect", "the policy host answered with a redirect"},
    [STS_HTTP_TYPE] = {"http-type", "the policy file is not of type text/plain"},
    [STS_TOO_LARGE] = {"too-large", "the policy file is too large"},
    [STS_TRUNCATED] = {"truncated", "the policy file was cut off"},
    [STS_POLICY_INVALID] = {"policy-invalid", "the policy file is malformed"},
    [STS_OVERRIDE] = {"override", "the operator has set an exception"},
    [STS_OBSERVE] = {"observe", "MTA-STS is only observed here"},
    [STS_OFF] = {"off", "MTA-STS is switched off here"},
    [STS_NOT_A_DOMAIN] = {"not-a-domain", "this is not a domain that can have a policy"},
};

const char *
sts_error_name(enum sts_error error)
{
    return errors[error].name;
}

const char *
sts_error_text(enum sts_error error)
{
    return errors[error].text;
}

bool
sts_error_from_name(const char *name, size_t len, enum sts_error *out)
{
    for (int i = 0; i < STS_ERROR_COUNT; i++) {
        if (strlen(errors[i].name) == len && memcmp(errors[i].name, name, len) == 0) {
            *out = (enum sts_error)i;
            return true;
        }
    }
    return false;
}

bool
sts_error_is_dns(enum sts_error error)
{
    return error == STS_DNS_SERVFAIL || error == STS_DNS_TIMEOUT || error == STS_DNS_BAD_REPLY;
}

bool
sts_error_is_tls(enum sts_error error)
{
    switch (error) {
    case STS_TLS_NAME:
    case STS_TLS_EXPIRED:
    case STS_TLS_NOT_YET_VALID:
    case STS_TLS_UNTRUSTED:
    case STS_TLS_HANDSHAKE:
        return true;
    default:
        return false;
    }
}
