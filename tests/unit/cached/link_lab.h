/* link_lab - a redis_link under test: its loop, its settings, and what it has told. */
#ifndef STS_TESTS_LINK_LAB_H
#define STS_TESTS_LINK_LAB_H

#include <stdbool.h>
#include <stdint.h>

#include "cached/redis_link.h"
#include "cached/settings.h"
#include "tests/fake/fake_redis.h"

enum { LINK_LAB_SOON_MS = 5000, LINK_LAB_QUIET_MS = 300, LINK_LAB_BOOT_MS = 1000000 };

/* Replies to ROLE. */
#define LINK_LAB_MASTER "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
#define LINK_LAB_REPLICA "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$9\r\nconnected\r\n:0\r\n"

extern const struct fake_reply link_lab_master[]; /* "GET key": "value"; "HANG": no reply */
extern const struct fake_reply link_lab_replica[];

struct link_lab {
    struct event_base *base;
    struct redis_link *link;
    struct settings settings;
    int ups, downs;
    char why[256]; /* of the last down */
};

extern const struct redis_link_events link_lab_events; /* their `arg` is the lab */
void link_lab_on_up(void *arg);
void link_lab_on_down(const char *why, void *arg);

/* cmocka's setup and teardown. The fake clock stands at LINK_LAB_BOOT_MS. */
int link_lab_begin(void **state);
int link_lab_end(void **state);

/* The true time. */
int64_t link_lab_now_ms(void);
/* Turns the loop until `*value` is at least `wanted`; false when that does not come. */
bool link_lab_reaches(struct link_lab *, const int *value, int wanted, int64_t within_ms);
void link_lab_turn(struct link_lab *, int64_t ms);

/* The link by the lab's settings; to this server; to this server, and up at the first try. */
void link_lab_make(struct link_lab *);
void link_lab_open(struct link_lab *, struct fake_redis *);
void link_lab_come_up(struct link_lab *, struct fake_redis *);

struct link_lab_got {
    int calls, nulls;
    char text[64];
};

/* Sends a command of two words; what becomes of it goes to `got`. */
void link_lab_send(struct link_lab *, const char *one, const char *two, struct link_lab_got *got);

#endif
