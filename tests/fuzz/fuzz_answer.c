/* Input: a verdict reply as the milter gets it, without the "OK ". */
#include <string.h>

#include "common/answer.h"
#include "tests/fuzz/fuzz.h"

enum { ITEMS_MAX = 100 };

static struct answer_list
split(const char *text, struct span items[ITEMS_MAX])
{
    struct scan rest = scan_bytes(text, strlen(text));
    size_t count = 0;

    while (count < ITEMS_MAX && !scan_is_done(&rest)) {
        items[count++] = scan_until(&rest, ',');
        scan_char(&rest, ',');
    }
    return (struct answer_list){items, count};
}

static enum answer_source
source_of(const char *name)
{
    int source = SOURCE_FETCH;

    while (source > SOURCE_NONE && strcmp(name, answer_source_name((enum answer_source)source)))
        source--;
    return (enum answer_source)source;
}

/* What was read, written again, reads the same. */
static void
check_round_trip(const struct answer_view *view)
{
    struct span mx[ITEMS_MAX], hosts[ITEMS_MAX];
    const struct answer a = {.verdict = view->verdict,
                             .domain = view->domain,
                             .mode = view->mode,
                             .id = view->id,
                             .has_policy = true,
                             .max_age_s = (uint32_t)view->max_age_s,
                             .expires_s = view->expires_s,
                             .mx = split(view->mx, mx),
                             .hosts = split(view->hosts, hosts),
                             .source = source_of(view->source),
                             .reason = view->reason};
    struct answer_view again;
    struct buf out;

    buf_init(&out, 2 * ANSWER_MAX);
    answer_format(&a, &out);
    REQUIRE(!buf_failed(&out) && out.len <= ANSWER_MAX);
    REQUIRE(answer_parse(out.data, out.len, &again));
    REQUIRE(again.verdict == view->verdict && again.reason == view->reason);
    REQUIRE(again.max_age_s == a.max_age_s && again.expires_s == view->expires_s);
    REQUIRE(strcmp(again.domain, view->domain) == 0 || strcmp(view->domain, "-") == 0);
    REQUIRE(strcmp(again.id, view->id) == 0 || strcmp(view->id, "-") == 0);
    REQUIRE(strcmp(again.mode, view->mode) == 0 && strcmp(again.source, view->source) == 0);
    answer_view_done(&again);
    buf_done(&out);
}

/* A comma that stood encoded inside an item cannot be told from one between items. */
static bool
has_empty_item(const char *list)
{
    size_t len = strlen(list);

    return list[0] == ',' || (len > 0 && list[len - 1] == ',') || strstr(list, ",,") != NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer_view view;

    if (!answer_parse((const char *)data, size, &view)) {
        REQUIRE(view.mx == NULL && view.hosts == NULL);
        return 0;
    }
    if (!has_empty_item(view.mx) && !has_empty_item(view.hosts))
        check_round_trip(&view);
    answer_view_done(&view);
    return 0;
}
