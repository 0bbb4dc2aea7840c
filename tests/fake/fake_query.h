/* fake_query - a query engine that answers what the test tells it to, when the test tells it to.
 * Stands in for query.c: link it before the library. */
#ifndef STS_TESTS_FAKE_QUERY_H
#define STS_TESTS_FAKE_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "cached/query.h"
#include "common/domain.h"

enum { FAKE_REFETCHES_MAX = 64 };

struct fake_refetch {
    char domain[DOMAIN_SIZE];
    query_refetch_fn *done;
    void *arg;
};

struct query_engine {
    struct judgement judgement; /* what query_ask answers */
    bool later;                 /* not on the spot, but by fake_query_answer */
    struct question asked;      /* the last question; its domain is in `asked_domain` */
    char asked_domain[DOMAIN_SIZE];
    query_done_fn *done; /* waiting, or NULL */
    void *arg;
    struct fake_refetch refetches[FAKE_REFETCHES_MAX]; /* under way */
    size_t running, running_max, refetched, forgotten, rechecked;
    char last_forgotten[DOMAIN_SIZE];
    struct entry *entry; /* of fake_query_judge_by_long_list */
};

/* From now on it answers `secure` by an enforce policy that lists so many hosts. */
void fake_query_judge_by_long_list(struct query_engine *, int hosts);
/* Frees what that has made. */
void fake_query_done(struct query_engine *);

/* Answers the question that waits. */
void fake_query_answer(struct query_engine *);
/* Ends the refetch that was started first; the domain is filled in. False: none is under way. */
bool fake_query_end_refetch(struct query_engine *, struct refetch_result);

#endif
