#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cached/stsctl_print.h"
#include "common/clock.h"

enum { NOW_S = 1790000000 };

static const struct {
    const char *name;
    void (*print)(FILE *, const struct json_t *);
    const char *json, *want;
} rows[] = {
    {"verdict", print_verdict, "{\"reply\":\"verdict=secure reason=ok\",\"reason\":\"ok\"}",
     "verdict=secure reason=ok\n"},
    {"what DANE says", print_verdict,
     "{\"reply\":\"v\",\"reason\":\"ok\",\"dane\":{\"mx1.a.example\":\"usable\",\"b.example\":"
     "\"none\"}}",
     "v\ndane: mx1.a.example usable, b.example none\n"},
    {"no DANE", print_verdict, "{\"reply\":\"v\",\"reason\":\"ok\",\"dane\":null}", "v\n"},
    {"why, with the layer's own words", print_verdict,
     "{\"reply\":\"verdict=none reason=http-status\",\"reason\":\"http-status\","
     "\"reason_text\":\"an HTTP error\",\"detail\":\"HTTP status 503\",\"mode\":null,"
     "\"last_failure\":{\"reason_text\":\"x\",\"tried\":1}}",
     "verdict=none reason=http-status\nwhy: an HTTP error: HTTP status 503\n"},
    {"a policy whose last fetch failed", print_verdict,
     "{\"reply\":\"verdict=secure\",\"reason\":\"ok\",\"mode\":\"enforce\",\"last_failure\":"
     "{\"reason_text\":\"late\",\"detail\":null,\"tried\":1789999400}}",
     "verdict=secure\nlast failure: 2026-09-21T14:03:20Z (10 min ago): late\n"},
    {"what probes found", print_verdict,
     "{\"reply\":\"verdict=secure\",\"reason\":\"ok\",\"probes\":["
     "{\"host\":\"mx1.a.example\",\"result\":\"tls-name\",\"detail\":\"it is \\u001bb\"},"
     "{\"host\":\"mx2.a.example\",\"result\":\"ok\",\"detail\":null}]}",
     "verdict=secure\nprobe: mx1.a.example tls-name: it is \\x1Bb\nprobe: mx2.a.example ok\n"},
    {"nothing foreign reaches the terminal", print_verdict,
     "{\"reply\":\"v\",\"reason\":\"x\",\"reason_text\":\"t\",\"detail\":\"\\u001b["
     "2J\\u0007\xc3\xa9"
     "\\u0000z\"}",
     "v\nwhy: t: \\x1B[2J\\x07\\xC3\\xA9\\x00z\n"},
    {"check", print_check,
     "{\"domain\":\"a.example\",\"mode\":null,\"checks\":[{\"layer\":\"txt\",\"status\":"
     "\"error\",\"subject\":\"_mta-sts.a.example\",\"text\":\"no \\u001brecord\",\"advice\":"
     "\"publish one\"},{\"layer\":\"tlsrpt\",\"status\":\"ok\",\"subject\":null,\"text\":"
     "\"one\",\"advice\":null}]}",
     "error    txt     _mta-sts.a.example: no \\x1Brecord; do: publish one\n"
     "ok       tlsrpt  one\na.example: mode -, errors: 1, warnings: 0\n"},
    {"list", print_policy_line,
     "{\"domain\":\"a.example\",\"mode\":\"enforce\",\"max_age\":86400,\"expires\":1790086400,"
     "\"id\":null,\"fetched\":5}",
     "a.example enforce 86400 1790086400 -\n"},
    {"show", print_policy,
     "{\"domain\":\"a.example\",\"mode\":\"testing\",\"id\":\"1\",\"max_age\":86400,"
     "\"source\":\"lmdb\",\"fetched\":1790000000,\"refresh\":1790007200,\"expires\":1790259200,"
     "\"mx\":[\"mx1.a.example\",\"*.b.example\"],\"last_failure\":null,"
     "\"body\":\"version: STSv1\\r\\n\\r\\nx: \\u001b\"}",
     "domain:       a.example\nmode:         testing\nid:           1\nmax_age:      86400\n"
     "source:       lmdb\nfetched:      2026-09-21T14:13:20Z (0 s ago)\n"
     "refresh:      2026-09-21T16:13:20Z (in 2 h)\nexpires:      2026-09-24T14:13:20Z (in 3 d)\n"
     "mx:           mx1.a.example\n              *.b.example\n"
     "policy:\n    version: STSv1\n    \n    x: \\x1B\n"},
    {"refetch", print_refetch,
     "{\"domain\":\"a.example\",\"outcome\":\"renewed\",\"reason\":\"ok\"}",
     "a.example: renewed\n"},
    {"refetch that failed", print_refetch,
     "{\"domain\":\"a.example\",\"outcome\":\"kept\",\"reason\":\"timeout\",\"reason_text\":"
     "\"late\"}",
     "a.example: kept: late\n"},
    {"flush", print_flush,
     "{\"renewed\":4,\"kept\":1,\"no_policy\":0,\"forgotten\":2,\"failures\":[{\"domain\":"
     "\"b.example\",\"outcome\":\"kept\",\"reason\":\"timeout\",\"reason_text\":\"late\"}]}",
     "b.example: kept: late\nrenewed: 4, kept: 1, without a policy now: 0, forgotten: 2\n"},
    {"stats", print_stats, "{\"questions\":0,\"reasons\":{\"ok\":0,\"timeout\":3}}",
     "questions                        0\nreasons.timeout                  3\n"},
    {"nodes", print_nodes,
     "{\"nodes\":[{\"name\":\"mx1\",\"confirmed\":true,\"last_seen\":1790000000},"
     "{\"name\":\"mx2\",\"confirmed\":false,\"last_seen\":1789999970}]}",
     "mx1 confirmed 2026-09-21T14:13:20Z (0 s ago)\nmx2 unconfirmed 2026-09-21T14:12:50Z (30 s "
     "ago)\n"},
    {"nodes, one of them this", print_nodes,
     "{\"nodes\":[{\"name\":\"mx1\",\"self\":true,\"confirmed\":true,\"last_seen\":1790000000},"
     "{\"name\":\"mx2\",\"self\":false,\"confirmed\":true,\"last_seen\":1790000000}],"
     "\"redis_away\":false}",
     "mx1 confirmed 2026-09-21T14:13:20Z (0 s ago) this node\n"
     "mx2 confirmed 2026-09-21T14:13:20Z (0 s ago)\n"},
    {"nodes while Redis is away", print_nodes,
     "{\"nodes\":[{\"name\":\"mx1\",\"self\":true,\"confirmed\":false,\"last_seen\":1790000000}],"
     "\"redis_away\":true}",
     "mx1 unconfirmed 2026-09-21T14:13:20Z (0 s ago) this node\n"
     "Redis is away: other nodes are not known until it returns\n"},
    {"an order while Redis is away", print_unconfirmed,
     "{\"domain\":\"example.com\",\"nodes\":null,\"redis_away\":true}",
     "Redis is away: this node alone has done it, the others follow when it returns\n"},
    {"that waits", print_unconfirmed, "{\"nodes\":[],\"redis_away\":true}",
     "confirmed by 0 of 0 nodes\n"
     "Redis is away: this node alone has done it, the others follow when it returns\n"},
    {"who has not confirmed", print_unconfirmed,
     "{\"nodes\":[{\"name\":\"mx1\",\"confirmed\":true,\"last_seen\":1790000000},"
     "{\"name\":\"mx2\",\"confirmed\":false,\"last_seen\":1789999970}]}",
     "not confirmed: mx2, last seen 2026-09-21T14:12:50Z (30 s ago)\nconfirmed by 1 of 2 nodes\n"},
    {"nobody was waited for", print_unconfirmed, "{\"domain\":\"example.com\"}", ""},
    {"a reply without its keys", print_policy, "{}",
     "domain:       -\nmode:         -\nid:           -\nmax_age:      -\nsource:       -\n"
     "fetched:      -\nrefresh:      -\nexpires:      -\npolicy:\n"},
};

static void
test_what_people_see(void **state)
{
    (void)state;
    clock_fake(1000, NOW_S);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *reply = json_loads(rows[i].json, JSON_ALLOW_NUL, NULL);
        char *text;
        size_t len;
        FILE *out = open_memstream(&text, &len);

        assert_non_null(reply);
        rows[i].print(out, reply);
        fclose(out);
        if (strcmp(text, rows[i].want) != 0)
            fail_msg("%s:\n%s\nwanted:\n%s", rows[i].name, text, rows[i].want);
        free(text);
        json_decref(reply);
    }
}

/* A query socket's line becomes the object that the control socket would have sent. */
static void
test_answer_as_json(void **state)
{
    static const char line[] =
        "verdict=secure domain=a.example mode=enforce id=7 max_age=86400 expires=1790086400 "
        "mx=mx1.a.example,*.b.example hosts=mx1.a.example source=memory reason=ok";
    static const char want[] =
        "{\"verdict\":\"secure\",\"domain\":\"a.example\",\"mode\":\"enforce\",\"id\":\"7\","
        "\"max_age\":86400,\"expires\":1790086400,"
        "\"fetched\":null,\"refresh\":null,\"mx\":[\"mx1.a.example\",\"*.b.example\"],"
        "\"hosts\":[\"mx1.a.example\"],"
        "\"candidates\":null,\"dane\":null,\"probes\":null,\"source\":\"memory\",\"reason\":\"ok\","
        "\"reason_text\":\"all is well\",\"detail\":null,\"http_status\":null,"
        "\"last_failure\":null,\"exit\":0,\"reply\":\"verdict=secure domain=a.example "
        "mode=enforce id=7 max_age=86400 expires=1790086400 mx=mx1.a.example,*.b.example "
        "hosts=mx1.a.example source=memory reason=ok\"}";
    static const char none[] = "verdict=none domain=a.example mode=- id=- max_age=- expires=- mx=- "
                               "hosts=- source=- reason=no-record";
    struct answer_view view;
    json_t *object;
    char *text;

    (void)state;
    assert_true(answer_parse(line, sizeof line - 1, &view));
    object = print_answer_json(&view, line, 0);
    text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(text, want);
    free(text);
    json_decref(object);
    answer_view_done(&view);

    assert_true(answer_parse(none, sizeof none - 1, &view));
    object = print_answer_json(&view, none, 1);
    assert_int_equal(json_unpack(object, "{s:n s:n s:n s:n s:[] s:[] s:n}", "mode", "id", "max_age",
                                 "expires", "mx", "hosts", "source"),
                     0);
    json_decref(object);
    answer_view_done(&view);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_people_see),
        cmocka_unit_test(test_answer_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
