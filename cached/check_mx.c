#include "cached/check_mx.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

static void
tell_failure(struct check_report *r, const struct mx_result *mx)
{
    struct check_note note = {
        .layer = CHECK_MX, .status = CHECK_ERROR, .reason = mx->error, .subject = r->domain};

    note.advice = check_advice_on_dns(mx->error, "see to the domain's name servers and its DNSSEC");
    if (mx->error == STS_NULL_MX)
        note.advice = "a domain without mail needs no policy: publish mode none, then take it away";
    else if (mx->error == STS_NO_HOST)
        note.advice = "publish MX records whose hosts have addresses";
    check_add(r, &note, "MX: %s%s%s", sts_error_text(mx->error), mx->detail[0] != '\0' ? ": " : "",
              mx->detail);
}

/* The pattern that lists the host, by number; false when none does. */
static bool
find_pattern(const struct policy *policy, const char *host, struct span *pattern)
{
    for (size_t i = 0; i < policy_mx_count(policy); i++) {
        *pattern = policy_mx(policy, i);
        if (policy_pattern_matches(*pattern, host))
            return true;
    }
    return false;
}

static void
judge_host(struct check_report *r, const struct policy *policy, const char *host)
{
    struct check_note note = {.layer = CHECK_MX, .subject = host};
    char quote[CHECK_QUOTE_SIZE];
    struct span pattern;

    if (find_pattern(policy, host, &pattern)) {
        check_add(r, &note, "listed in the policy by %s", check_quote(pattern, quote));
        return;
    }
    note.status = CHECK_ERROR;
    note.reason = STS_MX_NOT_LISTED;
    note.advice = "add it to the policy with a new id, or take it out of the MX records";
    check_add(r, &note, "not listed in the policy: senders that enforce it never deliver there");
}

static void
judge_pattern(struct check_report *r, struct span pattern, const struct mx_result *mx)
{
    struct check_note note = {.layer = CHECK_MX,
                              .status = CHECK_WARNING,
                              .subject = r->domain,
                              .advice = "take it out, unless a change of MX hosts is under way"};
    char quote[CHECK_QUOTE_SIZE];

    for (size_t i = 0; i < mx->count; i++) {
        if (policy_pattern_matches(pattern, mx->hosts[i]))
            return;
    }
    check_add(r, &note, "mx %s of the policy matches none of the MX hosts",
              check_quote(pattern, quote));
}

void
check_mx_set(struct check_report *r, const struct policy *policy, const struct mx_result *mx)
{
    struct check_note note = {.layer = CHECK_MX, .subject = r->domain};

    if (mx->error != STS_OK) {
        tell_failure(r, mx);
        return;
    }
    if (mx->count == 1 && strcmp(mx->hosts[0], r->domain) == 0)
        check_add(r, &note, "its only mail host is the domain itself");
    else
        check_add(r, &note, "%zu MX %s", mx->count, mx->count == 1 ? "host" : "hosts");
    if (policy == NULL)
        return;
    for (size_t i = 0; i < mx->count; i++)
        judge_host(r, policy, mx->hosts[i]);
    for (size_t i = 0; i < policy_mx_count(policy); i++)
        judge_pattern(r, policy_mx(policy, i), mx);
}

/* --- TLS -------------------------------------------------------------------------------------- */

static const char look_at_dns[] = "see to the name servers of the host's domain";

static const struct {
    enum sts_error error;
    const char *text, *advice;
} tls_faults[] = {
    {STS_NO_HOST, "has no address",
     "give it an A or AAAA record, or take it out of the MX records"},
    {STS_DNS_SERVFAIL, "cannot be looked up", look_at_dns},
    {STS_DNS_TIMEOUT, "cannot be looked up", look_at_dns},
    {STS_DNS_BAD_REPLY, "cannot be looked up", look_at_dns},
    {STS_CONNECT_REFUSED, "cannot be reached on the SMTP port",
     "see that it is up, and that this host may connect out to port 25"},
    {STS_CONNECT_BLOCKED, "has a special-purpose address", "publish a public address"},
    {STS_TIMEOUT, "did not answer in time",
     "see that it is up, and that this host may connect out to port 25"},
    {STS_TLS_NAME, "the certificate is for another name",
     "get a certificate with this host's name in subjectAltName"},
    {STS_TLS_EXPIRED, "the certificate has expired",
     "renew it, and see that the mail server uses the new one"},
    {STS_TLS_NOT_YET_VALID, "the certificate is not yet valid",
     "use one that is valid already, and see to the clocks"},
    {STS_TLS_UNTRUSTED, "the certificate is not trusted",
     "use one of a public CA, and send the intermediate ones too"},
    {STS_TLS_HANDSHAKE, "no TLS can be had", "offer STARTTLS with TLS 1.2 or 1.3"},
};

static void
tell_tls_fault(struct check_report *r, struct check_note *note, const struct probe_result *probe)
{
    const char *text = sts_error_text(probe->error);

    for (size_t i = 0; i < sizeof tls_faults / sizeof tls_faults[0]; i++) {
        if (tls_faults[i].error != probe->error)
            continue;
        text = tls_faults[i].text;
        note->advice = check_advice_on_dns(probe->error, tls_faults[i].advice);
    }
    if (probe->error == STS_NO_HOST || probe->detail[0] == '\0')
        check_add(r, note, "%s", text);
    else
        check_add(r, note, "%s: %s", text, probe->detail);
}

static void
tell_expiry(struct check_report *r, struct check_note *note)
{
    int64_t left_s = note->expires_s - clock_wall_s();
    time_t end = (time_t)note->expires_s;
    char date[40] = "?";
    struct tm tm;

    if (note->expires_s == 0) {
        check_add(r, note, "STARTTLS and certificate are right");
        return;
    }
    if (gmtime_r(&end, &tm) != NULL)
        strftime(date, sizeof date, "%Y-%m-%d", &tm);
    if (left_s < CHECK_EXPIRY_S) {
        note->status = CHECK_WARNING;
        note->advice = "renew the certificate";
    }
    check_add(r, note, "STARTTLS and certificate are right; it ends on %s, in %" PRId64 " days",
              date, left_s / 86400);
}

void
check_mx_tls(struct check_report *r, const struct policy *policy, const char *host,
             const struct probe_result *probe)
{
    struct check_note note = {
        .layer = CHECK_TLS, .reason = probe->error, .subject = host, .expires_s = probe->expires_s};

    if (probe->error == STS_OK) {
        tell_expiry(r, &note);
        return;
    }
    note.status = policy == NULL || policy_lists_host(policy, host) ? CHECK_ERROR : CHECK_WARNING;
    tell_tls_fault(r, &note, probe);
}
