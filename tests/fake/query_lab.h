/* query_lab - the real query engine and cache between a fake source and a clock that the test
 * turns; and askers who note what they are told. All about one domain, LAB_DOMAIN. */
#ifndef STS_TESTS_QUERY_LAB_H
#define STS_TESTS_QUERY_LAB_H

#include "cached/query.h"
#include "cached/settings.h"
#include "cached/stats.h"
#include "tests/fake/fake_source.h"

#define LAB_DOMAIN "example.com"

enum {
    LAB_DEADLINE_MS = 4000,
    LAB_SOON_MS = 5, /* real time that a test waits for a deadline */
    LAB_TTL_S = 60   /* of TXT records */
};

struct lab {
    struct event_base *base;
    struct settings settings;
    struct stats stats;
    struct source source;
    struct cache *cache;
    struct query_engine *engine;
    int64_t boot_ms, wall_s;
};

/* Whoever asks; must outlive its wait. */
struct asker {
    struct query_token *token;
    unsigned answers;
    bool at_once;
    enum verdict verdict;
    enum sts_error reason;
    enum answer_source source;
    bool has_policy;
    char hosts[200]; /* "a b" */
    char detail[SOURCE_DETAIL_SIZE];
};

struct lab *lab_new(void);
/* Fails the test when a job is left that nobody waits for. */
void lab_free(struct lab *);
/* The same as cmocka's set-up and tear-down. */
int lab_set_up(void **state);
int lab_tear_down(void **state);
void lab_pass(struct lab *, int64_t seconds);

/* The plain question of a map; with MX hosts; and any other. */
void lab_ask(struct lab *, struct asker *);
void lab_ask_mx(struct lab *, struct asker *);
void lab_put(struct lab *, struct question, struct asker *);
/* Runs the loop until the asker was answered (its deadline). */
void lab_wait(struct lab *, struct asker *);

/* How the running job ends. */
void lab_txt(struct lab *, const char *id);
void lab_txt_fails(struct lab *, enum sts_error, uint32_t ttl_s);
void lab_fetch(struct lab *, const char *mode, unsigned max_age_s);
void lab_fetch_body(struct lab *, const char *body);
void lab_fetch_fails(struct lab *, enum sts_error);
void lab_mx(struct lab *, enum sts_error, const char *host);
void lab_mx_dane(struct lab *, const char *host, enum dane_state); /* of a secure set */

/* Brings a policy in force whose TXT record has this id. */
void lab_hold(struct lab *, const char *id, const char *mode, unsigned max_age_s);
enum fake_job lab_running(const struct lab *);

#define lab_assert_told(asker, verdict_, reason_)                                                  \
    do {                                                                                           \
        assert_int_equal((asker)->answers, 1);                                                     \
        assert_int_equal((asker)->verdict, verdict_);                                              \
        assert_int_equal((asker)->reason, reason_);                                                \
    } while (0)
/* Asks once more, and wants that answer on the spot. */
#define lab_assert_now(lab, verdict_, reason_)                                                     \
    do {                                                                                           \
        struct asker asker_;                                                                       \
        lab_ask(lab, &asker_);                                                                     \
        assert_true(asker_.at_once);                                                               \
        lab_assert_told(&asker_, verdict_, reason_);                                               \
    } while (0)

#endif
