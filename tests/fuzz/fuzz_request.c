/* Input: a request on a query socket, out of its frame. Whatever is asked and whatever the verdict,
 * the reply is one that every MTA understands, and nothing of the request breaks out of it. */
#include <string.h>

#include "cached/replies.h"
#include "cached/settings.h"
#include "tests/fuzz/fuzz.h"

enum { REPLY_MAX = 100000 }; /* what Postfix takes */

static const char body[] =
    "version: STSv1\nmode: enforce\nmx: mx1.example.com\nmx: *.example.net\nmax_age: 86400\n";

static bool
begins_with(const struct buf *reply, const char *word)
{
    return reply->len >= strlen(word) && memcmp(reply->data, word, strlen(word)) == 0;
}

static void
check_reply(const struct map_request *request, const struct judgement *j,
            const struct settings *settings)
{
    struct buf reply;

    buf_init(&reply, REPLY_MAX);
    replies_write(request, j, settings, &reply);
    REQUIRE(!buf_failed(&reply));
    REQUIRE(begins_with(&reply, "NOTFOUND ") ? reply.len == strlen("NOTFOUND ")
                                             : reply.len > strlen("OK "));
    REQUIRE(begins_with(&reply, "NOTFOUND ") || begins_with(&reply, "OK ") ||
            begins_with(&reply, "TEMP "));
    for (size_t i = 0; i < reply.len; i++)
        REQUIRE(reply.data[i] >= ' ' && reply.data[i] <= '~');
    buf_done(&reply);
}

/* Every verdict, with what goes with it. */
static void
check_verdicts(const struct map_request *request, const struct policy *policy,
               const struct settings *settings)
{
    static const struct entry entry;
    struct judgement j = {
        .domain = request->hop.domain, .detail = "", .reason = STS_OK, .entry = &entry};

    for (j.verdict = VERDICT_NONE; j.verdict <= VERDICT_UNKNOWN; j.verdict++) {
        bool has_policy = j.verdict != VERDICT_NONE && j.verdict < VERDICT_PENDING;

        j.policy = has_policy ? policy : NULL;
        j.expires_s = has_policy ? 1800000000 : 0;
        j.host_count = j.verdict == VERDICT_SECURE ? 1 : 0;
        j.hosts[0] = "mx1.example.com";
        j.candidate_count = has_policy ? 1 : 0;
        j.candidates[0] = j.host_count ? j.hosts[0] : "mx.elsewhere.example";
        (void)replies_wants_mx(request, &j);
        (void)replies_refuses_host(request, &j);
        check_reply(request, &j, settings);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct settings *settings;
    static struct policy *policy;
    struct span payload = {(const char *)data, size};
    struct map_request request;
    char why[200];

    if (settings == NULL) {
        settings = settings_read(NULL, why, sizeof(why));
        REQUIRE(policy_parse(body, sizeof(body) - 1, &policy, NULL, 0) == STS_OK);
        policy = policy_with_id(policy, "20261124");
    }
    if (!replies_read(payload, &request)) {
        check_reply(&request, NULL, settings);
        return 0;
    }
    REQUIRE(domain_is_normal(request.hop.domain));
    REQUIRE(request.wait_ms >= -1);
    REQUIRE(request.mx_host[0] == '\0' || domain_is_normal(request.mx_host));
    check_verdicts(&request, policy, settings);
    return 0;
}
