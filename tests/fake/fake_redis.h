/* fake_redis - a Redis or Sentinel that answers by a table, on 127.0.0.1 and the test's own loop.
 */
#ifndef STS_TESTS_FAKE_REDIS_H
#define STS_TESTS_FAKE_REDIS_H

#include <stddef.h>

struct event_base;
struct fake_redis;

/* `command`: how it begins, its words with one space between; the first row that matches counts.
 * `reply`: bytes as they go out; NULL: none ever. SUBSCRIBE is answered without a row; what has no
 * row gets an error. */
struct fake_reply {
    const char *command, *reply;
};

/* `table` (borrowed) ends with a command that is NULL. */
struct fake_redis *fake_redis_new(struct event_base *, const struct fake_reply *table);
/* Closes its connections, too, and refuses further ones. Accepts NULL. */
void fake_redis_free(struct fake_redis *);
void fake_redis_set(struct fake_redis *, const struct fake_reply *table);
/* Closes all connections; new ones are taken. */
void fake_redis_cut(struct fake_redis *);
/* Publishes to every connection that has subscribed. */
void fake_redis_publish(struct fake_redis *, const char *channel, const char *text);

/* "inet:PORT@127.0.0.1"; borrowed. */
char *fake_redis_spec(struct fake_redis *);
int fake_redis_port(const struct fake_redis *);
/* Connections taken so far; open; subscribed. Commands so far that begin so. */
int fake_redis_taken(const struct fake_redis *);
int fake_redis_open(const struct fake_redis *);
int fake_redis_subscribed(const struct fake_redis *);
int fake_redis_asked(const struct fake_redis *, const char *command);

#endif
