#include "tests/unit/cached/source_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

struct source_lab lab;

static const char *const dane_names[] = {"none", "usable", "unusable", "failed"};

void
lab_note(struct got *got, enum sts_error error, const char *detail)
{
    got->calls++;
    got->thread = pthread_self();
    got->error = error;
    snprintf(got->detail, sizeof(got->detail), "%s", detail);
}

static void
note_text(struct got *got, const char *bytes, size_t len)
{
    snprintf(got->text + strlen(got->text), sizeof(got->text) - strlen(got->text), "%.*s ",
             (int)len, bytes);
}

void
lab_on_txt(const struct txt_result *result, void *arg)
{
    struct got *got = arg;

    lab_note(got, result->error, result->detail);
    got->ttl_s = result->ttl_s;
    for (size_t i = 0; i < result->count; i++)
        note_text(got, result->records[i].at, result->records[i].len);
}

void
lab_on_fetch(const struct fetch_result *result, void *arg)
{
    struct got *got = arg;

    lab_note(got, result->error, result->detail);
    got->ttl_s = (uint32_t)result->http_status;
    note_text(got, result->body, result->len);
}

void
lab_on_mx(const struct mx_result *result, void *arg)
{
    struct got *got = arg;

    lab_note(got, result->error, result->detail);
    got->ttl_s = result->ttl_s;
    got->secure = result->secure;
    assert_true(result->with_dane || result->dane == NULL);
    for (size_t i = 0; i < result->count; i++) {
        note_text(got, result->hosts[i], strlen(result->hosts[i]));
        if (result->dane != NULL)
            note_text(got, dane_names[result->dane[i]], strlen(dane_names[result->dane[i]]));
    }
}

void
lab_run_for(int ms)
{
    struct timeval span = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_base_loopexit(lab.base, &span);
    event_base_dispatch(lab.base);
}

void
lab_wait_for(const struct got *got, int calls)
{
    int64_t end_ms = clock_boot_ms() + LAB_GUARD_MS;

    assert_int_equal(got->calls, 0);
    while (got->calls < calls && clock_boot_ms() < end_ms)
        lab_run_for(5);
    assert_int_equal(got->calls, calls);
    assert_true(pthread_equal(got->thread, pthread_self()));
}

int
source_lab_set_up(void **state)
{
    char why[100] = "";

    (void)state;
    lab.base = event_base_new();
    lab.source = source_new(lab.base, &lab.settings, why, sizeof(why));
    return lab.source != NULL ? 0 : -1;
}

int
source_lab_tear_down(void **state)
{
    (void)state;
    source_free(lab.source);
    source_free(NULL);
    event_base_free(lab.base);
    return 0;
}
