#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cached/stats.h"
#include "common/buf.h"

enum { PAGE_MAX = 1 << 20 };

static void
test_counts_an_answer(void **state)
{
    static const struct {
        int64_t ms;
        size_t bucket;
    } rows[] = {{-5, 0}, {0, 0},    {1, 0},     {2, 1},     {3, 2},     {5, 2},
                {11, 4}, {1000, 9}, {1001, 10}, {5000, 11}, {5001, 12}, {90000, 12}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stats s = {0};

        stats_count_answer(&s, VERDICT_TESTING, STS_OK, SOURCE_LMDB, rows[i].ms);
        assert_int_equal(s.questions, 1);
        assert_int_equal(s.verdicts[VERDICT_TESTING], 1);
        assert_int_equal(s.reasons[STS_OK], 1);
        assert_int_equal(s.sources[SOURCE_LMDB], 1);
        assert_int_equal(s.answer_ms[rows[i].bucket], 1);
        assert_int_equal(s.answer_ms_sum, rows[i].ms < 0 ? 0 : rows[i].ms);
    }
}

static struct stats
sample(void)
{
    struct stats s = {
        .started_s = 1790000000, .fetches = 7, .connections_open = 3, .redis_refused = 4};

    s.fetches_failed[STS_TLS_NAME] = 2;
    s.probes = 5;
    s.probes_failed[STS_TLS_EXPIRED] = 3;
    stats_count_answer(&s, VERDICT_SECURE, STS_OK, SOURCE_MEMORY, 1);
    stats_count_answer(&s, VERDICT_NONE, STS_NO_RECORD, SOURCE_NONE, 40);
    stats_count_answer(&s, VERDICT_NONE, STS_NO_RECORD, SOURCE_NONE, 6001);
    return s;
}

static void
test_json_has_every_name(void **state)
{
    struct stats s = sample();
    struct buf out;
    json_t *root;
    json_int_t secure, none, reasons, more;

    (void)state;
    buf_init(&out, PAGE_MAX);
    stats_json(&s, NULL, NULL, &out);
    root = json_loads(buf_string(&out), 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_unpack(root, "{s:{s:I, s:I}, s:{s:I}, s:{s:I}}", "verdicts", "secure",
                                 &secure, "none", &none, "reasons", "no-record", &reasons,
                                 "answers_within_ms", "more", &more),
                     0);
    assert_int_equal(secure, 1);
    assert_int_equal(none, 2);
    assert_int_equal(reasons, 2);
    assert_int_equal(more, 1);
    assert_int_equal(json_object_size(json_object_get(root, "reasons")), STS_ERROR_COUNT);
    assert_int_equal(json_object_size(json_object_get(root, "verdicts")), STATS_VERDICTS);
    assert_null(json_object_get(root, "cache"));
    json_decref(root);
    buf_done(&out);
}

/* --- the exposition format: NAME[{label="value",...}] NUMBER, every name declared before ------ */

static bool
is_name(const char *at, size_t len)
{
    if (len == 0 || isdigit((unsigned char)at[0]))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)at[i]) && at[i] != '_' && at[i] != ':')
            return false;
    }
    return true;
}

static void
check_sample_line(const char *line, const char *declared)
{
    size_t len = strcspn(line, "{ ");
    const char *value = strrchr(line, ' ');
    char *end;

    assert_true(is_name(line, len));
    assert_int_equal(strncmp(line, declared, strlen(declared)), 0);
    assert_non_null(value);
    (void)strtod(value + 1, &end);
    assert_true(end != value + 1 && *end == '\0');
    if (line[len] == '{')
        assert_int_equal(value[-1], '}');
}

static void
test_prometheus_is_well_formed(void **state)
{
    struct stats s = sample();
    struct buf out;
    char declared[80] = "";
    size_t samples = 0;

    (void)state;
    buf_init(&out, PAGE_MAX);
    stats_prometheus(&s, NULL, NULL, &out);
    assert_int_equal(out.data[out.len - 1], '\n');
    for (char *rest = out.data, *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_int_equal(sscanf(line, "# TYPE %79s", declared), 1);
        } else if (line[0] != '#' && line[0] != '\0') {
            check_sample_line(line, declared);
            samples++;
        }
    }
    assert_true(samples > 50);
    buf_done(&out);
}

static void
test_prometheus_has_the_figures(void **state)
{
    static const char *const lines[] = {
        "\nsts_questions_total 3\n",
        "\nsts_redis_refused_total 4\n",
        "\nsts_answers_total{verdict=\"secure\"} 1\n",
        "\nsts_answers_total{verdict=\"none\"} 2\n",
        "\nsts_reasons_total{reason=\"no-record\"} 2\n",
        "\nsts_sources_total{source=\"memory\"} 1\n",
        "\nsts_fetches_total 7\n",
        "\nsts_fetch_failures_total{reason=\"tls-name\"} 2\n",
        "\nsts_probes_total 5\n",
        "\nsts_probe_failures_total{reason=\"tls-expired\"} 3\n",
        "\nsts_connections_open 3\n",
        "\nsts_start_time_seconds 1790000000\n",
        "\nsts_answer_seconds_bucket{le=\"0.001\"} 1\n",
        "\nsts_answer_seconds_bucket{le=\"0.050\"} 2\n",
        "\nsts_answer_seconds_bucket{le=\"5.000\"} 2\n",
        "\nsts_answer_seconds_bucket{le=\"+Inf\"} 3\n",
        "\nsts_answer_seconds_sum 6.042\n",
        "\nsts_answer_seconds_count 3\n",
    };
    struct stats s = sample();
    struct buf out;

    (void)state;
    buf_init(&out, PAGE_MAX);
    stats_prometheus(&s, NULL, NULL, &out);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (strstr(out.data, lines[i]) == NULL)
            fail_msg("missing: %s", lines[i]);
    }
    buf_done(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_an_answer),
        cmocka_unit_test(test_json_has_every_name),
        cmocka_unit_test(test_prometheus_is_well_formed),
        cmocka_unit_test(test_prometheus_has_the_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
