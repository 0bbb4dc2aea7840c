/* source_lab - the real source thread over a fake resolver and a fake fetcher, and what its
 * callbacks saw; shared by the tests of its jobs and of the thread. */
#ifndef STS_TESTS_SOURCE_LAB_H
#define STS_TESTS_SOURCE_LAB_H

#include <pthread.h>
#include <stdbool.h>

#include "cached/settings.h"
#include "cached/source.h"
#include "tests/fake/fake_dns.h"
#include "tests/fake/fake_fetch.h"

enum { LAB_GUARD_MS = 10000 };

struct event_base;

extern struct source_lab {
    struct event_base *base;
    struct source *source;
    struct settings settings;
} lab;

/* What the callback saw, in words. */
struct got {
    int calls;
    enum sts_error error;
    uint32_t ttl_s;
    char detail[SOURCE_DETAIL_SIZE];
    char text[1000]; /* items of the result, each with a blank behind it */
    bool secure;
    pthread_t thread;
};

/* Callbacks of the source; `arg` is a struct got. Of a fetch the status is its ttl_s. */
void lab_on_txt(const struct txt_result *, void *arg);
void lab_on_fetch(const struct fetch_result *, void *arg);
void lab_on_mx(const struct mx_result *, void *arg);
void lab_note(struct got *, enum sts_error, const char *detail);

void lab_run_for(int ms);
/* Runs until it was called so often; fails after LAB_GUARD_MS. */
void lab_wait_for(const struct got *, int calls);

/* For cmocka: around the whole group. */
int source_lab_set_up(void **state);
int source_lab_tear_down(void **state);

#endif
