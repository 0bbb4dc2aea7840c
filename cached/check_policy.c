#include "cached/check_policy.h"

#include <stdio.h>
#include <string.h>

/* --- the fetch -------------------------------------------------------------------------------- */

static const struct {
    enum sts_error error;
    const char *advice;
} fetch_advice[] = {
    {STS_NO_HOST, "give mta-sts.DOMAIN an A or AAAA record"},
    {STS_DNS_SERVFAIL, "see to the name servers of mta-sts.DOMAIN and its DNSSEC"},
    {STS_DNS_BAD_REPLY, "see to the name servers of mta-sts.DOMAIN and its DNSSEC"},
    {STS_CONNECT_REFUSED, "see that the web server is up and port 443 is open to all"},
    {STS_CONNECT_BLOCKED, "publish a public address, not a private or reserved one"},
    {STS_TIMEOUT, "see that the web server answers on port 443 on each of its addresses"},
    {STS_TLS_NAME, "get a certificate that names mta-sts.DOMAIN in subjectAltName"},
    {STS_TLS_EXPIRED, "renew the certificate, and see that the web server uses the new one"},
    {STS_TLS_NOT_YET_VALID, "use a certificate that is valid already, and see to the clocks"},
    {STS_TLS_UNTRUSTED, "use a certificate of a public CA and send the intermediate ones too"},
    {STS_TLS_HANDSHAKE, "offer TLS 1.2 or 1.3 with usual ciphers for the name mta-sts.DOMAIN"},
    {STS_HTTP_STATUS, "serve the file at /.well-known/mta-sts.txt with HTTP status 200"},
    {STS_HTTP_REDIRECT, "serve the file itself: redirects are not followed (RFC 8461 s3.3)"},
    {STS_HTTP_TYPE, "serve the file as Content-Type text/plain, not encoded"},
    {STS_TOO_LARGE, "keep the file under 64 KiB"},
    {STS_TRUNCATED, "see that the web server sends the whole file and its true length"},
};

static const char *
advice_on_fetch(enum sts_error error)
{
    for (size_t i = 0; i < sizeof fetch_advice / sizeof fetch_advice[0]; i++) {
        if (fetch_advice[i].error == error)
            return fetch_advice[i].advice;
    }
    return check_advice_on_dns(error, NULL);
}

/* --- lines ------------------------------------------------------------------------------------ */

enum { KEY_VERSION, KEY_MODE, KEY_MAX_AGE, KEY_MX, KEY_COUNT };

static const char *const key_names[KEY_COUNT] = {"version", "mode", "max_age", "mx"};

struct lint {
    struct check_report *report;
    unsigned line;
    unsigned seen;       /* a bit for each key */
    unsigned blank_line; /* the first one; 0: none */
};

static struct check_note
warning(const char *advice)
{
    return (struct check_note){.layer = CHECK_POLICY, .status = CHECK_WARNING, .advice = advice};
}

/* '_' and '-' are the same here, and letters' case does not matter. */
static bool
is_like(struct span key, const char *name)
{
    if (key.len != strlen(name))
        return false;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.at[i] == '-' ? '_' : ascii_lower(key.at[i]);
        if (c != name[i])
            return false;
    }
    return true;
}

static void
lint_unknown_key(struct lint *l, struct span key)
{
    struct check_note note = warning("remove the line, unless it is meant as an extension");
    char quote[CHECK_QUOTE_SIZE];

    for (int i = 0; i < KEY_COUNT; i++) {
        if (!is_like(key, key_names[i]))
            continue;
        note.advice = "write the key in lower case, as RFC 8461 s3.2 has it";
        check_add(l->report, &note, "line %u: the key \"%s\" is not known, \"%s\" is", l->line,
                  check_quote(key, quote), key_names[i]);
        return;
    }
    check_add(l->report, &note, "line %u: the key \"%s\" is not known; senders ignore it", l->line,
              check_quote(key, quote));
}

static void
lint_mx(struct lint *l, struct span value)
{
    struct check_note note = warning("write a full host name, or \"*.\" before a domain of two "
                                     "labels or more");
    char quote[CHECK_QUOTE_SIZE], name[DOMAIN_SIZE];
    bool wildcard = value.len > 2 && memcmp(value.at, "*.", 2) == 0;
    struct span rest = {wildcard ? value.at + 2 : value.at, wildcard ? value.len - 2 : value.len};

    if (value.len == 0 || !domain_fold(rest.at, rest.len, name))
        return; /* policy_parse has said so */
    check_quote(value, quote);
    if (!domain_has_dot(name) || !domain_is_normal(name)) {
        check_add(l->report, &note, "line %u: mx \"%s\" can match no host here", l->line, quote);
        return;
    }
    if (value.at[value.len - 1] == '.') {
        note.advice = "write it without the final dot, which not every sender takes";
        check_add(l->report, &note, "line %u: mx \"%s\" ends in a dot", l->line, quote);
    }
}

static void
lint_field(struct lint *l, struct span line)
{
    struct scan s = scan_bytes(line.at, line.len);
    struct span key = scan_until(&s, ':');
    struct check_note note = warning("remove one of the two");
    int i = 0;

    if (!scan_char(&s, ':'))
        return; /* policy_parse has said so */
    while (i < KEY_COUNT && !span_is(key, key_names[i]))
        i++;
    if (i == KEY_COUNT) {
        lint_unknown_key(l, key);
    } else if (i == KEY_MX) {
        lint_mx(l, span_trim((struct span){s.at, (size_t)(s.end - s.at)}));
    } else if (l->seen & 1u << i) {
        check_add(l->report, &note, "line %u: %s stands there twice; only the first counts",
                  l->line, key_names[i]);
    }
    if (i < KEY_COUNT)
        l->seen |= 1u << i;
}

static bool
has_lone_cr(struct span line)
{
    return line.len > 0 && memchr(line.at, '\r', line.len) != NULL;
}

/* LF and CRLF are both right (RFC 8461 s3.2, sts-policy-term). */
static void
lint_lines(struct check_report *r, struct span body)
{
    struct lint l = {.report = r};
    struct scan rest = scan_bytes(body.at, body.len);
    struct check_note note = warning("remove blank lines: the grammar has none, and some senders "
                                     "refuse the file");

    while (!scan_is_done(&rest)) {
        struct span line = scan_until(&rest, '\n');
        bool ended = scan_char(&rest, '\n');

        l.line++;
        if (ended && line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        if (span_trim(line).len == 0)
            l.blank_line = l.blank_line == 0 ? l.line : l.blank_line;
        else
            lint_field(&l, line);
        if (has_lone_cr(line)) {
            struct check_note cr = warning("end lines with LF or CRLF");
            check_add(r, &cr, "line %u: a CR that no LF follows is part of the line", l.line);
        }
    }
    if (l.blank_line != 0)
        check_add(r, &note, "line %u is blank", l.blank_line);
}

/* --- the policy as a whole -------------------------------------------------------------------- */

static void
lint_max_age(struct check_report *r, const struct policy *policy)
{
    uint32_t s = policy_max_age_s(policy);
    struct check_note note = warning("604800 (a week) or more, unless a change is under way");

    if (policy_mode(policy) == POLICY_MODE_NONE)
        return; /* on the way out it is short rightly (RFC 8461 s8.3) */
    if (s < CHECK_MAX_AGE_TOO_SHORT_S)
        check_add(r, &note, "max_age %u is less than a day: most senders are hardly ever protected",
                  (unsigned)s);
    else if (s < CHECK_MAX_AGE_SHORT_S)
        check_add(r, &note, "max_age %u is short: RFC 8461 s3.2 thinks of weeks", (unsigned)s);
    else if (s == POLICY_MAX_AGE_MAX) {
        note.advice = "31557600 is the most that RFC 8461 allows";
        note.status = CHECK_OK;
        check_add(r, &note, "max_age counts as %u", (unsigned)s);
    }
}

static void
lint_mode(struct check_report *r, const struct policy *policy)
{
    struct check_note note = {.layer = CHECK_POLICY};

    switch (policy_mode(policy)) {
    case POLICY_MODE_ENFORCE:
        check_add(r, &note, "mode enforce, max_age %u, %zu mx that can match",
                  (unsigned)policy_max_age_s(policy), policy_mx_count(policy));
        break;
    case POLICY_MODE_TESTING:
        note.status = CHECK_WARNING;
        note.advice = "go over to enforce when the reports are clean, with a new id";
        check_add(r, &note, "mode testing: failures are reported, and mail goes all the same");
        break;
    case POLICY_MODE_NONE:
        note.status = CHECK_WARNING;
        note.exit_code = EXIT_NO_POLICY;
        note.advice = "none is for the way out (RFC 8461 s8.3); publish testing or enforce "
                      "to be protected";
        check_add(r, &note, "mode none: nothing is protected");
    }
    if (policy_mode(policy) == POLICY_MODE_ENFORCE && policy_mx_count(policy) == 0) {
        note = (struct check_note){.layer = CHECK_POLICY,
                                   .status = CHECK_ERROR,
                                   .reason = STS_MX_NOT_LISTED,
                                   .advice = "list the domain's MX hosts"};
        check_add(r, &note, "no mx can match any host: senders refuse all mail to the domain");
    }
}

static struct policy *
parse(struct check_report *r, const struct fetch_result *fetch)
{
    struct check_note note = {.layer = CHECK_POLICY, .status = CHECK_ERROR};
    struct policy *policy;
    char detail[SOURCE_DETAIL_SIZE] = "";

    note.reason =
        policy_parse((struct span){fetch->body, fetch->len}, "", &policy, detail, sizeof detail);
    if (policy != NULL)
        return policy;
    note.advice = fetch->len >= 3 && memcmp(fetch->body, "\xef\xbb\xbf", 3) == 0
                      ? "save the file without a byte order mark"
                      : "mend the file; senders see no policy in it";
    check_add(r, &note, "%s", detail);
    return NULL;
}

struct policy *
check_policy_file(struct check_report *r, const struct fetch_result *fetch)
{
    char url[CHECK_SUBJECT_SIZE];
    struct check_note note = {.layer = CHECK_FETCH,
                              .reason = fetch->error,
                              .http_status = fetch->http_status,
                              .subject = url};
    struct policy *policy;

    snprintf(url, sizeof url, "https://mta-sts.%s/.well-known/mta-sts.txt", r->domain);
    if (fetch->error != STS_OK) {
        note.status = CHECK_ERROR;
        note.advice = advice_on_fetch(fetch->error);
        check_add(r, &note, "%s%s%s", sts_error_text(fetch->error),
                  fetch->detail[0] != '\0' ? ": " : "", fetch->detail);
        return NULL;
    }
    check_add(r, &note, "fetched, %zu bytes", fetch->len);
    policy = parse(r, fetch);
    if (policy != NULL) {
        r->has_policy = true;
        r->mode = policy_mode(policy);
        r->max_age_s = policy_max_age_s(policy);
        lint_mode(r, policy);
        lint_max_age(r, policy);
    }
    lint_lines(r, (struct span){fetch->body, fetch->len});
    return policy;
}
