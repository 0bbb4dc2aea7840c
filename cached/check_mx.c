#include "cached/check_mx.h"

#include <string.h>

static void
tell_failure(struct check_report *r, const struct mx_result *mx)
{
    struct check_note note = {.layer = CHECK_MX,
                              .status = CHECK_ERROR,
                              .reason = mx->error,
                              .subject = r->domain,
                              .advice = "see to the domain's name servers and its DNSSEC"};

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
