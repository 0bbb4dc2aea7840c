/* Input: a policy file. */
#include <string.h>

#include "common/domain.h"
#include "common/policy.h"
#include "tests/fuzz/fuzz.h"

enum { MATCHES_MAX = 64 };

/* Whatever leaves the module is safe in any reply, and lists a host that fits it. */
static void
check_pattern(const struct policy *policy, struct span pattern, bool match)
{
    char host[2 + DOMAIN_SIZE];
    const char *name = host;

    REQUIRE(pattern.len > 0 && pattern.len < sizeof host);
    memcpy(host, pattern.at, pattern.len);
    host[pattern.len] = '\0';
    if (host[0] == '*') {
        REQUIRE(host[1] == '.');
        name = host + 2;
        host[0] = 'a';
    }
    REQUIRE(domain_is_normal(name) && domain_has_dot(name));
    REQUIRE(policy_pattern_matches(pattern, host));
    if (match)
        REQUIRE(policy_lists_host(policy, host));
}

/* The lines as declared, joined anew, are the same policy. */
static void
check_round_trip(const struct policy *policy)
{
    struct span body = policy_body(policy), line;
    struct scan rest = scan_bytes(body.at, body.len);
    char *text = alloc_bytes(body.len + 1);
    struct policy *again;
    size_t len = 0;

    while (policy_next_line(&rest, &line)) {
        memcpy(text + len, line.at, line.len);
        len += line.len;
        text[len++] = '\n';
    }
    REQUIRE(len <= body.len + 1);
    REQUIRE(policy_parse((struct span){text, len < POLICY_BODY_MAX ? len : len - 1}, "", &again,
                         NULL, 0) == STS_OK);
    REQUIRE(policy_mode(again) == policy_mode(policy));
    REQUIRE(policy_max_age_s(again) == policy_max_age_s(policy));
    REQUIRE(policy_mx_count(again) == policy_mx_count(policy));
    policy_free(again);
    free(text);
}

static void
check_policy(const struct policy *policy, const uint8_t *data, size_t size)
{
    struct span body = policy_body(policy);

    REQUIRE(body.len == size && memcmp(body.at, data, size) == 0);
    REQUIRE(policy_mode_name(policy_mode(policy)) != NULL);
    REQUIRE(policy_max_age_s(policy) <= POLICY_MAX_AGE_MAX);
    REQUIRE(policy_life_s(policy) >= POLICY_LIFE_MIN_S);
    for (size_t i = 0; i < policy_mx_count(policy); i++)
        check_pattern(policy, policy_mx(policy, i), i < MATCHES_MAX);
    check_round_trip(policy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char detail[128] = "";
    struct policy *policy;
    enum sts_error error;

    error =
        policy_parse((struct span){(const char *)data, size}, "", &policy, detail, sizeof detail);
    if (error == STS_OK) {
        check_policy(policy, data, size);
        policy_free(policy);
        return 0;
    }
    REQUIRE(policy == NULL && detail[0] != '\0');
    REQUIRE(error == (size > POLICY_BODY_MAX ? STS_TOO_LARGE : STS_POLICY_INVALID));
    return 0;
}
