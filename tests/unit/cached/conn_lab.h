/* conn_lab - a redis_conn under test, on a loop with a server that sends what a test wrote down. */
#ifndef STS_TESTS_CONN_LAB_H
#define STS_TESTS_CONN_LAB_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cached/redis_conn.h"
#include "tests/fake/fake_redis.h"

struct event_base;
struct evconnlistener;
struct bufferevent;

enum { CONN_LAB_SOON_MS = 10000, CONN_LAB_LATE_MS = 200 };

/* What every connection gets once its first bytes are there (`at_once`: when it is taken). */
struct conn_lab_script {
    const char *bytes;
    bool at_once, then_close, byte_by_byte;
    bool deaf; /* takes the connection and reads nothing */
};

struct conn_lab {
    struct event_base *base;
    struct evconnlistener *listener;
    struct conn_lab_script script;
    SSL_CTX *tls; /* the server's; NULL: none */
    struct bufferevent *peer;
    struct redis_options options; /* to the server; 200 ms */
    struct redis_conn *conn;
    int ups, downs, messages, replies, nulls;
    int downs_at_reply; /* `downs` as the last reply came */
    bool frees_in_up, frees_in_down, frees_in_message, frees_in_reply;
    bool sends_in_reply; /* the same again */
    long order;          /* the number of the last reply, when all numbers came in order; else -1 */
    char why[256], text[64];
};

/* cmocka's setup and teardown. */
int conn_lab_begin(void **state);
int conn_lab_end(void **state);

void conn_lab_serve(struct conn_lab *, struct conn_lab_script);
/* Connects to the script's server, or to another that `options` name. */
void conn_lab_open(struct conn_lab *);
void conn_lab_open_to(struct conn_lab *, struct fake_redis *);
/* Whether the server reads what comes. */
void conn_lab_listen(struct conn_lab *, bool on);
/* Turns the loop until `*value` is at least `wanted`; false: not within CONN_LAB_SOON_MS. */
bool conn_lab_reaches(struct conn_lab *, const int *value, int wanted);
void conn_lab_turn(struct conn_lab *, int64_t ms);
int64_t conn_lab_now_ms(void);

/* Sends a command of one or two words, told in `replies`, `nulls`, `text`, `order`. */
void conn_lab_send(struct conn_lab *, const char *one, const char *two);
void conn_lab_send_for(struct conn_lab *, const char *word, int64_t timeout_ms);

#endif
