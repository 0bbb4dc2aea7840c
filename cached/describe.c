#include "cached/describe.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/replies.h"
#include "common/clock.h"

/* --- JSON values ------------------------------------------------------------------------------ */

/* Every byte outside ASCII as "\xNN". */
static json_t *
escaped_string(const char *bytes, size_t len)
{
    struct buf text;
    json_t *value;

    buf_init(&text, 4 * len + 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c < 0x80)
            buf_add_char(&text, (char)c);
        else
            buf_printf(&text, "\\x%02X", c);
    }
    value = json_stringn(buf_string(&text), text.len);
    buf_done(&text);
    return value;
}

static json_t *
string_of(const char *bytes, size_t len)
{
    json_t *value = json_stringn(bytes, len); /* NULL when this is no UTF-8 */

    return value != NULL ? value : escaped_string(bytes, len);
}

static void
set_string(json_t *object, const char *key, const char *s)
{
    json_object_set_new(object, key,
                        s == NULL || s[0] == '\0' ? json_null() : string_of(s, strlen(s)));
}

static void
set_integer(json_t *object, const char *key, int64_t n)
{
    json_object_set_new(object, key, json_integer(n));
}

static void
set_reason(json_t *object, enum sts_error reason, const char *detail, int http_status)
{
    set_string(object, "reason", sts_error_name(reason));
    set_string(object, "reason_text", sts_error_text(reason));
    set_string(object, "detail", detail);
    if (http_status != 0)
        set_integer(object, "http_status", http_status);
    else
        json_object_set_new(object, "http_status", json_null());
}

static json_t *
mx_of(const struct policy *policy)
{
    json_t *list = json_array();

    for (size_t i = 0; policy != NULL && i < policy_mx_count(policy); i++) {
        struct span mx = policy_mx(policy, i);
        json_array_append_new(list, string_of(mx.at, mx.len));
    }
    return list;
}

static json_t *
last_failure_of(const struct entry *e)
{
    const struct fetch_failure *f = e != NULL ? e->failure : NULL;
    json_t *object;

    if (f == NULL)
        return json_null();
    object = json_object();
    set_reason(object, f->error, f->detail, f->http_status);
    set_string(object, "id", f->id);
    set_integer(object, "tried", clock_wall_of(cache_tried_ms(e, 0)));
    return object;
}

static void
put(json_t *object, struct buf *out)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);

    buf_add_string(out, text);
    free(text);
    json_decref(object);
}

/* --- query ------------------------------------------------------------------------------------ */

static void
set_policy_of_judgement(json_t *object, const struct judgement *j)
{
    static const char *const keys[] = {"mode", "id", "max_age", "expires", "fetched", "refresh"};

    if (j->policy == NULL) {
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            json_object_set_new(object, keys[i], json_null());
        return;
    }
    set_string(object, "mode", policy_mode_name(policy_mode(j->policy)));
    set_string(object, "id", policy_id(j->policy));
    set_integer(object, "max_age", policy_max_age_s(j->policy));
    set_integer(object, "expires", j->expires_s);
    set_integer(object, "fetched", j->entry->fetched_s);
    set_integer(object, "refresh", clock_wall_of(j->entry->refresh_s * SECOND_MS));
}

/* The line that the `verdict` map would answer. */
static void
set_reply(json_t *object, const struct judgement *j)
{
    size_t mx_count = j->policy != NULL ? policy_mx_count(j->policy) : 0;
    struct span hosts[SOURCE_MX_MAX], *mx = alloc_zero(mx_count, sizeof(*mx));
    struct answer answer = replies_answer(j, mx, hosts);
    struct buf line;

    buf_init(&line, ANSWER_MAX);
    answer_format(&answer, &line);
    set_string(object, "reply", buf_string(&line));
    buf_done(&line);
    free(mx);
}

/* What DANE says of each candidate host. */
static json_t *
dane_of(const struct judgement *j)
{
    json_t *object = json_object();

    for (size_t i = 0; i < j->candidate_count; i++)
        json_object_set_new(object, j->candidates[i], json_string(dane_state_name(j->dane[i])));
    return object;
}

/* What is known of the TLS of each listed host, where probing counted. */
static json_t *
probes_of(const struct judgement *j)
{
    json_t *list = json_array();

    for (size_t i = 0; i < j->probe_count; i++) {
        const struct verdict_probe *p = &j->probes[i];
        json_t *probe = json_object();

        set_string(probe, "host", p->host);
        set_string(probe, "result", probes_word(&p->memory));
        set_string(probe, "detail", p->memory.detail);
        if (p->memory.state == PROBE_KNOWN)
            set_integer(probe, "until", clock_wall_of(clock_boot_ms() + p->memory.left_ms));
        else
            json_object_set_new(probe, "until", json_null());
        json_array_append_new(list, probe);
    }
    return list;
}

void
describe_judgement(const struct judgement *j, struct buf *out)
{
    json_t *object = json_object(), *hosts = json_array(), *candidates = json_array();

    set_string(object, "verdict", verdict_name(j->verdict));
    set_string(object, "domain", j->domain);
    set_policy_of_judgement(object, j);
    json_object_set_new(object, "mx", mx_of(j->policy));
    for (size_t i = 0; i < j->host_count; i++)
        json_array_append_new(hosts, json_string(j->hosts[i]));
    json_object_set_new(object, "hosts", hosts);
    for (size_t i = 0; i < j->candidate_count; i++)
        json_array_append_new(candidates, json_string(j->candidates[i]));
    json_object_set_new(object, "candidates", candidates);
    json_object_set_new(object, "dane", j->dane != NULL ? dane_of(j) : json_null());
    json_object_set_new(object, "probes", probes_of(j));
    set_string(object, "source", j->source == SOURCE_NONE ? NULL : answer_source_name(j->source));
    set_reason(object, j->reason, j->detail, j->http_status);
    json_object_set_new(object, "last_failure", last_failure_of(j->entry));
    set_integer(object, "exit", exitcode_of_verdict(j->verdict, j->reason, j->http_status));
    set_reply(object, j);
    put(object, out);
}

/* --- list and show ---------------------------------------------------------------------------- */

static json_t *
policy_object(const struct held_policy *p)
{
    json_t *object = json_object();

    set_string(object, "domain", p->domain);
    set_string(object, "mode", policy_mode_name(policy_mode(p->policy)));
    set_integer(object, "max_age", policy_max_age_s(p->policy));
    set_integer(object, "expires", p->expires_s);
    set_string(object, "id", p->id);
    set_integer(object, "fetched", p->fetched_s);
    return object;
}

void
describe_policy(const struct held_policy *p, struct buf *out)
{
    put(policy_object(p), out);
}

void
describe_held(const struct held_policy *p, const struct entry *e, struct buf *out)
{
    json_t *object = policy_object(p);
    struct span body = policy_body(p->policy);
    bool in_memory = e != NULL && e->policy != NULL;

    set_integer(object, "refresh", p->refresh_s);
    json_object_set_new(object, "mx", mx_of(p->policy));
    json_object_set_new(object, "body", string_of(body.at, body.len));
    set_string(object, "source", answer_source_name(in_memory ? SOURCE_MEMORY : SOURCE_LMDB));
    json_object_set_new(object, "last_failure", last_failure_of(e));
    set_integer(object, "exit",
                policy_mode(p->policy) == POLICY_MODE_NONE ? EXIT_NO_POLICY : EXIT_DONE);
    put(object, out);
}

/* --- flush and refresh ------------------------------------------------------------------------ */

static const char *
outcome_name(enum refetch_outcome outcome)
{
    switch (outcome) {
    case REFETCH_RENEWED:
        return "renewed";
    case REFETCH_KEPT:
        return "kept";
    case REFETCH_UNKNOWN:
        return "unknown";
    case REFETCH_NO_POLICY:
        break;
    }
    return "no-policy";
}

/* The object without its closing brace. */
static void
put_open(json_t *object, struct buf *out)
{
    put(object, out);
    if (!buf_failed(out))
        out->len--;
}

void
describe_refetch(const struct refetch_result *r, struct buf *out)
{
    json_t *object = json_object();

    set_string(object, "domain", r->domain);
    set_string(object, "outcome", outcome_name(r->outcome));
    set_reason(object, r->error, r->detail, r->http_status);
    put_open(object, out);
}

void
describe_forgotten(const char *domain, struct buf *out)
{
    static const char *const keys[] = {"reason", "reason_text", "detail", "http_status"};
    json_t *object = json_object();

    set_string(object, "domain", domain);
    set_string(object, "outcome", "forgotten");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        json_object_set_new(object, keys[i], json_null());
    put_open(object, out);
}

void
describe_flush(const struct flush_result *r, struct buf *out)
{
    json_t *object = json_object(), *failures = json_array();

    set_integer(object, "renewed", (int64_t)r->renewed);
    set_integer(object, "kept", (int64_t)r->kept);
    set_integer(object, "no_policy", (int64_t)r->no_policy);
    set_integer(object, "forgotten", (int64_t)r->forgotten);
    for (size_t i = 0; i < r->failure_count; i++) {
        const struct flush_failure *f = &r->failures[i];
        json_t *failure = json_object();

        set_string(failure, "domain", f->domain);
        set_string(failure, "outcome", outcome_name(f->outcome));
        set_reason(failure, f->error, f->detail, f->http_status);
        json_array_append_new(failures, failure);
    }
    json_object_set_new(object, "failures", failures);
    put_open(object, out);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static json_t *
nodes_of(const struct farm_node *nodes, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *node = json_object();

        set_string(node, "name", nodes[i].name);
        json_object_set_new(node, "self", json_boolean(nodes[i].self));
        json_object_set_new(node, "confirmed", json_boolean(nodes[i].confirmed));
        set_integer(node, "last_seen", nodes[i].last_seen_s);
        json_array_append_new(array, node);
    }
    return array;
}

static const char *
away_of(const struct describe_farm *farm)
{
    return !farm->has_redis ? "null" : farm->is_away ? "true" : "false";
}

void
describe_end(const struct describe_farm *farm, enum exitcode exit_code, struct buf *out)
{
    buf_add_string(out, ",\"nodes\":");
    put(farm->nodes != NULL ? nodes_of(farm->nodes, farm->count) : json_null(), out);
    buf_printf(out, ",\"redis_away\":%s,\"exit\":%d}", away_of(farm), (int)exit_code);
}

void
describe_nodes(const struct describe_farm *farm, struct buf *out)
{
    buf_add_string(out, "{\"nodes\":");
    put(nodes_of(farm->nodes, farm->count), out);
    buf_printf(out, ",\"redis_away\":%s}", away_of(farm));
}

/* --- config ----------------------------------------------------------------------------------- */

void
describe_settings(const struct settings *s, struct buf *out)
{
    static const char *const modes[] = {
        [WORK_ENFORCE] = "enforce", [WORK_OBSERVE] = "observe", [WORK_OFF] = "off"};
    json_t *object = json_object(), *listen = json_array();

    for (size_t i = 0; i < s->listen.count; i++)
        json_array_append_new(listen, string_of(s->listen.items[i], strlen(s->listen.items[i])));
    json_object_set_new(object, "listen", listen);
    set_integer(object, "socket_mode", s->socket_mode);
    set_string(object, "mode", modes[s->mode]);
    json_object_set_new(object, "dane", json_boolean(s->dane));
    set_string(object, "dane_on_failure", s->dane_on_failure == DANE_FAILURE_STS ? "sts" : "defer");
    json_object_set_new(object, "probe", json_boolean(s->probe));
    set_integer(object, "probe_port", s->probe_port);
    set_string(object, "ca_file", s->fetch.ca_file);
    put(object, out);
}
