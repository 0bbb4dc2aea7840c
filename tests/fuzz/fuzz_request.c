/* Input: a request on a query socket, out of its frame, and the policy file of the domain behind a
 * blank line (none: a plain one). Whatever is asked, whatever a stranger's policy says and whatever
 * the verdict, the reply is one that every MTA understands, and nothing breaks out of it. */
#include <string.h>

#include "cached/replies.h"
#include "cached/settings.h"
#include "common/proto.h"
#include "tests/fuzz/fuzz.h"

enum { CANDIDATES = 3 };

static const char plain_body[] =
    "version: STSv1\nmode: enforce\nmx: mx1.example.com\nmx: *.example.net\nmax_age: 86400\n";

static bool
is_word(struct span reply, const char *word)
{
    struct scan rest = scan_bytes(reply.at, reply.len);

    return scan_word(&rest, word);
}

/* --- replies in an MTA's syntax ----------------------------------------------------------------
 */

/* "mx1.example.com:.example.net": names of two labels or more, each from the policy. */
static void
check_match(struct span list, const struct policy *policy)
{
    struct scan rest = scan_bytes(list.at, list.len);
    char name[DOMAIN_SIZE + 2];

    REQUIRE(list.len > 0);
    do {
        struct span item = scan_until(&rest, ':');
        bool listed = false, dot = item.len > 0 && item.at[0] == '.';

        REQUIRE(item.len < sizeof name - 1);
        snprintf(name, sizeof name, "%s%.*s", dot ? "*" : "", (int)item.len, item.at);
        REQUIRE(domain_is_normal(name + 2 * dot) && domain_has_dot(name + 2 * dot));
        for (size_t i = 0; i < policy_mx_count(policy); i++)
            listed |= span_is(policy_mx(policy, i), name);
        REQUIRE(listed);
    } while (scan_char(&rest, ':'));
    REQUIRE(scan_is_done(&rest));
}

/* Postfix's attributes: name=value, or { name = value }. No brace and no '=' but ours. */
static void
check_tlsrpt(struct scan *rest, const struct judgement *j)
{
    size_t hosts = 0, lines = 0;

    REQUIRE(scan_word(rest, " policy_type=sts policy_domain=") && scan_word(rest, j->domain));
    for (; scan_word(rest, " mx_host_pattern="); hosts++) {
        struct span host = scan_until(rest, ' ');
        REQUIRE(host.len > 0 && memchr(host.at, '=', host.len) == NULL);
    }
    for (; scan_word(rest, " { policy_string = "); lines++) {
        struct span line = scan_until(rest, '}');
        REQUIRE(line.len > 1 && line.at[line.len - 1] == ' ');
        REQUIRE(!memchr(line.at, '{', line.len) && !memchr(line.at, '=', line.len));
        REQUIRE(scan_char(rest, '}'));
    }
    REQUIRE(hosts > 0 && lines > 0);
}

static void
check_secure(struct span reply, enum map map, const struct judgement *j)
{
    struct scan rest = scan_bytes(reply.at, reply.len);
    struct span list;

    REQUIRE(scan_word(&rest, "OK secure match="));
    list = scan_until(&rest, ' ');
    check_match(list, j->policy);
    REQUIRE(map != MAP_STS || list.len <= REPLIES_SENDMAIL_LIST_MAX);
    REQUIRE(scan_word(&rest, " servername=hostname"));
    if (map == MAP_POSTFIX_TLSRPT)
        check_tlsrpt(&rest, j);
    REQUIRE(scan_is_done(&rest));
}

/* --- the verdict, as the milter reads it -------------------------------------------------------
 */

static void
check_list(const char *text, const struct span *items, size_t count)
{
    struct scan rest = scan_bytes(text, strlen(text));

    for (size_t i = 0; i < count; i++) {
        struct span item = scan_until(&rest, ',');
        REQUIRE(item.len == items[i].len && memcmp(item.at, items[i].at, item.len) == 0);
        REQUIRE(i + 1 == count || scan_char(&rest, ','));
    }
    REQUIRE(scan_is_done(&rest));
}

static void
check_verdict(struct span reply, const struct judgement *j)
{
    size_t count = j->policy != NULL ? policy_mx_count(j->policy) : 0;
    struct span *mx = alloc_zero(count + 1, sizeof *mx), hosts[SOURCE_MX_MAX];
    struct answer a = replies_answer(j, mx, hosts);
    struct answer_view view;

    REQUIRE(answer_parse(reply.at + strlen("OK "), reply.len - strlen("OK "), &view));
    REQUIRE(view.verdict == j->verdict && view.reason == j->reason);
    REQUIRE(strcmp(view.domain, j->domain) == 0);
    REQUIRE(strcmp(view.id, a.id != NULL ? a.id : "") == 0);
    REQUIRE(strcmp(view.mode, a.mode != NULL ? a.mode : "") == 0);
    REQUIRE(view.max_age_s == a.max_age_s && view.expires_s == a.expires_s);
    check_list(view.mx, mx, a.mx.count);
    check_list(view.hosts, hosts, a.hosts.count);
    answer_view_done(&view);
    free(mx);
}

/* --- all replies -------------------------------------------------------------------------------
 */

static void
check_reply(const struct map_request *request, const struct judgement *j,
            const struct settings *settings)
{
    struct span reply;
    struct buf out;

    buf_init(&out, PROTO_REPLY_MAX);
    replies_write(request, j, settings, &out);
    REQUIRE(!buf_failed(&out));
    reply = (struct span){out.data, out.len};
    REQUIRE(is_word(reply, "NOTFOUND ") ? reply.len == strlen("NOTFOUND ")
                                        : reply.len > strlen("OK "));
    REQUIRE(is_word(reply, "NOTFOUND ") || is_word(reply, "OK ") || is_word(reply, "TEMP "));
    for (size_t i = 0; i < reply.len; i++)
        REQUIRE(reply.at[i] >= ' ' && reply.at[i] <= '~');
    if (is_word(reply, "OK secure"))
        check_secure(reply, request->map, j);
    else if (j != NULL && request->map == MAP_VERDICT)
        check_verdict(reply, j);
    buf_done(&out);
}

/* Candidate hosts, one of them what the request names; those that the policy lists are `hosts`. */
static void
set_hosts(struct judgement *j, const struct map_request *request)
{
    const char *const candidates[CANDIDATES] = {"mx.elsewhere.example", "mx1.example.com",
                                                request->mx_host};

    j->candidate_count = j->host_count = j->probe_count = 0;
    for (size_t i = 0; i < CANDIDATES && j->policy != NULL; i++) {
        if (candidates[i][0] == '\0')
            continue;
        j->candidates[j->candidate_count++] = candidates[i];
        if (policy_lists_host(j->policy, candidates[i]))
            j->hosts[j->host_count++] = candidates[i];
    }
    j->reason = STS_OK;
    if (j->verdict != VERDICT_REFUSE || j->host_count == 0)
        return;
    j->reason = STS_PROBE_FAILED;
    for (; j->probe_count < j->host_count; j->probe_count++) {
        j->probes[j->probe_count] = (struct verdict_probe){
            j->hosts[j->probe_count], {.state = PROBE_KNOWN, .error = STS_TLS_NAME, .detail = ""}};
    }
}

/* Every verdict, with what goes with it. */
static void
check_verdicts(const struct map_request *request, const struct policy *policy,
               const struct settings *settings)
{
    static const struct entry entry;
    struct judgement j = {.domain = request->hop.domain, .detail = "", .entry = &entry};

    for (j.verdict = VERDICT_NONE; j.verdict <= VERDICT_UNKNOWN; j.verdict++) {
        bool has_policy = j.verdict != VERDICT_NONE && j.verdict < VERDICT_PENDING;

        j.policy = has_policy ? policy : NULL;
        j.expires_s = has_policy ? 1800000000 : 0;
        set_hosts(&j, request);
        (void)replies_list_is_long(&j);
        (void)replies_refuses_host(request, &j);
        check_reply(request, &j, settings);
    }
}

static struct policy *
policy_of(struct span body)
{
    struct policy *policy;
    char why[200];

    return policy_parse(body, "20261124", &policy, why, sizeof why) == STS_OK ? policy : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct settings *settings;
    const char *blank = size > 0 ? memmem(data, size, "\n\n", 2) : NULL;
    struct span payload = {(const char *)data, size}, body = {plain_body, sizeof plain_body - 1};
    struct map_request request;
    struct policy *policy;
    char why[200], folded[DOMAIN_SIZE];

    if (settings == NULL)
        settings = settings_read(NULL, why, sizeof(why));
    if (blank != NULL) {
        payload.len = (size_t)(blank - payload.at);
        body = (struct span){blank + 2, size - payload.len - 2};
    }
    if (!replies_read(payload, &request)) {
        check_reply(&request, NULL, settings);
        return 0;
    }
    REQUIRE(domain_is_normal(request.hop.domain));
    REQUIRE(request.wait_ms >= -1);
    REQUIRE(request.mx_host[0] == '\0' ||
            (domain_fold_mx_host(request.mx_host, strlen(request.mx_host), folded) &&
             strcmp(folded, request.mx_host) == 0));
    policy = policy_of(body);
    if (policy != NULL)
        check_verdicts(&request, policy, settings);
    policy_free(policy);
    return 0;
}
