#include "cached/stsctl_print.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

enum { LABEL_WIDTH = 14 };

/* --- pieces ----------------------------------------------------------------------------------- */

void
print_bytes(FILE *out, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c <= 0x7e)
            fputc(c, out);
        else
            fprintf(out, "\\x%02X", c);
    }
}

static void
print_value(FILE *out, const json_t *value)
{
    if (json_is_string(value))
        print_bytes(out, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value))
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        fputc('-', out);
}

static void
print_key(FILE *out, const json_t *object, const char *key)
{
    print_value(out, json_object_get(object, key));
}

static void
print_label(FILE *out, const char *label)
{
    fprintf(out, "%-*s", LABEL_WIDTH, label);
}

static const char *
text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s != NULL ? s : "";
}

/* "the policy host answered with an HTTP error: HTTP status 503" */
static void
print_reason(FILE *out, const json_t *object)
{
    print_key(out, object, "reason_text");
    if (json_is_string(json_object_get(object, "detail"))) {
        fputs(": ", out);
        print_key(out, object, "detail");
    }
}

/* "3 d", "5 h", "12 min", "40 s" */
static void
print_span(FILE *out, int64_t seconds)
{
    if (seconds >= 2 * 86400)
        fprintf(out, "%" PRId64 " d", seconds / 86400);
    else if (seconds >= 2 * 3600)
        fprintf(out, "%" PRId64 " h", seconds / 3600);
    else if (seconds >= 2 * 60)
        fprintf(out, "%" PRId64 " min", seconds / 60);
    else
        fprintf(out, "%" PRId64 " s", seconds);
}

/* "2026-08-01T12:00:00Z (in 3 d)" */
static void
print_time(FILE *out, const json_t *value)
{
    time_t at = (time_t)json_integer_value(value);
    int64_t ahead = at - clock_wall_s();
    struct tm tm;
    char text[40];

    if (!json_is_integer(value) || gmtime_r(&at, &tm) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        fputc('-', out);
        return;
    }
    fprintf(out, "%s (%s", text, ahead > 0 ? "in " : "");
    print_span(out, ahead > 0 ? ahead : -ahead);
    fputs(ahead > 0 ? ")" : " ago)", out);
}

static void
print_last_failure(FILE *out, const json_t *object)
{
    const json_t *failure = json_object_get(object, "last_failure");

    if (!json_is_object(failure))
        return;
    print_label(out, "last failure:");
    print_time(out, json_object_get(failure, "tried"));
    fputs(": ", out);
    print_reason(out, failure);
    fputc('\n', out);
}

/* --- query ------------------------------------------------------------------------------------ */

/* "dane: mx1.example.com usable, mx2.example.com none" */
static void
print_dane(FILE *out, json_t *states)
{
    const char *host, *separator = "dane: ";
    json_t *state;

    json_object_foreach(states, host, state)
    {
        fputs(separator, out);
        print_bytes(out, host, strlen(host));
        fputc(' ', out);
        print_key(out, states, host);
        separator = ", ";
    }
    if (json_object_size(states) > 0)
        fputc('\n', out);
}

/* "probe: mx1.example.com tls-name: the certificate is for mx.example.net" */
static void
print_probes(FILE *out, const json_t *reply)
{
    const json_t *probes = json_object_get(reply, "probes");

    for (size_t i = 0; i < json_array_size(probes); i++) {
        const json_t *probe = json_array_get(probes, i);

        fputs("probe: ", out);
        print_key(out, probe, "host");
        fputc(' ', out);
        print_key(out, probe, "result");
        if (json_is_string(json_object_get(probe, "detail"))) {
            fputs(": ", out);
            print_key(out, probe, "detail");
        }
        fputc('\n', out);
    }
}

void
print_verdict(FILE *out, const json_t *reply)
{
    print_key(out, reply, "reply");
    fputc('\n', out);
    if (strcmp(text_of(reply, "reason"), "ok") != 0) {
        fputs("why: ", out);
        print_reason(out, reply);
        fputc('\n', out);
    }
    print_dane(out, json_object_get(reply, "dane"));
    print_probes(out, reply);
    if (json_is_string(json_object_get(reply, "mode")))
        print_last_failure(out, reply);
}

void
print_answer(FILE *out, const char *line, const struct answer_view *view)
{
    print_bytes(out, line, strlen(line));
    fputc('\n', out);
    if (view->reason != STS_OK)
        fprintf(out, "why: %s\n", sts_error_text(view->reason));
}

static json_t *
string_or_null(const char *s)
{
    return s[0] != '\0' ? json_string(s) : json_null();
}

/* "a,b" as ["a","b"] */
static json_t *
array_of(const char *list)
{
    json_t *array = json_array();

    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        json_array_append_new(array, json_stringn(list, len));
        list += len + (list[len] == ',');
    }
    return array;
}

json_t *
print_answer_json(const struct answer_view *view, const char *line, int exit_code)
{
    bool has_policy = view->mode[0] != '\0';

    return json_pack(
        "{so so so so so so sn sn so so sn sn sn so ss ss sn sn sn si ss}", "verdict",
        json_string(verdict_name(view->verdict)), "domain", string_or_null(view->domain), "mode",
        string_or_null(view->mode), "id", string_or_null(view->id), "max_age",
        has_policy ? json_integer((json_int_t)view->max_age_s) : json_null(), "expires",
        has_policy ? json_integer(view->expires_s) : json_null(), "fetched", "refresh", "mx",
        array_of(view->mx), "hosts", array_of(view->hosts), "candidates", "dane", "probes",
        "source", string_or_null(view->source), "reason", sts_error_name(view->reason),
        "reason_text", sts_error_text(view->reason), "detail", "http_status", "last_failure",
        "exit", exit_code, "reply", line);
}

/* --- check ------------------------------------------------------------------------------------ */

/* "warning  mx      mx1.example.com: not listed in the policy; do: add it ..." */
static void
print_finding(FILE *out, const json_t *line)
{
    fprintf(out, "%-8s %-7s ", text_of(line, "status"), text_of(line, "layer"));
    if (json_is_string(json_object_get(line, "subject"))) {
        print_key(out, line, "subject");
        fputs(": ", out);
    }
    print_key(out, line, "text");
    if (json_is_string(json_object_get(line, "advice"))) {
        fputs("; do: ", out);
        print_key(out, line, "advice");
    }
    fputc('\n', out);
}

static size_t
count_findings(const json_t *lines, const char *status)
{
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(lines); i++)
        count += strcmp(text_of(json_array_get(lines, i), "status"), status) == 0;
    return count;
}

void
print_check(FILE *out, const json_t *reply)
{
    const json_t *lines = json_object_get(reply, "checks");

    for (size_t i = 0; i < json_array_size(lines); i++)
        print_finding(out, json_array_get(lines, i));
    print_key(out, reply, "domain");
    fputs(": mode ", out);
    print_key(out, reply, "mode");
    fprintf(out, ", errors: %zu, warnings: %zu\n", count_findings(lines, "error"),
            count_findings(lines, "warning"));
}

/* --- show and list ---------------------------------------------------------------------------- */

static void
print_body(FILE *out, const json_t *body)
{
    const char *at = json_string_value(body);
    const char *end = at + json_string_length(body);

    while (at != NULL && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((newline != NULL ? newline : end) - at);

        fputs("    ", out);
        print_bytes(out, at, len > 0 && at[len - 1] == '\r' ? len - 1 : len);
        fputc('\n', out);
        at += len + 1;
    }
}

void
print_policy(FILE *out, const json_t *reply)
{
    static const char *const plain[] = {"domain", "mode", "id", "max_age", "source"};
    static const char *const times[] = {"fetched", "refresh", "expires"};
    const json_t *mx = json_object_get(reply, "mx");
    char label[LABEL_WIDTH];

    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        snprintf(label, sizeof(label), "%s:", plain[i]);
        print_label(out, label);
        print_key(out, reply, plain[i]);
        fputc('\n', out);
    }
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        snprintf(label, sizeof(label), "%s:", times[i]);
        print_label(out, label);
        print_time(out, json_object_get(reply, times[i]));
        fputc('\n', out);
    }
    for (size_t i = 0; i < json_array_size(mx); i++) {
        print_label(out, i == 0 ? "mx:" : "");
        print_value(out, json_array_get(mx, i));
        fputc('\n', out);
    }
    print_last_failure(out, reply);
    fputs("policy:\n", out);
    print_body(out, json_object_get(reply, "body"));
}

void
print_policy_line(FILE *out, const json_t *policy)
{
    static const char *const keys[] = {"domain", "mode", "max_age", "expires", "id"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (i > 0)
            fputc(' ', out);
        print_key(out, policy, keys[i]);
    }
    fputc('\n', out);
}

/* --- flush and refresh ------------------------------------------------------------------------ */

void
print_refetch(FILE *out, const json_t *reply)
{
    const char *reason = text_of(reply, "reason");

    print_key(out, reply, "domain");
    fputs(": ", out);
    print_key(out, reply, "outcome");
    if (reason[0] != '\0' && strcmp(reason, "ok") != 0) {
        fputs(": ", out);
        print_reason(out, reply);
    }
    fputc('\n', out);
}

void
print_flush(FILE *out, const json_t *reply)
{
    static const struct {
        const char *key, *label;
    } counts[] = {{"renewed", "renewed"},
                  {"kept", ", kept"},
                  {"no_policy", ", without a policy now"},
                  {"forgotten", ", forgotten"}};
    const json_t *failures = json_object_get(reply, "failures");

    for (size_t i = 0; i < json_array_size(failures); i++)
        print_refetch(out, json_array_get(failures, i));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        fprintf(out, "%s: ", counts[i].label);
        print_key(out, reply, counts[i].key);
    }
    fputc('\n', out);
}

/* --- the daemon ------------------------------------------------------------------------------- */

static void
print_figure(FILE *out, const char *group, const char *name, const json_t *value)
{
    char label[80];

    snprintf(label, sizeof(label), "%s%s%s", group, group[0] != '\0' ? "." : "", name);
    fprintf(out, "%-32s ", label);
    if (strcmp(name, "started") == 0)
        print_time(out, value);
    else
        print_value(out, value);
    fputc('\n', out);
}

/* Figures of a group that are zero say nothing. */
void
print_stats(FILE *out, const json_t *reply)
{
    const char *key, *inner_key;
    json_t *value, *inner;
    json_t *root = (json_t *)(uintptr_t)reply; /* jansson's iterators know no const */

    json_object_foreach(root, key, value)
    {
        if (!json_is_object(value)) {
            print_figure(out, "", key, value);
            continue;
        }
        json_object_foreach(value, inner_key, inner)
        {
            if (json_integer_value(inner) != 0)
                print_figure(out, key, inner_key, inner);
        }
    }
}

void
print_nodes(FILE *out, const json_t *reply)
{
    const json_t *nodes = json_object_get(reply, "nodes");

    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);

        print_key(out, node, "name");
        fputs(json_is_true(json_object_get(node, "confirmed")) ? " confirmed " : " unconfirmed ",
              out);
        print_time(out, json_object_get(node, "last_seen"));
        fputs(json_is_true(json_object_get(node, "self")) ? " this node\n" : "\n", out);
    }
    if (json_is_true(json_object_get(reply, "redis_away")))
        fputs("Redis is away: other nodes are not known until it returns\n", out);
}

/* How many of the nodes have confirmed, and those that have not. */
static void
print_confirmed(FILE *out, const json_t *reply)
{
    const json_t *nodes = json_object_get(reply, "nodes");
    size_t confirmed = 0;

    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);

        if (json_is_true(json_object_get(node, "confirmed"))) {
            confirmed++;
            continue;
        }
        fputs("not confirmed: ", out);
        print_key(out, node, "name");
        fputs(", last seen ", out);
        print_time(out, json_object_get(node, "last_seen"));
        fputc('\n', out);
    }
    fprintf(out, "confirmed by %zu of %zu nodes\n", confirmed, json_array_size(nodes));
}

void
print_unconfirmed(FILE *out, const json_t *reply)
{
    if (json_is_array(json_object_get(reply, "nodes")))
        print_confirmed(out, reply);
    if (json_is_true(json_object_get(reply, "redis_away")))
        fputs("Redis is away: this node alone has done it, the others follow when it returns\n",
              out);
}
