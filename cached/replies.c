#include "cached/replies.h"

#include <stdlib.h>
#include <string.h>

#include "cached/settings.h"
#include "common/proto.h"

static const struct {
    const char *name;
    enum map map;
} maps[] = {
    {"postfix", MAP_POSTFIX},
    {"QUERY", MAP_POSTFIX},
    {"postfix-tlsrpt", MAP_POSTFIX_TLSRPT},
    {"QUERYwithTLSRPT", MAP_POSTFIX_TLSRPT},
    {"sts", MAP_STS},
    {"stsmx", MAP_STSMX},
    {"verdict", MAP_VERDICT},
    {"probes", MAP_PROBES},
};

/* --- requests -------------------------------------------------------------------------------- */

/* Cuts "key wait=MS" into both; a wait that is no number is ignored. All else is the key, blanks
 * too: "a b"@example.com is an address. */
static struct span
take_wait(struct span key, int64_t *wait_ms)
{
    struct span trimmed = span_trim(key);
    size_t at = trimmed.len;
    struct scan last;
    uint64_t ms;

    *wait_ms = -1;
    while (at > 0 && trimmed.at[at - 1] != ' ')
        at--;
    last = scan_bytes(trimmed.at + at, trimmed.len - at);
    if (at == 0 || !scan_word(&last, "wait="))
        return trimmed;
    if (scan_number(&last, 9, &ms) && scan_is_done(&last))
        *wait_ms = (int64_t)ms;
    return span_trim((struct span){trimmed.at, at});
}

/* Cuts "domain/mxhost" into both. */
static struct span
take_host(struct span key, char host[DOMAIN_SIZE])
{
    struct scan rest = scan_bytes(key.at, key.len);
    struct span domain = scan_until(&rest, '/');

    host[0] = '\0';
    if (scan_char(&rest, '/'))
        (void)domain_fold_mx_host(rest.at, (size_t)(rest.end - rest.at), host);
    return domain;
}

bool
replies_read(struct span payload, struct map_request *request)
{
    struct span name, key;

    proto_split(payload, &name, &key);
    request->map = MAP_UNKNOWN;
    for (size_t i = 0; i < sizeof maps / sizeof *maps && request->map == MAP_UNKNOWN; i++) {
        if (span_equal_nocase(name, maps[i].name))
            request->map = maps[i].map;
    }
    request->mx_host[0] = '\0';
    request->wait_ms = -1;
    request->want_probe = request->map == MAP_VERDICT || request->map == MAP_PROBES;
    request->want_mx = request->want_probe;
    if (request->map == MAP_UNKNOWN)
        return false;
    if (request->want_probe)
        key = take_wait(key, &request->wait_ms);
    else if (request->map == MAP_STSMX)
        key = take_host(key, request->mx_host);
    nexthop_parse(key.at, key.len, &request->hop);
    return request->hop.kind == NEXTHOP_DOMAIN || request->hop.kind == NEXTHOP_HOST;
}

static bool
is_for_postfix(const struct map_request *request)
{
    return request->map == MAP_POSTFIX || request->map == MAP_POSTFIX_TLSRPT;
}

bool
replies_needs_mx(const struct map_request *request, const struct settings *s)
{
    return s->dane && is_for_postfix(request);
}

/* --- lists of patterns ----------------------------------------------------------------------- */

/* "*.example.net" is ".example.net" in match=. */
static struct span
match_form(struct span pattern)
{
    if (pattern.len > 1 && pattern.at[0] == '*')
        return (struct span){pattern.at + 1, pattern.len - 1};
    return pattern;
}

/* Patterns between colons, while the list stays within `max` bytes. */
struct match_list {
    struct buf *out;
    size_t start, max;
};

static void
add_pattern(struct match_list *list, struct span pattern)
{
    struct span form = match_form(pattern);
    size_t now = list->out->len - list->start;

    if (now + (now > 0) + form.len > list->max)
        return;
    if (now > 0)
        buf_add_char(list->out, ':');
    buf_add(list->out, form.at, form.len);
}

static bool
covers_a_candidate(struct span pattern, const struct judgement *j)
{
    for (size_t i = 0; i < j->candidate_count; i++) {
        if (policy_pattern_matches(pattern, j->candidates[i]))
            return true;
    }
    return false;
}

static void
add_match_list(struct buf *out, const struct judgement *j, size_t max)
{
    struct match_list list = {.out = out, .start = out->len, .max = max};
    size_t count = policy_mx_count(j->policy);

    if (j->candidate_count == 0 || max == SIZE_MAX) {
        for (size_t i = 0; i < count; i++)
            add_pattern(&list, policy_mx(j->policy, i));
        return;
    }
    for (int covering = 1; covering >= 0; covering--) {
        for (size_t i = 0; i < count; i++) {
            struct span pattern = policy_mx(j->policy, i);
            if (covers_a_candidate(pattern, j) == (covering == 1))
                add_pattern(&list, pattern);
        }
    }
}

static size_t
match_list_size(const struct policy *policy)
{
    size_t size = 0;

    for (size_t i = 0; i < policy_mx_count(policy); i++)
        size += match_form(policy_mx(policy, i)).len + (i > 0);
    return size;
}

bool
replies_list_is_long(const struct judgement *j)
{
    return j->verdict == VERDICT_SECURE && match_list_size(j->policy) > REPLIES_SENDMAIL_LIST_MAX;
}

/* --- Postfix's attributes for TLSRPT (3.10 and later) ------------------------------------- */

static const char version_line[] = " { policy_string = version: STSv1 }";

/* A line that Postfix's attribute syntax can carry: printable, no brace, no '='. */
static bool
is_plain_line(struct span line)
{
    for (size_t i = 0; i < line.len; i++) {
        char c = line.at[i];
        if (c < 0x20 || c > 0x7e || c == '{' || c == '}' || c == '=')
            return false;
    }
    return line.len > 0;
}

static void
add_policy_strings(struct buf *out, const struct policy *policy)
{
    struct span body = policy_body(policy), line;
    struct scan rest = scan_bytes(body.at, body.len);

    while (policy_next_line(&rest, &line)) {
        if (is_plain_line(line))
            buf_printf(out, " { policy_string = %.*s }", (int)line.len, line.at);
    }
}

/* As many as leave room for the version line: a host left out is passed over, never trusted. */
static void
add_host_patterns(struct buf *out, const struct policy *policy)
{
    for (size_t i = 0; i < policy_mx_count(policy); i++) {
        struct span pattern = policy_mx(policy, i);
        size_t len = strlen(" mx_host_pattern=") + pattern.len;

        if (out->len + len + strlen(version_line) > PROTO_REPLY_MAX)
            break;
        buf_printf(out, " mx_host_pattern=%.*s", (int)pattern.len, pattern.at);
    }
}

/* Postfix 3.10 wants at least one of each, or it crashes. */
static void
add_tlsrpt(struct buf *out, const struct judgement *j)
{
    size_t start;

    buf_printf(out, " policy_type=sts policy_domain=%s", j->domain);
    add_host_patterns(out, j->policy);
    start = out->len;
    add_policy_strings(out, j->policy);
    if (out->len > start && out->len <= PROTO_REPLY_MAX && !buf_failed(out))
        return;
    out->len = start;
    out->failed = false;
    buf_add_string(out, version_line);
}

/* --- replies --------------------------------------------------------------------------------- */

static void
write_secure(const struct map_request *request, const struct judgement *j, struct buf *out)
{
    if (policy_mx_count(j->policy) == 0) {
        buf_printf(out, "TEMP the MTA-STS policy of %s lists no host that mail can be sent to",
                   j->domain);
        return;
    }
    buf_add_string(out, "OK secure match=");
    add_match_list(out, j, request->map == MAP_STS ? REPLIES_SENDMAIL_LIST_MAX : SIZE_MAX);
    buf_add_string(out, " servername=hostname");
    if (request->map == MAP_POSTFIX_TLSRPT)
        add_tlsrpt(out, j);
}

bool
replies_refuses_host(const struct map_request *request, const struct judgement *j)
{
    return request->map == MAP_STSMX && j->policy != NULL &&
           policy_mode(j->policy) == POLICY_MODE_ENFORCE &&
           !(request->mx_host[0] && policy_lists_host(j->policy, request->mx_host));
}

static void
write_temporary(const struct judgement *j, struct buf *out)
{
    buf_printf(out, "TEMP the MTA-STS policy of %s is not known yet: %s", j->domain,
               sts_error_text(j->reason));
}

/* Postfix looks for TLSA itself, so only it is told of DANE. `dane-on-failure` = defer: none of the
 * hosts may be delivered to while nobody knows whether it has TLSA (RFC 7672 s2.2). */
static bool
write_dane(const struct map_request *request, const struct judgement *j, const struct settings *s,
           struct buf *out)
{
    if (!is_for_postfix(request))
        return false;
    if (j->verdict == VERDICT_DANE)
        buf_add_string(out, "OK dane-only");
    else if (j->verdict == VERDICT_SECURE && j->dane_failed &&
             s->dane_on_failure == DANE_FAILURE_DEFER)
        buf_printf(out, "TEMP the TLSA records of the MX hosts of %s cannot be looked up: %s",
                   j->domain, sts_error_text(j->dane_error != STS_OK ? j->dane_error : j->reason));
    else
        return false;
    return true;
}

/* What a map says: a policy that is in force holds, also while TXT is asked anew before a refusal
 * (the verdict is pending then). */
static enum verdict
spoken_verdict(const struct judgement *j)
{
    return j->verdict == VERDICT_PENDING && j->policy != NULL ? VERDICT_SECURE : j->verdict;
}

static void
write_map(const struct map_request *request, const struct judgement *j, const struct settings *s,
          struct buf *out)
{
    const char *no_policy = request->map == MAP_STSMX ? "OK ok" : "NOTFOUND ";

    switch (spoken_verdict(j)) {
    case VERDICT_NONE:
    case VERDICT_TESTING:
        buf_add_string(out, no_policy);
        break;
    case VERDICT_SECURE:
    case VERDICT_DANE:
    case VERDICT_REFUSE:
        if (write_dane(request, j, s, out))
            break;
        if (request->map == MAP_STSMX && policy_mx_count(j->policy) > 0)
            buf_add_string(out, replies_refuses_host(request, j) ? "NOTFOUND " : "OK ok");
        else
            write_secure(request, j, out);
        break;
    case VERDICT_PENDING:
        if (s->on_pending == ANSWER_ACCEPT)
            buf_add_string(out, no_policy);
        else
            write_temporary(j, out);
        break;
    case VERDICT_UNKNOWN:
        if (s->on_unknown == ANSWER_ACCEPT)
            buf_add_string(out, no_policy);
        else
            write_temporary(j, out);
        break;
    }
}

struct answer
replies_answer(const struct judgement *j, struct span *mx, struct span hosts[SOURCE_MX_MAX])
{
    struct answer a = {
        .verdict = j->verdict, .domain = j->domain, .source = j->source, .reason = j->reason};

    if (j->policy == NULL)
        return a;
    a.mode = policy_mode_name(policy_mode(j->policy));
    a.id = policy_id(j->policy);
    a.has_policy = true;
    a.max_age_s = policy_max_age_s(j->policy);
    a.expires_s = j->expires_s;
    for (size_t i = 0; i < policy_mx_count(j->policy); i++)
        mx[i] = policy_mx(j->policy, i);
    for (size_t i = 0; i < j->host_count; i++)
        hosts[i] = (struct span){j->hosts[i], strlen(j->hosts[i])};
    a.mx = (struct answer_list){mx, policy_mx_count(j->policy)};
    a.hosts = (struct answer_list){hosts, j->host_count};
    return a;
}

static void
write_verdict(const struct judgement *j, struct buf *out)
{
    struct span few[32], hosts[SOURCE_MX_MAX], *mx = few;
    size_t count = j->policy != NULL ? policy_mx_count(j->policy) : 0;
    struct answer a;

    if (count > sizeof few / sizeof *few)
        mx = alloc_zero(count, sizeof *mx);
    a = replies_answer(j, mx, hosts);
    buf_add_string(out, "OK ");
    answer_format(&a, out);
    if (mx != few)
        free(mx);
}

/* Of a refusal by probing, what is wrong at each host. */
static void
write_probes(const struct judgement *j, struct buf *out)
{
    const char *before = "OK ";

    if (j->verdict != VERDICT_REFUSE || j->reason != STS_PROBE_FAILED) {
        buf_add_string(out, "NOTFOUND ");
        return;
    }
    for (size_t i = 0; i < j->probe_count; i++, before = ",") {
        buf_add_string(out, before);
        buf_add_string(out, j->probes[i].host);
        buf_add_char(out, ':');
        buf_add_string(out, probes_word(&j->probes[i].memory));
    }
}

void
replies_write(const struct map_request *request, const struct judgement *j,
              const struct settings *s, struct buf *out)
{
    struct answer nothing = {.verdict = VERDICT_NONE, .reason = STS_NOT_A_DOMAIN};

    if (request->map == MAP_UNKNOWN) {
        buf_add_string(out, "TEMP unknown map");
    } else if (j != NULL && request->map == MAP_VERDICT) {
        write_verdict(j, out);
    } else if (j != NULL && request->map == MAP_PROBES) {
        write_probes(j, out);
    } else if (j != NULL) {
        write_map(request, j, s, out);
    } else if (request->map == MAP_VERDICT) {
        buf_add_string(out, "OK ");
        answer_format(&nothing, out);
    } else {
        buf_add_string(out, request->map == MAP_STSMX ? "OK ok" : "NOTFOUND ");
    }
}
